package dynamicdns

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// talkativeSource gives addresses of both families, whatever it is asked for,
// and notes the families that it is asked for.
type talkativeSource struct{ fakeSource }

var askedFor struct {
	sync.Mutex
	families [ipaddr.Families]int
}

func init() { caddy.RegisterModule(new(talkativeSource)) }

func (*talkativeSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.talkative", New: func() caddy.Module { return new(talkativeSource) }}
}

func (s *talkativeSource) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	askedFor.Lock()
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if enabledIn(&settings.IPVersions, f) {
			askedFor.families[f]++
		}
	}
	askedFor.Unlock()
	return s.fakeSource.GetIPs(ctx, settings)
}

// TestOneFamily: a family that is turned off is not asked for, not written,
// and not spoken of, whatever the zone holds of it and whatever goes wrong.
func TestOneFamily(t *testing.T) {
	const stale6 = "2606:2800:220:1::bad"
	for _, test := range []struct {
		versions    string
		on, off     ipaddr.Family
		want, stale string
	}{
		{`{"ipv6": false}`, ipaddr.V4, ipaddr.V6, addr1, stale6},
		{`{"ipv4": false}`, ipaddr.V6, ipaddr.V4, addr6, "192.0.2.66"},
	} {
		t.Run(test.on.String(), func(t *testing.T) {
			bubble(t, func(l *lab) {
				askedFor.families = [ipaddr.Families]int{}
				z := standin.New(standin.Character{}, zoneName)
				z.Put(zoneName, record("www", test.off.RRType(), test.stale), record("alias", "CNAME", "www.example.net."))
				name := z.Register()
				config := func(versions string) string {
					return fmt.Sprintf(`{
						"ip_sources": [{"source": "talkative"}], "watch": false, "versions": %s,
						"dns_provider": {"name": %q}, "domains": {"example.com": ["www", "new", "alias"]}
					}`, versions, name)
				}
				l.address(addr1, addr6, "192.168.1.1", "fd00::1")
				l.load(config(test.versions))
				l.wait(24 * time.Hour)
				l.fail(errNetwork)
				l.wait(time.Hour)
				l.address()
				l.wait(time.Hour)
				l.address(addr1, addr6)
				l.wait(2 * time.Hour)

				if n := askedFor.families; n[test.on] == 0 || n[test.off] != 0 {
					t.Errorf("asked for the families %v times", n)
				}
				wantHolds(t, z, zoneName, "www.example.com "+test.want, "new.example.com "+test.want,
					"www.example.com "+test.stale, "alias.example.com www.example.net.")
				for _, key := range z.Touched(zoneName) {
					if key.Type != test.on.RRType() {
						t.Errorf("touched %v", key)
					}
				}
				wantSilence(t, l.logged("debug", ""), test.off)
				if lines := l.logged("error", test.on.RRType()+`"`); len(lines) != 1 || lines[0]["name"] != "alias" {
					t.Errorf("want the CNAME to be reported once, for the family that it is in the way of: %v", lines)
				}
			})
		})
	}
}

// TestFamilyTurnedOff: with the family its failures, its pauses and what was
// still to be seen are forgotten.
func TestFamilyTurnedOff(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		fault     func(standin.Call) standin.Fault
	}{
		"fails": {standin.Character{}, func(c standin.Call) standin.Fault {
			if slices.ContainsFunc(c.Records, func(rr libdns.RR) bool { return rr.Type == "AAAA" }) {
				return standin.Fault{Err: errNetwork}
			}
			return standin.Fault{}
		}},
		"shown late": {standin.Character{ReadsLag: 20 * time.Minute}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				z.Fail(test.fault)
				l.address(addr1, addr6)
				config := appConfig(z.Register(), `{"example.com": ["www"]}`)
				l.load(config)
				l.wait(time.Minute)
				l.load(strings.Replace(config, "{", `{"versions": {"ipv6": false},`, 1))
				before := len(l.logged("debug", ""))
				l.wait(40 * time.Minute)
				settled := z.Count("", "")
				l.wait(24 * time.Hour)
				wantSilence(t, l.logged("debug", "")[before:], ipaddr.V6)
				if n := z.Count("", "") - settled; n > 27 {
					t.Errorf("%d calls in a quiet day", n)
				}
				if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
					t.Errorf("A is %v", got)
				}
			})
		})
	}
}

// wantSilence fails for lines that speak of the family.
func wantSilence(t *testing.T, lines []map[string]any, f ipaddr.Family) {
	t.Helper()
	for _, line := range lines {
		text := fmt.Sprint(line)
		spoken := strings.Contains(text, f.String()) || slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r < 'A' || r > 'Z' }), f.RRType())
		for _, addr := range [ipaddr.Families][]string{ipaddr.V4: {addr1, "192.168.1.1", "192.0.2.66"}, ipaddr.V6: {addr6, "fd00::1", "2606:2800:220:1::bad"}}[f] {
			spoken = spoken || strings.Contains(text, addr)
		}
		if spoken {
			t.Errorf("spoke of %s: %v", f, line)
		}
	}
}

