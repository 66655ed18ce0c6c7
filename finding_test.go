package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// notEmptied fails the test if an RRset was without a record for a moment.
func notEmptied(t *testing.T, z *standin.Zones) {
	t.Helper()
	if emptied := z.Emptied(zoneName); len(emptied) > 0 {
		t.Errorf("without a record for a moment: %v", emptied)
	}
}

// TestAwaitedIsNotWithdrawn: a reload takes away nothing that the configuration
// after it publishes again once its zone is found.
func TestAwaitedIsNotWithdrawn(t *testing.T) {
	inDNS(t)
	for name, before := range map[string]func(module string) string{
		"another token": func(module string) string {
			return strings.Replace(hostsConfig(module, `"hosts": ["www.example.com"]`), `"name": `, `"token": "another-token", "name": `, 1)
		},
		"in domains": func(module string) string {
			return hostsConfig(module, `"domains": {"example.com": ["www"]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{ListsZones: true, Latency: 300 * time.Millisecond}, zoneName)
				module := z.Register()
				l.address(addr1)
				l.load(withdrawing(before(module)))
				l.wait(time.Minute)
				hasA(t, z, "www", addr1)
				l.load(withdrawing(hostsConfig(module, `"hosts": ["www.example.com"]`)))
				l.wait(time.Minute)
				hasA(t, z, "www", addr1)
				notEmptied(t, z)
				l.exit()
				hasA(t, z, "www")
			})
		})
	}
}

// TestIncompleteList: a list without a zone that the provider still has changes
// nothing, be it that another zone is above it.
func TestIncompleteList(t *testing.T) {
	for _, members := range []string{`"dynamic_domains": true`, `"hosts": ["www.example.com", "www.elsewhere.example"]`} {
		for _, noGet := range []bool{false, true} {
			inDNS(t)
			bubble(t, func(l *lab) {
				var incomplete atomic.Bool
				z := standin.New(standin.Character{ListsZones: true, NoGet: noGet, ListAs: func(all []libdns.Zone) []libdns.Zone {
					if incomplete.Load() {
						return all[:1]
					}
					return all
				}}, "com.", zoneName)
				l.address(addr1)
				if err := l.tryLoad(withdrawing(hostsConfig(z.Register(), members)), sites(t, "www.example.com, www.elsewhere.example")); err != nil {
					t.Fatal(err)
				}
				l.wait(time.Minute)
				incomplete.Store(true)
				l.wait(3 * time.Hour)
				hasA(t, z, "www", addr1)
				notEmptied(t, z)
				if got := z.Snapshot("com."); len(got) > 0 {
					t.Errorf("published above its zone: %v", got)
				}
			})
		}
	}
}

// TestZoneInDoubt: when the provider says once that it has no such zone, and no
// name server answers, the zone stays what it was.
func TestZoneInDoubt(t *testing.T) {
	inDNS(t, zoneName)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(withdrawing(hostsConfig(z.Register(), `"hosts": ["www.example.com"]`)))
		l.wait(time.Minute)
		locateZone = func(context.Context, *zap.Logger, string) (string, error) { return "", errors.New("timeout") }
		z.Fail(standin.OnCall(standin.Set, standin.Fault{Err: errors.New("zone not found")}, 2))
		l.address(addr2)
		l.wait(2 * time.Hour)
		hasA(t, z, "www", addr2)
		notEmptied(t, z)
		if lines := l.logged("warn", "zone not found"); len(lines) == 0 {
			t.Error("the provider was not made to say so")
		}
	})
}

// TestBlindProvider: where the provider can be asked neither for its zones nor for
// what is in one, a zone in DNS does not count as the provider's, unless the name
// is written and there never was a list.
func TestBlindProvider(t *testing.T) {
	inDNS(t, "foreign.example.")
	for _, members := range []string{`"dynamic_domains": true`, `"hosts": ["www.foreign.example"]`} {
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{ListsZones: true, NoGet: true, Fault: func(c standin.Call) standin.Fault {
				if c.Method == standin.List && strings.Contains(members, "dynamic_domains") {
					return standin.Fault{Err: errors.New("503 service unavailable")}
				}
				return standin.Fault{}
			}}, zoneName)
			l.address(addr1)
			if err := l.tryLoad(hostsConfig(z.Register(), members), sites(t, "www.foreign.example")); err != nil {
				t.Fatal(err)
			}
			l.wait(time.Hour)
			if n := z.Count(standin.Set, ""); n > 0 {
				t.Errorf("%s: %d writes to a zone that is not the provider's", members, n)
			}
			if got := fmt.Sprint(withoutZone(t)); !strings.Contains(got, "www.foreign.example") {
				t.Errorf("%s: without a zone: %s", members, got)
			}
		})
	}
}

// TestManyZonesFoundAtOnce: what is written as soon as its zone is found is in the
// ledger first.
func TestManyZonesFoundAtOnce(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		var zones, hosts []string
		for i := range 40 {
			zones = append(zones, fmt.Sprintf("zone%d.example.", i))
			hosts = append(hosts, fmt.Sprintf(`"www.zone%d.example"`, i))
		}
		z := standin.New(standin.Character{ListsZones: true, NoGet: true}, zones...)
		l.address(addr1)
		l.load(withdrawing(hostsConfig(z.Register(), `"hosts": [`+strings.Join(hosts, ", ")+`]`)))
		l.wait(5 * time.Minute)
		if got := z.Values(zones[39], "www", "A"); len(got) != 1 {
			t.Errorf("published: %v", got)
		}
		if n := len(l.ledgers()); n != len(zones) {
			t.Errorf("%d ledgers, want %d", n, len(zones))
		}
		l.exit()
	})
}

// TestProvidersAnswerApart: of several providers that may have a host's zone, none
// gets the name before all have answered, or failed to.
func TestProvidersAnswerApart(t *testing.T) {
	inDNS(t)
	for name, test := range map[string]struct {
		slow         int
		zone1, zone2 string
		have1, have2 []string
	}{
		"the first one is slow":         {1, zoneName, zoneName, at(addr1, "www.sub.example.com"), nil},
		"the second one is slow":        {2, zoneName, zoneName, at(addr1, "www.sub.example.com"), nil},
		"the one of the longer is slow": {2, zoneName, "sub.example.com.", nil, at(addr1, "www.sub.example.com")},
		"the one of the longer hangs":   {3, zoneName, "sub.example.com.", at(addr1, "www.sub.example.com"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				slow := func(which int) standin.Character {
					c := standin.Character{ListsZones: true}
					switch {
					case which == test.slow:
						c.Latency = 3 * time.Second
					case which == 2 && test.slow == 3:
						c.Latency, c.IgnoresContext = time.Hour, true
					}
					return c
				}
				z1 := standin.New(slow(1), test.zone1)
				z2 := standin.New(slow(2), test.zone2)
				l.address(addr1)
				if err := l.tryLoad(fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "watch": false, "versions": {"ipv6": false}, "providers": [
					{"dns_provider": {"name": %q}, "dynamic_domains": true}, {"dns_provider": {"name": %q}, "dynamic_domains": true}
				]}`, z1.Register(), z2.Register()), sites(t, "www.sub.example.com")); err != nil {
					t.Fatal(err)
				}
				l.wait(3 * time.Minute)
				wantHolds(t, z1, test.zone1, test.have1...)
				wantHolds(t, z2, test.zone2, test.have2...)
			})
		})
	}
}

