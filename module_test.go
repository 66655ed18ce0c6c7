package dynamicdns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

const zoneName = "example.com."

func TestRefusedAtLoad(t *testing.T) {
	full := standin.New(standin.Character{}, zoneName).Register()
	noReads := standin.New(standin.Character{NoGet: true}, zoneName).Register()
	onlyAppends := standin.New(standin.Character{NoSet: true, NoDelete: true}, zoneName).Register()
	provider := func(name string) string { return fmt.Sprintf(`"dns_provider": {"name": %q}`, name) }
	domains := `"domains": {"example.com": ["www"]}`
	for name, test := range map[string]struct{ config, want string }{
		"no provider":         {`{` + domains + `}`, "no DNS provider is configured; write `provider"},
		"unsuitable provider": {`{` + provider(onlyAppends) + `,` + domains + `}`, "implements neither libdns.RecordSetter nor libdns.RecordDeleter"},
		"no domains":          {`{` + provider(full) + `}`, "no domains are configured; write `domains"},
		"no zones for sites":  {`{` + provider(full) + `, "dynamic_domains": true}`, "no zones to take hosts for; write them in `domains`"},
		"short check":         {`{` + provider(full) + `,` + domains + `, "check_interval": "500ms"}`, "check_interval 500ms is too short; write 1s or more"},
		"short verify":        {`{` + provider(full) + `,` + domains + `, "verify_interval": "59s"}`, "verify_interval 59s is too short; write 1m0s or more"},
		"short ttl":           {`{` + provider(full) + `,` + domains + `, "ttl": "10ms"}`, "ttl: 10ms is too short; write 1s or more"},
		"negative ttl":        {`{` + provider(full) + `,` + domains + `, "ttl": "-1s"}`, "ttl: -1s is too short"},
		"unknown version":     {`{` + provider(full) + `,` + domains + `, "versions": {"ipv5": true}}`, "ipv5"},
		"no version":          {`{` + provider(full) + `,` + domains + `, "versions": {"ipv4": false, "ipv6": false}}`, "both IPv4 and IPv6 are disabled"},
		"blind update_only":   {`{` + provider(noReads) + `,` + domains + `, "update_only": true}`, "update_only: this needs to know which records exist"},
		"unknown source":      {`{` + provider(full) + `,` + domains + `, "ip_sources": [{"source": "tea_leaves"}]}`, "tea_leaves"},
		"no source":           {`{` + provider(full) + `,` + domains + `, "ip_sources": [{}]}`, "source"},
		"bad range":           {`{` + provider(full) + `,` + domains + `, "include": ["10.0.0.1"]}`, "10.0.0.1"},
		"ranges no list":      {`{` + provider(full) + `,` + domains + `, "include": "10.0.0.0/8"}`, "include"},
		"unknown field":       {`{` + provider(full) + `,` + domains + `, "intervall": "1m"}`, "intervall"},
		"name repeats zone":   {`{` + provider(full) + `, "domains": {"example.com": ["www.example.com"]}}`, `write "www"`},
		"name twice":          {`{` + provider(full) + `, "domains": {"example.com": ["www", "WWW"]}}`, `"www.example.com" is managed twice`},
		"zone twice":          {`{` + provider(full) + `, "domains": {"example.com": ["www"], "Example.COM.": ["a"]}}`, "listed twice"},
		"unset placeholder":   {`{` + provider(full) + `, "domains": {"{env.DYNAMIC_DNS_TEST_UNSET}": ["www"]}}`, "DYNAMIC_DNS_TEST_UNSET"},
		"name in two groups": {`{` + provider(full) + `,` + domains + `, "providers": [{` + provider(noReads) + `, "domains": {"example.com": ["www"]}}]}`,
			`"www.example.com" is managed twice: in domains under zone "example.com" and in providers[0].domains under zone "example.com"`},
		"name in two zones":      {`{` + provider(full) + `, "domains": {"example.com": ["a.b"], "b.example.com": ["a"]}}`, `"a.b.example.com" is managed twice`},
		"null entry":             {`{"providers": [null]}`, "providers[0] is null"},
		"entry without provider": {`{"providers": [{` + domains + `}]}`, "providers[0].dns_provider: no DNS provider"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				err := l.tryLoad(test.config)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got error %v, want one with %q", err, test.want)
				}
			})
		})
	}
}

