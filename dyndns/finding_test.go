package dyndns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// inDNS has these zones be what name servers show.
func inDNS(t *testing.T, zones ...string) {
	realZone := locateZone
	locateZone = func(_ context.Context, _ *zap.Logger, host string) (string, error) {
		if zone, _, ok := dnsname.Match(host, zones); ok {
			return zone, nil
		}
		return "", errors.New("NXDOMAIN")
	}
	t.Cleanup(func() { locateZone = realZone })
}

// zoneless is the handler without its zones.
func (b *bench) zoneless(more string) string {
	return strings.Replace(b.config(more), `"zones": ["example.com", "example.net"],`, "", 1)
}

// TestFoundZones: where no zones are written, those of the hosts are found, be it
// that the provider lists them or that name servers show them.
func TestFoundZones(t *testing.T) {
	for name, character := range map[string]standin.Character{
		"listed": {ListsZones: true}, "of DNS": {}, "of DNS, without reads": {NoGet: true},
	} {
		t.Run(name, func(t *testing.T) {
			inDNS(t, "example.com.", "example.net.")
			bubble(t, character, func(b *bench) {
				b.load(b.zoneless(""))
				b.update("hostname=home.example.com,www.example.net&myip="+addr1, "200 good "+addr1+"\ngood "+addr1)
				b.expect(origin, "home", "A", addr1)
				b.expect("example.net.", "www", "A", addr1)
				other := func(r *http.Request) { r.SetBasicAuth("other", password) }
				if got := b.do(other, "/?hostname=a.dyn.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
					t.Errorf("one label below: %s", got)
				}
				b.expect(origin, "a.dyn", "A", addr1)
				b.load(b.zoneless(""))
				if n := b.z.Count(standin.List, ""); n > 1 {
					t.Errorf("%d lists", n)
				}
				b.update("hostname=home.example.com&myip="+addr2, "200 good "+addr2)
				// A new process has it on record.
				b.stop()
				b.z.Drop(origin, "home", "A")
				b.z.Drop(origin, "a.dyn", "A")
				b.load(b.zoneless(""))
				time.Sleep(time.Minute)
				if !character.NoGet {
					b.expect(origin, "home", "A", addr2)
					b.expect(origin, "a.dyn", "A", addr1)
				}
			})
		})
	}
}

// TestHostWithoutZone: its client is told so at once, and no other is; what it
// told is published once there is a zone.
func TestHostWithoutZone(t *testing.T) {
	inDNS(t)
	bubble(t, standin.Character{ListsZones: true}, func(b *bench) {
		b.z.RemoveZone("example.net.")
		b.load(b.zoneless(""))
		time.Sleep(time.Minute)
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		began := time.Now()
		b.update("hostname=www.example.net&myip="+addr1, "503 dnserr")
		if took := time.Since(began); took > time.Second {
			t.Errorf("refused after %s", took)
		}
		if lines := b.logged("error", "no zone was found for a name"); len(lines) != 1 || !strings.Contains(lines[0], "www.example.net") {
			t.Errorf("said: %v", lines)
		}
		s := b.status()
		if got := fmt.Sprint(s.Clients[0].Hosts[1]); s.InSync == nil || *s.InSync || s.Clients[0].Hosts[1].State != status.StateFailing || !strings.Contains(got, "the provider has example.com alone") {
			t.Errorf("status: %s", got)
		}
		if h := s.Health(); h.Healthy || !strings.HasPrefix(h.Reasons[0].Reason, "www.example.net: the provider has") {
			t.Errorf("health: %+v", h)
		}
		b.z.Put("example.net.")
		time.Sleep(11 * time.Minute)
		b.expect("example.net.", "www", "A", addr1)
		b.update("hostname=www.example.net&myip="+addr1, "200 nochg "+addr1)
		if s := b.status(); s.InSync == nil || !*s.InSync || !s.Health().Healthy {
			t.Errorf("status: %+v", s)
		}
	})
}

