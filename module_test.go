package dynamicdns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

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
		"no provider":         {`{` + domains + `}`, "no DNS provider is configured, and the global option dns names none; write one, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN}`"},
		"unsuitable provider": {`{` + provider(onlyAppends) + `,` + domains + `}`, "implements neither libdns.RecordSetter nor libdns.RecordDeleter"},
		"no domains":          {`{` + provider(full) + `}`, "no domains are configured; write some, as in `domains {"},
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
		"unset placeholder":   {`{` + provider(full) + `, "domains": {"{env.DYNAMIC_DNS_TEST_UNSET}": ["www"]}}`, "DYNAMIC_DNS_TEST_UNSET"},
		"name in two groups": {`{` + provider(full) + `,` + domains + `, "providers": [{` + provider(noReads) + `, "domains": {"example.com": ["www"]}}]}`,
			`"www.example.com" is managed twice: in domains under zone "example.com" and in providers[0].domains under zone "example.com"`},
		"name in zones of two providers": {`{` + provider(full) + `, "domains": {"example.com": ["a.b"]}, "providers": [{` + provider(noReads) + `, "domains": {"b.example.com": ["a"]}}]}`,
			`"a.b.example.com" is managed twice: in domains under zone "example.com" and in providers[0].domains under zone "b.example.com"; leave it in one of them`},
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
// it and then brings the zone to what it desires.
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

// TestReloadGivenUpAfterStart: Caddy may give a configuration up once its
// apps have started, and then does not stop them.
func TestReloadGivenUpAfterStart(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(time.Minute)
		l.admin = `"load": {"module": "bogus"}`
		if err := l.tryLoad(config); err == nil {
			t.Fatal("a configuration with an unknown loader was accepted")
		}
		l.address(addr2)
		l.wait(10 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("the running configuration no longer keeps the zone: %v", got)
		}
	})
}

// TestReloadThatExcludes: what a new configuration forbids is not published
// any more, whether it was to be repaired or to be tried again.
func TestReloadThatExcludes(t *testing.T) {
	for name, fails := range map[string]bool{"in sync": false, "failing": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				if fails {
					z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
				}
				l.address(addr1)
				config := appConfig(z.Register(), `{"example.com": ["www"]}`)
				l.load(config)
				l.wait(time.Minute)
				l.load(strings.Replace(config, "{", `{"exclude": ["`+addr1+`/32"],`, 1))
				z.Drop(zoneName, "www", "A")
				z.Put(zoneName, record("www", "A", addr2))
				z.Fail(nil)
				l.wait(24 * time.Hour)
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
					t.Errorf("published %v, which is excluded", got)
				}
			})
		})
	}
}

// TestOtherCredentials: what one account accepted says nothing of another.
func TestOtherCredentials(t *testing.T) {
	for name, character := range map[string]standin.Character{"reads": {}, "no reads": {NoGet: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(character, zoneName)
				l.address(addr1)
				config := appConfig(z.Register(), `{"example.com": ["www"]}`)
				l.load(config)
				l.wait(time.Minute)
				calls := z.Count("", "")
				l.load(strings.Replace(config, standin.Token, "another-account", 1))
				l.wait(time.Minute)
				if z.Count("", "") == calls {
					t.Error("nothing was read or written with the other credentials")
				}
			})
		})
	}
}

// TestNameComesBack: nobody knows what became of a record while it was not
// managed, at a provider that cannot be read.
func TestNameComesBack(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{NoGet: true}, zoneName)
		l.address(addr1)
		name := z.Register()
		l.load(appConfig(name, `{"example.com": ["www", "blog"]}`))
		l.wait(time.Minute)
		l.load(appConfig(name, `{"example.com": ["blog"]}`))
		l.wait(time.Hour)
		z.Drop(zoneName, "www", "A")
		l.stop()
		l.load(appConfig(name, `{"example.com": ["www", "blog"]}`))
		l.wait(time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestOtherStorage: a provider may keep its zones in Caddy's storage.
func TestOtherStorage(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		l.wait(time.Minute)
		calls := z.Count("", "")
		l.storage += "/elsewhere"
		l.load(config)
		l.wait(time.Minute)
		if z.Count("", "") == calls {
			t.Error("nothing was read anew with another storage")
		}
	})
}
