package dynamicdns

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

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

func TestNewAddressEndsBackoff(t *testing.T) {
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

func TestInTheWay(t *testing.T) {
	const mark = "heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/web/shop"
	for name, test := range map[string]struct {
		character standin.Character
		obstacle  libdns.RR
		// told is a part of what is told.
		told string
	}{
		"cname":               {standin.Character{}, record("shop", "CNAME", "shops.example.net."), "a CNAME record to shops.example.net. is in the way"},
		"cname, apart":        {standin.Character{PerRecord: true}, record("shop", "CNAME", "shops.example.net."), "a CNAME record"},
		"alias":               {standin.Character{}, record("shop", "ALIAS", "shops.example.net."), ""},
		"alias, one by one":   {standin.Character{PerRecord: true}, record("shop", "ALIAS", "shops.example.net."), ""},
		"alias, and no set":   {standin.Character{NoSet: true}, record("shop", "ALIAS", "shops.example.net."), ""},
		"alias, and no reads": {standin.Character{NoGet: true}, record("shop", "ALIAS", "shops.example.net."), ""},
		"alias that is shown": {standin.Character{}, record("shop", "ANAME", "shops.example.net."), "an ANAME record to shops.example.net. is in the way"},
		"delegation":          {standin.Character{}, record("shop", "NS", "ns.example.net."), "hidden by the delegation of shop.example.com"},
		"mark":                {standin.Character{}, record("shop", "TXT", mark), `belongs to external-dns with the owner ID \"prod\", by the TXT record at shop.example.com`},
		"mark of the type":    {standin.Character{}, record("a-shop", "TXT", `"`+mark+`"`), "by the TXT record at a-shop.example.com"},
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
				if got := z.Values(zoneName, test.obstacle.Name, test.obstacle.Type); len(got) != 1 {
					t.Errorf("the %s is gone", test.obstacle.Type)
				}
				lines := l.logged("error", `shop`)
				if len(lines) == 0 || test.told != "" && (len(lines) != 1 || !strings.Contains(l.wholeLog(), test.told)) {
					t.Errorf("want one error that names shop and says %s: %v", test.told, lines)
				}
				if _, body := l.ask(http.MethodGet, "status"); !strings.Contains(body, `"in_sync": false`) {
					t.Errorf("not out of sync: %s", body)
				}
			})
		})
	}
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
		if most != 8 {
			t.Errorf("%d calls at a time", most)
		}
		// 40 zones, 3 calls of a second each, 8 at a time.
		if took := last.Sub(began); took != 15*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestAddressGoesBack: a write that was accepted and lost must not be taken for
// one that is on its way when the same address is found again.
func TestAddressGoesBack(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr1)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"verify_interval": "24h",`, 1))
		l.wait(time.Minute)
		// The provider says yes, and loses it.
		z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.Set {
				return standin.Fault{Lost: true}
			}
			return standin.Fault{}
		})
		l.address(addr2)
		l.wait(6 * time.Minute)
		z.Fail(nil)
		l.address(addr3)
		l.wait(6 * time.Minute)
		l.address(addr2)
		l.wait(6 * time.Minute)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v", got)
		}
		before := z.Count(standin.Get, "")
		l.wait(24 * time.Hour)
		if n := z.Count(standin.Get, "") - before; n > 2 {
			t.Errorf("%d reads on a quiet day, as if something were unverified", n)
		}
	})
}

// TestHangingCallsLeaveRoom: as many calls as may run at a time hang, and a
// further zone of the account is kept all the same.
func TestHangingCallsLeaveRoom(t *testing.T) {
	bubble(t, func(l *lab) {
		var zones, domains []string
		for i := range 8 + 1 {
			zones = append(zones, fmt.Sprintf("z%d.test.", i))
			domains = append(domains, fmt.Sprintf(`"z%d.test": ["www"]`, i))
		}
		z := standin.New(standin.Character{}, zones...)
		l.address(addr1)
		l.load(appConfig(z.Register(), "{"+strings.Join(domains, ",")+"}"))
		l.wait(time.Minute)
		release := make(chan struct{})
		defer close(release)
		z.Fail(func(c standin.Call) standin.Fault {
			if c.Zone != zones[8] {
				return standin.Fault{Do: func() { <-release }}
			}
			return standin.Fault{}
		})
		l.address(addr2)
		l.wait(10 * time.Minute)
		if got := z.Values(zones[8], "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("the zone of which no call hangs has %v", got)
		}
	})
}

// TestUpdateOnlyReadsAnew: a record that was deleted a moment ago is not
// created, though it was there when the zone was last read.
func TestUpdateOnlyReadsAnew(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr2)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), "{", `{"update_only": true, "check_interval": "2s",`, 1))
		l.wait(5 * time.Second)
		z.Drop(zoneName, "www", "A")
		l.address(addr3)
		l.wait(time.Minute)
		if got := z.Snapshot(zoneName); len(got) > 0 {
			t.Errorf("created %v", got)
		}
	})
}

// TestSameFailureIsSaidSeldom: also when each has an ID of its own.
func TestSameFailureIsSaidSeldom(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Fail(func(c standin.Call) standin.Fault {
			return standin.Fault{Err: fmt.Errorf("https response error StatusCode: 403, RequestID: %x0f4a4e-9a7c-4f0e-8c1d-aa9f2c7be0d1, AccessDenied", 0xabc1+c.N*0x1357)}
		})
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(12 * time.Hour)
		if n := len(l.logged("error", "")); n > 10 {
			t.Errorf("%d error lines in twelve hours of the same failure", n)
		}
	})
}

// TestRefusedIsNotForgotten: an RRset that failed alone is tried again beside
// others that work, also where nothing can be read.
func TestRefusedIsNotForgotten(t *testing.T) {
	for name, character := range map[string]standin.Character{"no reads": {NoGet: true}, "reads fail": {ReadsFail: true}, "reads": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(character, zoneName)
				failures := 0
				z.Fail(func(c standin.Call) standin.Fault {
					for _, rr := range c.Records {
						if rr.Name == "bad" && rr.Type == "A" && failures < 4 {
							failures++
							return standin.Fault{Err: errNetwork}
						}
					}
					return standin.Fault{}
				})
				l.address(addr1)
				l.load(appConfig(z.Register(), `{"example.com": ["bad", "a", "b"]}`))
				// It fails with the others and alone; then there is more to write.
				l.wait(time.Second)
				l.address(addr1, addr6)
				l.wait(30 * time.Minute)
				if got := z.Values(zoneName, "bad", "A"); !slices.Equal(got, []string{addr1}) {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}
