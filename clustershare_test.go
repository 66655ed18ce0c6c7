package dynamicdns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

func hasSet(t *testing.T, z *standin.Zones, name, typ string, want ...string) {
	t.Helper()
	if got := z.Values(zoneName, name, typ); !slices.Equal(got, want) {
		t.Errorf("%s %s holds %q, want %q", name, typ, got, want)
	}
}

// sharing has the peer share these sets, in place of what it has.
func (p *peer) sharing(sets ...lease.Set) {
	p.mu.Lock()
	p.sets = sets
	p.mu.Unlock()
	p.member.Poke()
}

func (p *peer) set(addr string, names ...string) lease.Set {
	s := lease.Set{ZoneID: p.zone, Names: names}
	a := netip.MustParseAddr(addr)
	s.Found[ipaddr.FamilyOf(a)] = &lease.Found{Addrs: []netip.Addr{a}, Source: "peer"}
	return s
}

// TestClusterDevices: a device has the prefix of the instance that found it,
// whoever writes, and both where two have it.
func TestClusterDevices(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		boxKnows("2606:2800:220:1::/64", nil)
		l.load(strings.Replace(devicesConfig(module, `{"nas": ["::1"], "both": ["::2"]}`, `, "cluster": {"name": "b"}, "check_interval": "1m"`), `"fake"`, `"box"`, 1))
		l.wait(time.Minute)
		p := l.peer("c", module, addr2)
		p.sharing(p.set("2606:2800:220:2::1", "printer"), p.set("2606:2800:220:2::2", "both"))
		l.wait(time.Minute)
		hasSet(t, z, "nas", "AAAA", "2606:2800:220:1::1")
		hasSet(t, z, "printer", "AAAA", "2606:2800:220:2::1")
		hasSet(t, z, "both", "AAAA", "2606:2800:220:1::2", "2606:2800:220:2::2")
		boxKnows("2606:2800:220:3::/64", nil)
		p.sharing(p.set("2606:2800:220:4::1", "printer"), p.set("2606:2800:220:4::2", "both"))
		l.wait(2 * time.Minute)
		hasSet(t, z, "nas", "AAAA", "2606:2800:220:3::1")
		hasSet(t, z, "printer", "AAAA", "2606:2800:220:4::1")
		hasSet(t, z, "both", "AAAA", "2606:2800:220:3::2", "2606:2800:220:4::2")
	})
}

// TestClusterUpdateOnly: no record is created, of this instance or of another,
// and those that are there get the addresses of all.
func TestClusterUpdateOnly(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("www", "A", addr3), record("theirs", "A", addr3))
		module := z.Register()
		l.address(addr1)
		l.load(strings.Replace(clusterConfig(module), `{"dns_provider"`, `{"update_only": true, "dns_provider"`, 1))
		l.wait(time.Minute)
		p := l.peer("c", module, addr2)
		theirs := p.set(addr2, "theirs", "absent")
		theirs.UpdateOnly = true
		p.sharing(p.set(addr2, "www"), theirs)
		l.wait(time.Minute)
		hasSet(t, z, "www", "A", addr1, addr2)
		hasSet(t, z, "theirs", "A", addr2)
		hasSet(t, z, "absent", "A")
	})
}

// TestClusterVerify: the one that writes alone reads the zone, as often as configured,
// and repairs what others have changed, of other instances' names too.
func TestClusterVerify(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address(addr1)
		l.load(strings.Replace(clusterConfig(module), `{"dns_provider"`, `{"verify_interval": "10m", "dns_provider"`, 1))
		l.wait(time.Minute)
		l.peer("c", module, addr2, "only")
		l.wait(time.Minute)
		calls := z.Count("", "")
		l.wait(45 * time.Minute)
		if n := z.Count("", "") - calls; n < 3 || n > 5 {
			t.Errorf("%d calls in 45 minutes of verifying each ten", n)
		}
		z.Drop(zoneName, "only", "A")
		z.Drop(zoneName, "www", "A")
		l.wait(12 * time.Minute)
		hasSet(t, z, "www", "A", addr1, addr2)
		hasSet(t, z, "only", "A", addr2)
	})
}

