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
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

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

// TestPanickingSource: what goes wrong in a source stays there, whatever it is
// asked.
func TestPanickingSource(t *testing.T) {
	for asked, want := range map[string]string{"": addr1, "who confirms an address": "198.41.0.4", "why an address is none": addr1} {
		t.Run(asked, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				l.address(addr1)
				l.load(fmt.Sprintf(`{"ip_sources": [{"source": "panics", "asked": %q}, {"source": "fake"}], "dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "watch": false}`, asked, z.Register()))
				l.wait(time.Hour)
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{want}) {
					t.Errorf("got %v", got)
				}
				if lines := l.logged("error", "panicked"); len(lines) > 1 {
					t.Errorf("logged %d times in an hour", len(lines))
				}
			})
		})
	}
}

// panicSource panics when it is asked for addresses, or for what it says.
type panicSource struct {
	fakeSource
	Asked string `json:"asked,omitempty"`
}

func (*panicSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.panics", New: func() caddy.Module { return new(panicSource) }}
}

func (s *panicSource) GetIPs(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
	switch s.Asked {
	case "who confirms an address":
		return []netip.Addr{netip.MustParseAddr("198.41.0.4")}, nil
	case "why an address is none":
		return []netip.Addr{netip.MustParseAddr("192.168.1.1")}, nil
	}
	panic("no idea")
}

func (*panicSource) ConfirmedBy(netip.Addr) []string { panic("no idea who") }

func (*panicSource) ExplainRefusal(netip.Addr) string { panic("no idea why") }

func init() { caddy.RegisterModule(new(panicSource)) }

// watched makes the app see the events that the test sends, and no others.
func watched(t *testing.T) chan<- struct{} {
	events := make(chan struct{})
	heard(t)
	real := watchAddresses
	watchAddresses = func(context.Context, *zap.Logger) <-chan struct{} { return events }
	t.Cleanup(func() { watchAddresses = real })
	return events
}

// heard makes the app hear an announcement of the gateway for each value that
// the test sends.
func heard(t *testing.T) chan<- struct{} {
	announcements := make(chan struct{})
	real := hearGateway
	hearGateway = func(ctx context.Context, changed func(), _ *zap.Logger) {
		for {
			select {
			case <-announcements:
				changed()
			case <-ctx.Done():
				return
			}
		}
	}
	t.Cleanup(func() { hearGateway = real })
	return announcements
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

// TestGatewayAnnounces: whatever the sources, they are asked when the gateway
// announces a change.
func TestGatewayAnnounces(t *testing.T) {
	bubble(t, func(l *lab) {
		watched(t)
		announcements := heard(t)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": true`, 1))
		l.wait(time.Minute)
		l.address(addr2)
		announcements <- struct{}{}
		l.wait(0)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v", got)
		}
	})
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

// TestNetworkIsNotReady: when something changes here, what is beyond may take a
// moment longer, such as a name server or a session with the provider. That is
// waited for a minute, and then asked for at the usual pace.
func TestNetworkIsNotReady(t *testing.T) {
	bubble(t, func(l *lab) {
		events := watched(t)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": true, "versions": {"ipv6": false}`, 1))
		l.wait(time.Minute)
		l.fail(errNetwork)
		events <- struct{}{}
		l.wait(3 * time.Second)
		l.address(addr2)
		l.wait(4 * time.Second)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("got %v 4 s after the network was ready", got)
		}
		l.wait(4 * time.Minute)
		l.fail(errNetwork)
		before := l.timesAsked()
		events <- struct{}{}
		l.wait(time.Hour)
		if n := l.timesAsked() - before; n < 12+5 || n > 13+7 {
			t.Errorf("asked %d times in an hour without a network", n)
		}
	})
}

// TestCheckCutOff: a check that a reload cuts off is not lost.
func TestCheckCutOff(t *testing.T) {
	bubble(t, func(l *lab) {
		events := watched(t)
		z := standin.New(standin.Character{}, zoneName)
		config := strings.Replace(appConfig(z.Register(), `{"example.com": ["www"]}`), `"watch": false`, `"watch": true`, 1)
		l.address(addr1)
		l.load(config)
		l.wait(time.Minute)
		l.slow = map[ipaddr.Family]time.Duration{ipaddr.V4: 10 * time.Second}
		l.address(addr2)
		events <- struct{}{}
		l.wait(time.Second)
		l.load(config)
		l.wait(11 * time.Second)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
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
		l.slow = map[ipaddr.Family]time.Duration{ipaddr.V6: 40 * time.Second}
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
		l.slow = map[ipaddr.Family]time.Duration{ipaddr.V4: 50 * time.Minute, ipaddr.V6: 50 * time.Minute}
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

// noticingSource is a source that notices changes itself.
type noticingSource struct{ fakeSource }

var notices = make(chan chan struct{}, 1)

func (*noticingSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.notices", New: func() caddy.Module { return new(noticingSource) }}
}

func (*noticingSource) Notify(ctx context.Context, changed func()) {
	mine := make(chan struct{})
	notices <- mine
	for {
		select {
		case <-mine:
			changed()
		case <-ctx.Done():
			return
		}
	}
}

func init() { caddy.RegisterModule(new(noticingSource)) }

// TestNotice: what a source notices is a reason to ask all of them, unless
// watching is off.
func TestNotice(t *testing.T) {
	for _, watch := range []bool{true, false} {
		t.Run(fmt.Sprint("watch ", watch), func(t *testing.T) {
			bubble(t, func(l *lab) {
				watched(t)
				z := standin.New(standin.Character{}, zoneName)
				l.address(addr1)
				l.load(fmt.Sprintf(`{"ip_sources": [{"source": "notices"}], "dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "watch": %t}`, z.Register(), watch))
				l.wait(time.Minute)
				l.address(addr2)
				want := addr1
				select {
				case mine := <-notices:
					want = addr2
					mine <- struct{}{}
					l.wait(0)
				default:
				}
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{want}) || watch != (want == addr2) {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}