func TestBootsBeforeTheNetwork(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.fail(errNetwork)
		began := time.Now()
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		if took := time.Since(began); took > 0 {
			t.Errorf("loading took %s", took)
		}
		l.wait(10 * time.Minute)
		if n := l.timesAsked(); n < 20 || n > 40 {
			t.Errorf("asked %d times in 10 minutes without a network", n)
		}
		if n := z.Count("", ""); n != 0 {
			t.Errorf("%d provider calls without an address", n)
		}
		if warnings := l.logged("warn", ""); len(warnings) != 1 {
			t.Errorf("want one warning that no address is known, got %v", warnings)
		}
		l.address(addr1)
		l.wait(time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v a minute after the network came", got)
		}
	})
}

func TestFailedWriteIsRetried(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		z.Fail(func(c standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr2)
		l.wait(3 * time.Hour)
		if failures := l.logged("error", "retrying in"); len(failures) < 4 || len(failures) > 8 {
			t.Errorf("want log lines at growing distance, got %d: %v", len(failures), failures)
		}
		if attempts := z.Count(standin.Get, ""); attempts < 18 || attempts > 80 {
			t.Errorf("%d attempts in three hours", attempts)
		}
		z.Fail(nil)
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v ten minutes after the provider came back", got)
		}
		if lines := l.logged("info", "working again"); len(lines) != 1 {
			t.Errorf("want one line that it works again, got %v", lines)
		}
	})
}

func TestNewWishEndsBackoff(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(12 * time.Hour)
		z.Fail(nil)
		l.address(addr2)
		// A check comes after five minutes at the latest, a retry could take ten.
		l.wait(5 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v at the next check", got)
		}
	})
}

func TestUnknownIsNotGone(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Hour)
		l.fail(errNetwork)
		l.wait(24 * time.Hour)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("A: %v", got)
		}
		l.address(addr2)
		l.wait(24 * time.Hour)
		if got := z.Values(zoneName, "www", "AAAA"); !slices.Equal(got, []string{addr6}) {
			t.Errorf("AAAA: %v", got)
		}
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("A: %v", got)
		}
	})
}

func TestUpdateOnlyNeverCreates(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr2, addr6)
		config := strings.Replace(appConfig(z.Register(), `{"example.com": ["www", "new"]}`), "{", `{"update_only": true,`, 1)
		l.load(config)
		l.wait(3 * time.Hour)
		// Deleted by hand, it stays deleted, also when the address changes
		// before that was seen.
		z.Drop(zoneName, "www", "A")
		l.address(addr1, addr6)
		l.wait(3 * time.Hour)
		for _, c := range z.Changes() {
			for _, rr := range c.Added {
				if c.Method != "" && (rr.Name != "www" || rr.Type != "A" || len(c.Removed) == 0) {
					t.Errorf("created %v", rr)
				}
			}
		}
		if got := z.Snapshot(zoneName); len(got) != 0 {
			t.Errorf("the zone has %v", got)
		}
	})
}