// TestZoneFoundLate: a client whose update comes while the zone is looked for
// waits for it.
func TestZoneFoundLate(t *testing.T) {
	inDNS(t)
	bubble(t, standin.Character{ListsZones: true, Latency: 3 * time.Second}, func(b *bench) {
		b.load(b.zoneless(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		b.expect(origin, "home", "A", addr1)
	})
}

// TestFoundZoneOfALabel: below a name, any label may be a zone of its own.
func TestFoundZoneOfALabel(t *testing.T) {
	inDNS(t)
	bubble(t, standin.Character{ListsZones: true}, func(b *bench) {
		b.z.Put("a.dyn.example.com.")
		b.load(b.zoneless(""))
		time.Sleep(time.Minute)
		other := func(r *http.Request) { r.SetBasicAuth("other", password) }
		if got := b.do(other, "/?hostname=a.dyn.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
			t.Errorf("answered %s", got)
		}
		b.expect("a.dyn.example.com.", "@", "A", addr1)
		b.expect(origin, "a.dyn", "A")
	})
}

// TestFoundZoneGone: hosts move where the provider says that it has no such zone.
func TestFoundZoneGone(t *testing.T) {
	inDNS(t)
	bubble(t, standin.Character{ListsZones: true}, func(b *bench) {
		b.z.Put("dyn.example.com.")
		b.load(b.zoneless(""))
		other := func(r *http.Request) { r.SetBasicAuth("other", password) }
		b.do(other, "/?hostname=a.dyn.example.com&myip="+addr1)
		b.expect("dyn.example.com.", "a", "A", addr1)
		b.z.RemoveZone("dyn.example.com.")
		b.do(other, "/?hostname=a.dyn.example.com&myip="+addr2)
		time.Sleep(20 * time.Minute)
		b.expect(origin, "a.dyn", "A", addr2)
	})
}

// TestZonesOfDynamicDNS: those are taken without looking, and other hosts are
// found.
func TestZonesOfDynamicDNS(t *testing.T) {
	inDNS(t)
	bubble(t, standin.Character{ListsZones: true}, func(b *bench) {
		b.z.Put("home.example.com.")
		b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": ["router"]}, "watch": false, "ip_sources": [{"source": "static", "ips": [%q]}]}`, b.module, addr3)
		b.load(b.zoneless(""))
		b.update("hostname=home.example.com,www.example.net&myip="+addr1, "200 good "+addr1+"\ngood "+addr1)
		b.expect(origin, "home", "A", addr1)
		b.expect("example.net.", "www", "A", addr1)
	})
}

// TestWithdrawFromFoundZone: what clients have told is taken away once no user has
// the host, also from a zone in which there is no other.
func TestWithdrawFromFoundZone(t *testing.T) {
	for name, test := range map[string]struct {
		lists, restart bool
	}{
		"listed": {true, false}, "listed, after a restart": {true, true}, "of DNS": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inDNS(t, "example.com.", "example.net.")
			bubble(t, standin.Character{ListsZones: test.lists}, func(b *bench) {
				config := b.zoneless(`"withdraw": true,`)
				b.load(config)
				b.update("hostname=home.example.com,www.example.net&myip="+addr1, "200 good "+addr1+"\ngood "+addr1)
				if test.restart {
					b.stop()
				}
				b.load(strings.Replace(config, `"home.example.com", "www.example.net"`, `"home.example.com"`, 1))
				time.Sleep(time.Minute)
				b.expect("example.net.", "www", "A")
				b.expect(origin, "home", "A", addr1)
			})
		})
	}
}

// TestFoundZonesOutliveRestart: a client is served from the start on where nobody
// can be asked for the zones of its hosts.
func TestFoundZonesOutliveRestart(t *testing.T) {
	for _, lists := range []bool{true, false} {
		inDNS(t, "example.com.", "example.net.")
		bubble(t, standin.Character{ListsZones: lists}, func(b *bench) {
			b.load(b.zoneless(""))
			b.update("hostname=home.example.com,www.example.net&myip="+addr1, "200 good "+addr1+"\ngood "+addr1)
			b.stop()
			inDNS(t)
			b.z.Fail(func(c standin.Call) standin.Fault {
				if c.Method == standin.List {
					return standin.Fault{Err: errors.New("503 service unavailable")}
				}
				return standin.Fault{}
			})
			b.load(b.zoneless(""))
			time.Sleep(time.Second)
			b.update("hostname=home.example.com,www.example.net&myip="+addr2, "200 good "+addr2+"\ngood "+addr2)
			other := func(r *http.Request) { r.SetBasicAuth("other", password) }
			if got := b.do(other, "/?hostname=a.dyn.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
				t.Errorf("one label below: %s", got)
			}
			b.expect("example.net.", "www", "A", addr2)
		})
	}
}
