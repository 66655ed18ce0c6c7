package thirdparty

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
)

// others are records that are nobody's business but their owner's.
func (p party) others() []record {
	if !p.names {
		return []record{{name: "@", typ: "TXT", data: "hello world", ttl: 60}}
	}
	return []record{
		{name: "@", typ: "A", data: "93.184.216.77", ttl: 3600},
		{name: "@", typ: "A", data: "93.184.216.78", ttl: 3600},
		{name: "www", typ: "TXT", data: "hello world", ttl: 3600},
		{name: "ftp", typ: "CNAME", data: "www.example.com.", ttl: 3600},
		{name: "www.sub", typ: "AAAA", data: "2606:2800:220:1::77", ttl: 3600},
	}
}

// Through Caddy and the real code of each provider, the zone comes to hold
// the machine's addresses, and stays as it is otherwise.
func TestConverges(t *testing.T) {
	for _, p := range parties {
		t.Run(p.name, func(t *testing.T) {
			name := p.someName()
			a, config := p.start(t)
			a.put(p.others()...)
			before := a.others(name)
			takeLogs()
			synctest.Test(t, func(t *testing.T) {
				move(ip1)
				run(t, config, p.zone, name)
				defer func() { _ = caddy.Stop() }()
				within(t, soon, a, name, "A", ip1)

				writes := a.written()
				time.Sleep(3 * time.Hour)
				if n := a.written() - writes; n != 0 {
					t.Errorf("%d writes while nothing changed", n)
				}

				move(ip2)
				within(t, soon, a, name, "A", ip2)

				move(ip2, v6)
				within(t, soon, a, name, "A", ip2)
				within(t, soon, a, name, "AAAA", v6)

				if p.several {
					move(ip1, ip2, v6)
					within(t, soon, a, name, "A", ip1, ip2)
					// Several providers' SetRecords does nothing here.
					move(ip2, v6)
					within(t, soon, a, name, "A", ip2)
					move(ip1, ip3, v6)
					within(t, soon, a, name, "A", ip1, ip3)
				}
				within(t, soon, a, name, "AAAA", v6)
			})
			if after := a.others(name); !slices.Equal(after, before) {
				t.Errorf("other records were\n\t%v\nand have become\n\t%v", before, after)
			}
			if emptied := a.emptied(name); emptied && p.keepsNames {
				t.Error("the name lost all its addresses for a moment")
			}
			if log := takeLogs(); strings.Contains(log, token) || log == "" {
				t.Errorf("the log contains the token, or nothing:\n%s", worth(log))
			}
		})
	}
}

// What stood there before Caddy came: the machine's address and a stale one.
func TestConvergesFromSeveral(t *testing.T) {
	for _, p := range parties {
		if !p.several {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			name := p.someName()
			a, config := p.start(t)
			a.put(record{name: name, typ: "A", data: ip1, ttl: 3600}, record{name: name, typ: "A", data: ip2, ttl: 3600})
			synctest.Test(t, func(t *testing.T) {
				move(ip3)
				run(t, config, p.zone, name)
				defer func() { _ = caddy.Stop() }()
				within(t, soon, a, name, "A", ip3)
			})
		})
	}
}

// An API that is down for an hour: the zone is right soon after, and the
// errors on the way show no token.
func TestConvergesAfterOutage(t *testing.T) {
	for _, p := range parties {
		t.Run(p.name, func(t *testing.T) {
			name := p.someName()
			a, config := p.start(t)
			a.put(record{name: name, typ: "A", data: ip1, ttl: 3600})
			takeLogs()
			synctest.Test(t, func(t *testing.T) {
				a.failing(func(*http.Request) (int, time.Duration) { return http.StatusServiceUnavailable, 0 })
				move(ip2)
				run(t, config, p.zone, name)
				defer func() { _ = caddy.Stop() }()
				time.Sleep(time.Hour)
				wantValues(t, a, name, "A", ip1)
				if n := a.count(""); n < 5 || n > 100*max(1, p.attempts) {
					t.Errorf("%d requests in an hour of outage", n)
				}
				a.failing(nil)
				time.Sleep(11 * time.Minute)
				wantValues(t, a, name, "A", ip2)
			})
			log := takeLogs()
			if !strings.Contains(log, `"level":"error"`) && !strings.Contains(log, `"level":"warn"`) {
				t.Error("nothing was logged about the outage")
			}
			if strings.Contains(log, token) {
				t.Errorf("the log contains the token:\n%s", worth(log))
			}
		})
	}
}

// A zone may be written with or without its trailing dot, and whatever TTL a
// record has, or has not, an update never makes it 0, which some take at its
// word.
func TestZoneWithoutDot(t *testing.T) {
	for _, p := range parties {
		for _, before := range []int{0, 3600} {
			t.Run(fmt.Sprint(p.name, " ", before), func(t *testing.T) {
				name := p.someName()
				a, config := p.start(t)
				a.put(record{name: name, typ: "A", data: ip1, ttl: before})
				synctest.Test(t, func(t *testing.T) {
					move(ip2, v6)
					run(t, config, a.zone, name)
					defer func() { _ = caddy.Stop() }()
					within(t, soon, a, name, "A", ip2)
					within(t, soon, a, name, "AAAA", v6)
					move(ip3, v6)
					within(t, soon, a, name, "A", ip3)
				})
				for _, typ := range []string{"A", "AAAA"} {
					for _, r := range a.rrset(name, typ) {
						// DuckDNS has one TTL for all.
						if r.ttl <= 0 || typ == "A" && before > 0 && p.name != "duckdns" && r.ttl != before {
							t.Errorf("the %s record has a TTL of %d", typ, r.ttl)
						}
					}
				}
			})
		}
	}
}

// A resolver that shows the old address for longer than a check takes does
// not make DuckDNS be written again and again.
func TestLaggingReads(t *testing.T) {
	p := named("duckdns")
	a, config := p.start(t)
	a.put(record{name: "@", typ: "A", data: ip1, ttl: 60})
	synctest.Test(t, func(t *testing.T) {
		move(ip1)
		run(t, config, p.zone, "@")
		defer func() { _ = caddy.Stop() }()
		time.Sleep(time.Minute)
		a.resolver.hold(true)
		move(ip2)
		within(t, soon, a, "@", "A", ip2)
		writes := a.count("GET /update")
		time.Sleep(30 * time.Minute)
		if n := a.count("GET /update") - writes; n != 0 {
			t.Errorf("written %d times more while reads lagged", n)
		}
		a.resolver.hold(false)
		time.Sleep(2 * time.Hour)
		wantValues(t, a, "@", "A", ip2)
		if n := a.count("GET /update") - writes; n > 1 {
			t.Errorf("written %d times more after reads had lagged", n)
		}
	})
}

// soon is the time of a check and a few tries.
const soon = 12 * time.Minute

// within waits until a name and type holds just these values. A value that is
// there twice counts once.
func within(t *testing.T, limit time.Duration, a *account, name, typ string, want ...string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if slices.Equal(slices.Compact(a.values(name, typ)), want) {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%s %s holds %v, want %v; log:\n%s", name, typ, a.values(name, typ), want, worth(takeLogs()))
}