func TestUpdateOnlyNeverWritesUnread(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ReadsFail: true}, zoneName)
		l.address(addr2)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"update_only": true,`, 1))
		l.wait(6 * time.Hour)
		if n := z.Count(standin.Set, "") + z.Count(standin.Append, ""); n > 0 {
			t.Errorf("%d writes without having read", n)
		}
	})
}

// TestQuiet: in the steady state a check costs no provider call, verifying
// one read an hour, and nothing is logged.
func TestQuiet(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www", "@", "*"]}`))
		l.wait(time.Minute)
		calls, lines, asked := z.Count("", ""), len(l.logged("info", "")), l.timesAsked()
		if calls != 3 {
			t.Errorf("%d calls for the first update, want read, write, read", calls)
		}
		l.wait(24 * time.Hour)
		if n := z.Count("", "") - calls; n < 22 || n > 27 {
			t.Errorf("%d calls in a quiet day", n)
		}
		if n := z.Count(standin.Set, ""); n != 1 {
			t.Errorf("%d writes", n)
		}
		if n := l.timesAsked() - asked; n < 570 || n > 610 {
			t.Errorf("asked %d times in a day at 5m for two families", n)
		}
		if more := l.logged("info", "")[lines:]; len(more) > 0 {
			t.Errorf("logged in the steady state: %v", more)
		}
	})
}

func TestUnchangedReloadCostsNothing(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(time.Minute)
		calls, asked := z.Count("", ""), l.timesAsked()
		for range 50 {
			l.load(config)
			l.wait(time.Second)
		}
		if n := z.Count("", "") - calls; n != 0 {
			t.Errorf("%d provider calls", n)
		}
		if n := l.timesAsked() - asked; n != 0 {
			t.Errorf("asked the sources %d times", n)
		}
		l.wait(5 * time.Minute)
		if l.timesAsked() == asked {
			t.Error("no check after the reloads")
		}
	})
}