// TestClusterProviders: each zone at each provider has its own writer, and one
// zone in two accounts is written by one instance, each name by its account.
func TestClusterProviders(t *testing.T) {
	bubble(t, func(l *lab) {
		z, other := standin.New(standin.Character{}, zoneName), standin.New(standin.Character{}, zoneName, "example.net.")
		module, second := z.Register(), other.Register()
		group := func(provider, token, domains string) string {
			return `{"dns_provider": {"name": "` + provider + `", "token": "` + token + `"}, "domains": {` + domains + `}}`
		}
		l.address(addr1)
		l.load(`{"watch": false, "ip_sources": [{"source": "fake"}], "versions": {"ipv6": false}, "cluster": {"name": "b"}, "providers": [` +
			group(module, "one", `"example.com": ["www", "one"]`) + "," + group(module, "two", `"example.com": ["two"]`) + "," +
			group(second, "one", `"example.net": ["www"]`) + `]}`)
		l.wait(time.Minute)
		p := l.peer("c", second, addr2)
		elsewhere := p.set(addr2, "www")
		elsewhere.Zone = "example.net."
		at := p.set(addr2, "two", "three")
		at.Provider = module
		p.sharing(elsewhere, at)
		l.wait(time.Minute)
		hasSet(t, z, "www", "A", addr1)
		hasSet(t, z, "two", "A", addr1, addr2)
		hasSet(t, z, "three", "A", addr2)
		if got := other.Values("example.net.", "www", "A"); !slices.Equal(got, []string{addr1, addr2}) {
			t.Errorf("at the other provider: %q", got)
		}
		written := make(map[string]int)
		for _, c := range z.Calls() {
			for _, rr := range c.Records {
				if c.Method != standin.Get {
					written[rr.Name+" "+rr.Data]++
				}
			}
		}
		for what, n := range written {
			if n > 2 {
				t.Errorf("%s was written %d times", what, n)
			}
		}
		for _, s := range activeStatus(t).Zones {
			if s.Writer != "b" || !isTrue(s.InSync) {
				t.Errorf("status of %s at %s: %+v", s.Zone, s.Provider, s)
			}
		}
	})
}

// TestClusterPlan: what would change, asked of one that does not write and does
// not have all names, is right for all.
func TestClusterPlan(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address(addr1)
		p := l.peer("c", module, addr2)
		l.wait(time.Minute)
		p.sharing(p.set(addr2, "www", "theirs"))
		l.load(clusterConfig(module))
		l.wait(time.Minute)
		if s := status1(t); s.Writer != "c" {
			t.Fatalf("the writer is %q", s.Writer)
		}
		plan := running1(t).dryRun(context.Background(), nil)
		var changes []string
		for _, c := range plan.Zones[0].Changes {
			changes = append(changes, c.Name+" "+strings.Join(texts(c.To), " "))
		}
		if want := []string{"theirs " + addr2, "www " + addr1 + " " + addr2}; !slices.Equal(changes, want) {
			t.Errorf("planned: %q, want %q", changes, want)
		}
	})
}

func texts(addrs []netip.Addr) (list []string) {
	for _, addr := range addrs {
		list = append(list, addr.String())
	}
	return list
}

// TestClusterNamesakes: two live instances of one name are an error that this
// one reports in log, status and health, and one of both writes nothing.
func TestClusterNamesakes(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		module := z.Register()
		l.address(addr1)
		l.load(clusterConfig(module))
		l.wait(time.Minute)
		p := l.peer("b", module, addr2)
		l.wait(time.Minute)
		if n := len(l.logged("error", "another instance has the same name")); n != 1 {
			t.Errorf("%d lines of it", n)
		}
		if p.member.Status().CutOff == nil && activeStatus(t).Health().Healthy {
			t.Error("neither is said to be cut off")
		}
	})
}