// TestForgotten: what a configuration does not look for may change unseen, so a
// later one that does waits for it and publishes nothing of the past.
func TestForgotten(t *testing.T) {
	names, device := `"domains": {"example.com": ["%s"]}`, `"devices": {"example.com": {"%s": ["::7"]}}`
	for name, test := range map[string]struct {
		with, without string
		rrtype, want  string
	}{
		"a prefix":  {names + "," + device, names, "AAAA", "2606:2800:999:1::7"},
		"addresses": {device + "," + names, device, "A", addr2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				load := func(what string, names ...any) {
					t.Helper()
					l.load(fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "dns_provider": {"name": %q}, "watch": false, `, z.Register()) + fmt.Sprintf(what, names...) + "}")
				}
				l.address(addr1, addr6)
				load(test.with, "first", "last")
				l.wait(time.Minute)
				load(test.without, "first")
				l.wait(time.Hour)
				l.address(addr2, "2606:2800:999:1::1")
				l.wait(time.Hour)

				l.slow = map[ipaddr.Family]time.Duration{ipaddr.V4: 30 * time.Second, ipaddr.V6: 30 * time.Second}
				load(test.with, "first", "new")
				l.wait(29 * time.Second)
				if got := z.Values(zoneName, "new", test.rrtype); len(got) > 0 {
					t.Errorf("published %v before anything is known", got)
				}
				l.wait(2 * time.Second)
				if got := z.Values(zoneName, "new", test.rrtype); !slices.Equal(got, []string{test.want}) {
					t.Errorf("got %v, want %s", got, test.want)
				}
			})
		})
	}
}

// TestLostFamily: a family that is gone is told of in every way, also across a
// reload, and DNS stays as it is.
func TestLostFamily(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.loadRecording(config)
		l.wait(time.Hour)
		takeEvents()
		found := func(when string, v4, v6 float64) {
			t.Helper()
			l.wantSamples(when, map[string]float64{
				"address_found{family=ipv4,group=default}": v4, "address_found{family=ipv6,group=default}": v6,
			})
		}
		health := func(when string, want int, because string) {
			t.Helper()
			if code, body := l.ask(http.MethodGet, "health"); code != want || !strings.Contains(body, because) {
				t.Errorf("%s: health is %d %s", when, code, body)
			}
		}

		l.address(addr1)
		l.ask(http.MethodPost, "check")
		gone := time.Now()
		found("the first miss", 1, 0)
		l.wantSamples("the first miss", map[string]float64{
			"address_found_since_timestamp_seconds{family=ipv6,group=default}":          float64(gone.Unix()),
			"address_info{address=" + addr6 + ",family=ipv6,group=default,source=fake}": 1,
		})
		wantEvents(t, "the first miss")
		l.wait(14 * time.Minute)
		wantEvents(t, "three misses", `address_lost {"addresses":["`+addr6+`"],"error":"fake: knows no address that may be published","family":"ipv6"}`)
		if lines := l.logged("warn", ""); len(lines) != 1 || lines[0]["family"] != "ipv6" {
			t.Errorf("want one warning that names the family, got %v", lines)
		}
		health("14 minutes", http.StatusOK, "")
		l.loadRecording(config)
		l.wait(time.Minute)
		health("15 minutes", http.StatusServiceUnavailable, "no IPv6 address has been found for 15m: fake: knows no address")
		l.wait(24 * time.Hour)
		wantEvents(t, "a day later")
		wantHolds(t, z, zoneName, "www.example.com "+addr1, "www.example.com "+addr6)

		l.address(addr1, addr6)
		l.ask(http.MethodPost, "check")
		l.wait(0)
		wantEvents(t, "it is back", fmt.Sprintf(`address_found {"addresses":["%s"],"after":%d,"family":"ipv6","source":"fake"}`, addr6, int(time.Since(gone).Seconds())))
		found("it is back", 1, 1)
		health("it is back", http.StatusOK, "")
		if n := len(l.logged("info", "address known again")); n != 1 {
			t.Errorf("said %d times that it is back", n)
		}
	})
}

// TestNeverAnyAddress: five minutes after the start it is unhealthy to know
// nothing, also across reloads; a machine that has one family is well.
func TestNeverAnyAddress(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "AAAA", addr6))
		l.fail(errNetwork)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.load(config)
		missing := func() bool {
			_, body := l.ask(http.MethodGet, "health")
			return strings.Contains(body, "no address has been found since the start: fake: network is unreachable")
		}
		l.wait(4 * time.Minute)
		l.load(config)
		if missing() {
			t.Error("missed within 5 minutes")
		}
		l.wait(time.Minute)
		if !missing() {
			t.Error("not missed after 5 minutes")
		}
		l.address(addr1)
		l.wait(2 * time.Minute)
		if code, body := l.ask(http.MethodGet, "health"); code != http.StatusOK {
			t.Errorf("health of a machine without IPv6 is %d %s", code, body)
		}
		if _, body := l.ask(http.MethodGet, "status"); !strings.Contains(body, "this machine has had none since the start") {
			t.Errorf("the status does not speak of the stranger's address: %s", body)
		}
		// It goes on to be well when the provider fails for a while.
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.ask(http.MethodPost, "check")
		if code, body := l.ask(http.MethodGet, "health"); code != http.StatusOK {
			t.Errorf("health is %d %s", code, body)
		}
	})
}

// TestAddressOnItsWay: an address that was found and has not come to the zone
// yet is not in sync.
func TestAddressOnItsWay(t *testing.T) {
	bubble(t, func(l *lab) {
		l.address(addr1)
		l.load(appConfig(standin.New(standin.Character{}, zoneName).Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		app, err := activeApp()
		if err != nil {
			t.Fatal(err)
		}
		behind := reconcile.Snapshot{Records: []reconcile.Record{
			{Key: plan.Key{Name: "www", Family: ipaddr.V4}, Desired: &plan.Desired{}},
			{Key: plan.Key{Name: "www", Family: ipaddr.V6}, Desired: &plan.Desired{}},
		}}
		if got := app.current().zones[0].records(behind); len(got) != 1 || got[0].State != status.StatePending || got[0].InSync != nil {
			t.Errorf("got %+v", got)
		}
	})
}