func TestReloadTakesEffectAtOnce(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName, "example.net.")
		l.address(addr1)
		name := z.Register()
		l.load(appConfig(name, `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		asked := l.timesAsked()
		l.load(appConfig(name, `{"example.com": ["www", "blog"], "example.net": ["@"]}`))
		l.wait(0)
		if got := z.Values(zoneName, "blog", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("blog: %v", got)
		}
		if got := z.Values("example.net.", "@", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("example.net: %v", got)
		}
		if l.timesAsked() != asked {
			t.Error("asked the sources again for addresses that are known")
		}
	})
}

// TestReloadDuringWrite: the write goes on, the new configuration waits for
// it and then makes the zone as it wishes.
func TestReloadDuringWrite(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: 10 * time.Second}, zoneName)
		l.address(addr1)
		name := z.Register()
		l.load(appConfig(name, `{"example.com": ["www"]}`))
		l.wait(15 * time.Second)
		if n := z.Count(standin.Set, ""); n != 1 {
			t.Fatalf("%d writes under way", n)
		}
		began := time.Now()
		l.load(appConfig(name, `{"example.com": ["www", "blog"]}`))
		if took := time.Since(began); took > 0 {
			t.Errorf("the reload waited %s for the provider", took)
		}
		l.wait(2 * time.Minute)
		for _, name := range []string{"www", "blog"} {
			if got := z.Values(zoneName, name, "A"); !slices.Equal(got, []string{addr1}) {
				t.Errorf("%s: %v", name, got)
			}
		}
		if overlaps := z.Overlaps(); len(overlaps) > 0 {
			t.Errorf("calls overlap: %v", overlaps)
		}
		for _, c := range z.Calls() {
			if c.Err != nil {
				t.Errorf("%s failed: %v", c.Method, c.Err)
			}
		}
	})
}

func TestFailureSurvivesReload(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(2 * time.Hour)
		calls := z.Count("", "")
		for range 30 {
			l.load(config)
			l.wait(time.Second)
		}
		if n := z.Count("", "") - calls; n > 4 {
			t.Errorf("reloads made %d calls to a provider that fails", n)
		}
		z.Fail(nil)
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v", got)
		}
	})
}

// failingApp does not start.
type failingApp struct{}

func (*failingApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns_test_failing", New: func() caddy.Module { return new(failingApp) }}
}
func (*failingApp) Start() error { return errNetwork }
func (*failingApp) Stop() error  { return nil }

func init() { caddy.RegisterModule(new(failingApp)) }

// TestFailedReload: the old configuration goes on keeping its zones.
func TestFailedReload(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		name := z.Register()
		l.load(appConfig(name, `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		for range 20 {
			if err := l.tryLoad(appConfig(name, `{"example.com": ["www"]}`), `"dynamic_dns_test_failing": {}`); err == nil {
				t.Fatal("the failing app started")
			}
		}
		l.address(addr2)
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestRestart forgets all that is in memory.
func TestRestart(t *testing.T) {
	for name, character := range map[string]standin.Character{
		"reads": {}, "no reads": {NoGet: true}, "no reads, no set": {NoGet: true, NoSet: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(character, zoneName)
				config := appConfig(z.Register(), `{"example.com": ["www"]}`)
				writes := func() int {
					return z.Count(standin.Set, "") + z.Count(standin.Append, "") + z.Count(standin.Delete, "")
				}
				l.address(addr1)
				l.load(config)
				l.wait(time.Hour)
				before := writes()
				l.stop()
				l.load(config)
				l.wait(time.Hour)
				if n := writes() - before; n != 0 {
					t.Errorf("the restart wrote %d times", n)
				}
				l.stop()
				l.address(addr2)
				l.load(config)
				l.wait(time.Hour)
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

func TestInTheWay(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		obstacle  libdns.RR
	}{
		"cname":               {standin.Character{}, record("shop", "CNAME", "shops.example.net.")},
		"cname, apart":        {standin.Character{PerRecord: true}, record("shop", "CNAME", "shops.example.net.")},
		"alias":               {standin.Character{}, record("shop", "ALIAS", "shops.example.net.")},
		"alias, one by one":   {standin.Character{PerRecord: true}, record("shop", "ALIAS", "shops.example.net.")},
		"alias, and no set":   {standin.Character{NoSet: true}, record("shop", "ALIAS", "shops.example.net.")},
		"alias, and no reads": {standin.Character{NoGet: true}, record("shop", "ALIAS", "shops.example.net.")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				z.Put(zoneName, test.obstacle)
				l.address(addr1)
				names := []string{"a", "b", "c", "d", "shop", "x", "y", "z"}
				l.load(appConfig(z.Register(), `{"example.com": ["a", "b", "c", "d", "shop", "x", "y", "z"]}`))
				l.wait(10 * time.Second)
				l.address(addr2)
				l.wait(6 * time.Minute)
				for _, n := range names {
					got := z.Values(zoneName, n, "A")
					if n == "shop" && len(got) != 0 {
						t.Errorf("shop got %v", got)
					} else if n != "shop" && !slices.Equal(got, []string{addr2}) {
						t.Errorf("%s has %v: it must not suffer from its neighbour", n, got)
					}
				}
				if got := z.Values(zoneName, "shop", test.obstacle.Type); len(got) != 1 {
					t.Errorf("the %s is gone", test.obstacle.Type)
				}
				if lines := l.logged("error", `shop`); len(lines) == 0 {
					t.Error("no error names shop")
				}
			})
		})
	}
}

func TestRefusedAddresses(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address("192.168.1.10", "fd00::1")
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Hour)
		if got := z.Snapshot(zoneName); len(got) != 0 {
			t.Errorf("published %v", got)
		}
		if lines := l.logged("warn", "192.168.1.10"); len(lines) != 1 || lines[0]["source"] != "fake" {
			t.Errorf("want one warning that names the source and the address, got %v", lines)
		}
		l.address("192.168.1.10", addr1)
		l.wait(time.Hour)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestIncludeOptsIn(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address("192.168.1.10", "192.168.2.10", addr1)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"include": ["192.168.0.0/16"], "exclude": ["192.168.2.0/24"],`, 1))
		l.wait(time.Hour)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{"192.168.1.10"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestTTL(t *testing.T) {
	ttl := func(z *standin.Zones, name string) time.Duration {
		for _, rr := range z.RRset(zoneName, name, "A") {
			return rr.TTL
		}
		return 0
	}
	withTTL := func(config, ttl string) string { return strings.Replace(config, "{", `{"ttl": "`+ttl+`",`, 1) }
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		old := record("www", "A", addr1)
		old.TTL = 2 * time.Hour
		z.Put(zoneName, old)
		l.address(addr2)
		config := appConfig(z.Register(), `{"example.com": ["www", "new"]}`)
		l.load(config)
		l.wait(time.Minute)
		if got := ttl(z, "www"); got != 2*time.Hour {
			t.Errorf("without a ttl configured an update made it %s", got)
		}
		if got := ttl(z, "new"); got != 5*time.Minute {
			t.Errorf("a new record got %s", got)
		}
		l.load(withTTL(config, "10m"))
		l.wait(time.Minute)
		if a, b := ttl(z, "www"), ttl(z, "new"); a != 10*time.Minute || b != 10*time.Minute {
			t.Errorf("with a ttl of 10m they have %s and %s", a, b)
		}
	})
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{MinTTL: time.Hour}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(12 * time.Hour)
		l.load(withTTL(config, "10m"))
		l.wait(48 * time.Hour)
		if n := z.Count(standin.Set, ""); n != 2 {
			t.Errorf("%d writes: a TTL that the provider raises must be asked for once", n)
		}
		if got := ttl(z, "www"); got != time.Hour {
			t.Errorf("it has %s", got)
		}
	})
}

// TestHangingCall: a call that ignores its context holds up its zone and no
// other, no second call starts before it returns, and Caddy stops at once.
func TestHangingCall(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName, "example.net.")
		release := make(chan struct{})
		z.Fail(func(c standin.Call) standin.Fault {
			if c.Zone == zoneName && c.Method == standin.Set && c.N <= 2 {
				return standin.Fault{Do: func() { <-release }}
			}
			return standin.Fault{}
		})
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"], "example.net": ["www"]}`)
		l.load(config)
		l.wait(time.Hour)
		l.address(addr2)
		l.wait(6 * time.Hour)
		if got := z.Values("example.net.", "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("the other zone has %v", got)
		}
		if n := z.Count("", zoneName); n != 2 {
			t.Errorf("%d calls to the zone while one hangs, want the read and the write", n)
		}
		began := time.Now()
		l.load(config)
		if took := time.Since(began); took > 0 {
			t.Errorf("the reload took %s", took)
		}
		close(release)
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("after the call returned, it has %v", got)
		}
		if overlaps := z.Overlaps(); len(overlaps) > 0 {
			t.Errorf("calls overlap: %v", overlaps)
		}
	})
}