// TestListFailsLater: a host that is known to be in no zone of the provider is no
// trouble while the zones cannot be listed.
func TestListFailsLater(t *testing.T) {
	inDNS(t, zoneName)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		l.address(addr1)
		if err := l.tryLoad(hostsConfig(z.Register(), `"dynamic_domains": true`), sites(t, "www.example.com, www.foreign.example")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.List {
				return standin.Fault{Err: errors.New("503")}
			}
			return standin.Fault{}
		})
		l.wait(3 * time.Hour)
		hasA(t, z, "www", addr1)
		if lines := l.logged("warn", "cannot list the zones"); len(lines) != 1 {
			t.Errorf("said: %v", lines)
		}
		if got := health(t); len(got) > 0 {
			t.Errorf("unhealthy: %v", got)
		}
	})
}

// TestReasonsTakeTurns: each reason is said once.
func TestReasonsTakeTurns(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		asked := 0
		locateZone = func(context.Context, *zap.Logger, string) (string, error) {
			asked++
			return "", errors.New([]string{"SERVFAIL", "timeout"}[asked%2])
		}
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		l.address(addr1)
		l.load(hostsConfig(z.Register(), `"hosts": ["www.example.org"]`))
		l.wait(24 * time.Hour)
		if lines := l.logged("error", "no zone was found"); len(lines) != 2 {
			t.Errorf("said %d times: %v", len(lines), lines)
		}
	})
}