// TestConcurrency: zones go in parallel, but not more than eight at a time.
func TestConcurrency(t *testing.T) {
	bubble(t, func(l *lab) {
		var zones, domains []string
		for i := range 40 {
			zones = append(zones, fmt.Sprintf("z%d.test.", i))
			domains = append(domains, fmt.Sprintf(`"z%d.test": ["www"]`, i))
		}
		z := standin.New(standin.Character{Latency: time.Second}, zones...)
		l.address(addr1)
		l.load(appConfig(z.Register(), "{"+strings.Join(domains, ",")+"}"))
		began := time.Now()
		l.wait(time.Minute)
		var last time.Time
		most := 0
		calls := z.Calls()
		for _, c := range calls {
			if c.Ended.After(last) {
				last = c.Ended
			}
			at := 0
			for _, other := range calls {
				if !other.Began.After(c.Began) && other.Ended.After(c.Began) {
					at++
				}
			}
			most = max(most, at)
		}
		if most != maxCalls {
			t.Errorf("%d calls at a time", most)
		}
		// 40 zones, 3 calls of a second each, 8 at a time.
		if took := last.Sub(began); took != 15*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestPanickingSource: what goes wrong in a source stays there.
func TestPanickingSource(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(fmt.Sprintf(`{"ip_sources": [{"source": "panics"}, {"source": "fake"}], "dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "watch": false}`, z.Register()))
		l.wait(time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v", got)
		}
	})
}

type panicSource struct{ fakeSource }

func (*panicSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.panics", New: func() caddy.Module { return new(panicSource) }}
}

func (*panicSource) GetIPs(context.Context, IPSettings) ([]netip.Addr, error) { panic("no idea") }

func init() { caddy.RegisterModule(new(panicSource)) }

// TestZoneHint: what people get wrong most is which part of a name is the
// zone.
func TestZoneHint(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		domains   string
		want      string
	}{
		"zones can be listed": {standin.Character{ListsZones: true}, `{"blog.example.com": ["@"]}`,
			`the provider has the zone \"example.com\", of which this is a part: write ` + "`example.com blog`"},
		"a name below": {standin.Character{ListsZones: true}, `{"blog.example.com": ["www"]}`, "write `example.com www.blog`"},
		"zones cannot be listed": {standin.Character{}, `{"blog.example.com": ["@"]}`,
			`is \"blog.example.com\" a zone at the provider, or a name in one? If the zone is \"example.com\", write ` + "`example.com blog`"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				l.address(addr1)
				l.load(appConfig(z.Register(), test.domains))
				l.wait(time.Hour)
				if !strings.Contains(l.wholeLog(), test.want) {
					t.Errorf("want %s in the log:\n%s", test.want, l.wholeLog())
				}
				if n := z.Count(standin.List, ""); n > 1 {
					t.Errorf("listed the zones %d times", n)
				}
			})
		})
	}
}

// watched makes the app see the events that the test sends.
func watched(t *testing.T) chan<- struct{} {
	events := make(chan struct{})
	real := watchAddresses
	watchAddresses = func(context.Context, *zap.Logger) <-chan struct{} { return events }
	t.Cleanup(func() { watchAddresses = real })
	return events
}

func TestAddressEvent(t *testing.T) {
	for name, test := range map[string]struct {
		watch string
		want  string
	}{"watching": {"true", addr2}, "not watching": {"false", addr1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				events := watched(t)
				z := standin.New(standin.Character{}, zoneName)
				l.address(addr1)
				l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": `+test.watch, 1))
				l.wait(time.Minute)
				l.address(addr2)
				select {
				case events <- struct{}{}:
				case <-time.After(time.Second):
				}
				l.wait(0)
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{test.want}) {
					t.Errorf("got %v right after the event, want %s", got, test.want)
				}
			})
		})
	}
}

// TestNetworkComes: at boot an event ends the wait for the next try.
func TestNetworkComes(t *testing.T) {
	bubble(t, func(l *lab) {
		events := watched(t)
		z := standin.New(standin.Character{}, zoneName)
		l.fail(errNetwork)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": true`, 1))
		l.wait(time.Hour)
		l.address(addr1)
		events <- struct{}{}
		l.wait(0)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestSlowFamily: where one family takes long to fail, the other does not
// wait for it, nor does what comes in meanwhile.
func TestSlowFamily(t *testing.T) {
	bubble(t, func(l *lab) {
		events := watched(t)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.slow = map[family]time.Duration{v6: 40 * time.Second}
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": true`, 1))
		l.wait(time.Second)
		for _, addr := range []string{addr1, addr2, addr3} {
			l.address(addr)
			events <- struct{}{}
			l.wait(time.Second)
			if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr}) {
				t.Errorf("got %v, want %s", got, addr)
			}
		}
	})
}

// TestHangingSource: a source that ignores its context is not asked again
// while it hangs, and the next source is.
func TestHangingSource(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.slow = map[family]time.Duration{v4: 50 * time.Minute, v6: 50 * time.Minute}
		l.load(fmt.Sprintf(`{"ip_sources": [{"source": "fake"}, {"source": "static", "ips": [%q]}], "dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "watch": false}`, addr2, z.Register()))
		l.wait(2 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v", got)
		}
		l.wait(40 * time.Minute)
		if n := l.timesAsked(); n != 2 {
			t.Errorf("asked %d times while it hangs, want once for each family", n)
		}
	})
}
