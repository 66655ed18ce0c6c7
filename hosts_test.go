package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// inDNS has these zones be what name servers show. It returns the hosts that they
// were asked for.
func inDNS(t *testing.T, zones ...string) (asked func() []string) {
	var mu sync.Mutex
	var hosts []string
	realZone := locateZone
	locateZone = func(_ context.Context, _ *zap.Logger, host string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		hosts = append(hosts, host)
		if zone, _, ok := dnsname.Match(host, zones); ok {
			return zone, nil
		}
		return "", errors.New("NXDOMAIN")
	}
	t.Cleanup(func() { locateZone = realZone })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(hosts)
	}
}

func hostsConfig(provider, members string) string {
	return fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "watch": false, "versions": {"ipv6": false}, "dns_provider": {"name": %q}, %s}`, provider, members)
}

func sites(t *testing.T, hosts string) string {
	t.Helper()
	return httpApp(t, hosts+" {\n respond 1\n}\n")
}

func health(t *testing.T) []string {
	t.Helper()
	s, err := currentStatus(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, r := range s.Health().Reasons {
		reasons = append(reasons, r.Reason)
	}
	return reasons
}

// withoutZone are the names without a zone, by the running configuration.
func withoutZone(t *testing.T) map[string]status.State {
	t.Helper()
	s, err := currentStatus(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]status.State)
	for _, g := range s.Groups {
		for _, n := range g.WithoutZone {
			names[n.Name] = n.State
		}
	}
	return names
}

// TestHosts: the zone of a full name is the longest of those of the
// configuration, then of those that the provider lists, then that of DNS.
func TestHosts(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		zones     []string
		inDNS     []string
		members   string
		want      []string
		lists     int
	}{
		"listed": {
			standin.Character{ListsZones: true}, []string{"example.com.", "sub.example.com.", "example.net."}, nil,
			`"hosts": ["www.example.com", "a.sub.example.com", "example.net", "*.example.net", "notexample.com.example.com"]`,
			[]string{"example.com. www", "sub.example.com. a", "example.net. @", "example.net. *", "example.com. notexample.com"}, 1,
		},
		"in domains": {
			standin.Character{ListsZones: true}, []string{"example.com.", "sub.example.com."}, nil,
			`"domains": {"example.com": ["@"]}, "hosts": ["a.sub.example.com"]`,
			[]string{"example.com. @", "example.com. a.sub"}, 0,
		},
		"of DNS, for the provider lists none": {
			standin.Character{}, []string{"example.com.", "sub.example.com."}, []string{"example.com.", "sub.example.com."},
			`"hosts": ["www.example.com", "a.sub.example.com"]`,
			[]string{"example.com. www", "sub.example.com. a"}, 0,
		},
		"of DNS, for the provider cannot be read either": {
			standin.Character{NoGet: true}, []string{"example.com."}, []string{"example.com."},
			`"hosts": ["www.example.com"]`,
			[]string{"example.com. www"}, 0,
		},
		"of DNS, for lists fail": {
			standin.Character{ListsZones: true, Fault: func(c standin.Call) standin.Fault {
				if c.Method == standin.List {
					return standin.Fault{Err: errors.New("403 forbidden")}
				}
				return standin.Fault{}
			}}, []string{"example.com."}, []string{"example.com."},
			`"hosts": ["www.example.com"]`,
			[]string{"example.com. www"}, 12,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inDNS(t, test.inDNS...)
			bubble(t, func(l *lab) {
				z := standin.New(test.character, test.zones...)
				l.address(addr1)
				l.load(hostsConfig(z.Register(), test.members))
				l.wait(time.Minute)
				for _, want := range test.want {
					zone, name, _ := strings.Cut(want, " ")
					if got := z.Values(zone, name, "A"); !slices.Equal(got, []string{addr1}) {
						t.Errorf("%s has %v", want, got)
					}
				}
				l.address(addr2)
				l.wait(10 * time.Minute)
				for _, want := range test.want {
					zone, name, _ := strings.Cut(want, " ")
					if got := z.Values(zone, name, "A"); !slices.Equal(got, []string{addr2}) {
						t.Errorf("%s has %v after a change", want, got)
					}
				}
				if n := z.Count(standin.List, ""); n > test.lists {
					t.Errorf("%d lists, want at most %d", n, test.lists)
				}
				if got := health(t); len(got) > 0 {
					t.Errorf("unhealthy: %v", got)
				}
			})
		})
	}
}

// TestHostsAreRemembered: reloads ask nobody for zones that are known, also for
// a further name in one of them.
func TestHostsAreRemembered(t *testing.T) {
	for _, lists := range []bool{true, false} {
		asked := inDNS(t, zoneName)
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{ListsZones: lists}, zoneName)
			module := z.Register()
			l.address(addr1)
			l.load(hostsConfig(module, `"hosts": ["www.example.com"]`))
			l.wait(time.Minute)
			calls, questions := z.Count("", ""), len(asked())
			for range 20 {
				l.load(hostsConfig(module, `"hosts": ["www.example.com"]`))
				l.wait(time.Second)
			}
			if n := z.Count("", "") - calls; n > 0 || len(asked()) > questions {
				t.Errorf("lists=%t: %d calls, asked DNS %v", lists, n, asked())
			}
			l.load(hostsConfig(module, `"hosts": ["www.example.com", "blog.example.com"]`))
			l.wait(time.Second)
			hasA(t, z, "blog", addr1)
			if n := z.Count(standin.List, ""); lists && n != 1 || !lists && n != 0 {
				t.Errorf("%d lists", n)
			}
		})
	}
}

// TestHostWithoutZone: it is this name's failure, said once with what to do, and
// holds up no other; once the provider has the zone, all is well.
func TestHostWithoutZone(t *testing.T) {
	inDNS(t, "example.net.")
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		l.address(addr1)
		l.load(hostsConfig(z.Register(), `"hosts": ["www.example.com", "www.example.net", "www.example.org"]`))
		l.wait(time.Second)
		hasA(t, z, "www", addr1)
		l.wait(3 * time.Hour)
		if got := withoutZone(t); len(got) != 2 || got["www.example.net"] != status.StateFailing || got["www.example.org"] != status.StateFailing {
			t.Errorf("without a zone: %v", got)
		}
		for host, want := range map[string]string{
			"www.example.net": `the provider has example.com alone, and its zone in DNS is example.net, which the provider does not show: no such zone: "example.net."; add the zone at the provider, or correct the name`,
			"www.example.org": `the provider has example.com alone, and its zone cannot be told from DNS: NXDOMAIN; add the zone`,
		} {
			lines := l.logged("error", host)
			if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["error"]), want) {
				t.Errorf("%s: %v\nwant one line with %s", host, lines, want)
			}
			if got := strings.Join(health(t), "\n"); !strings.Contains(got, host+": "+want) {
				t.Errorf("health: %s", got)
			}
		}
		// Every ten minutes at last.
		if n := z.Count(standin.List, ""); n < 15 || n > 45 {
			t.Errorf("%d lists in three hours", n)
		}
		if code, _ := l.ask(http.MethodGet, "health"); code != http.StatusServiceUnavailable {
			t.Errorf("health is %d", code)
		}
		z.Put("example.net.")
		l.wait(11 * time.Minute)
		if got := z.Values("example.net.", "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("www.example.net has %v", got)
		}
		lines := l.logged("info", "found the zone of names")
		if len(lines) != 2 || fmt.Sprint(lines[1]["names"]) != "[www.example.net]" {
			t.Errorf("said to be found: %v", lines)
		}
		z.Put("example.org.")
		l.ask(http.MethodPost, "check")
		if got := z.Values("example.org.", "www", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("www.example.org has %v after a check", got)
		}
		if got := health(t); len(got) > 0 {
			t.Errorf("unhealthy: %v", got)
		}
	})
}

// TestDynamicDomainsAlone: hosts of sites are taken whose zone the provider has,
// and others are no failure.
func TestDynamicDomainsAlone(t *testing.T) {
	asked := inDNS(t, zoneName, "example.net.", "example.org.")
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName, "sub.example.com.")
		app := hostsConfig(z.Register(), `"dynamic_domains": true, "except": ["intranet.example.com"]`)
		l.address(addr1)
		if err := l.tryLoad(app, sites(t, "example.com, a.sub.example.com, intranet.example.com, www.example.net, localhost")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z, zoneName, at(addr1, "example.com")...)
		wantHolds(t, z, "sub.example.com.", at(addr1, "a.sub.example.com")...)
		if got := withoutZone(t); len(got) != 1 || got["www.example.net"] != status.StateLeftAlone {
			t.Errorf("without a zone: %v", got)
		}
		if got := health(t); len(got) > 0 {
			t.Errorf("unhealthy: %v", got)
		}
		if lines := l.logged("warn", ""); len(lines) > 0 {
			t.Errorf("trouble: %v", lines)
		}
		lists := z.Count(standin.List, "")
		l.wait(12 * time.Hour)
		if n := z.Count(standin.List, "") - lists; n > 13 {
			t.Errorf("%d lists in twelve hours", n)
		}
		if len(asked()) > 0 {
			t.Errorf("asked DNS for %v", asked())
		}
		// A site is added, and one gets its zone.
		if err := l.tryLoad(app, sites(t, "example.com, a.sub.example.com, blog.example.com, www.example.net")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Second)
		wantHolds(t, z, zoneName, at(addr1, "example.com", "blog.example.com")...)
		z.Put("example.net.")
		l.wait(time.Hour)
		wantHolds(t, z, "example.net.", at(addr1, "www.example.net")...)
		if lines := l.logged("info", "no longer taken"); len(lines) > 0 {
			t.Errorf("said to be gone: %v", lines)
		}
	})
}

// TestDynamicDomainsAloneWithoutLists: the provider is asked whether it has the
// zones that name servers show.
func TestDynamicDomainsAloneWithoutLists(t *testing.T) {
	asked := inDNS(t, zoneName, "example.net.")
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		app := hostsConfig(z.Register(), `"dynamic_domains": true`)
		l.address(addr1)
		if err := l.tryLoad(app, sites(t, "www.example.com, www.example.net")); err != nil {
			t.Fatal(err)
		}
		l.wait(12 * time.Hour)
		wantHolds(t, z, zoneName, at(addr1, "www.example.com")...)
		if got := withoutZone(t); len(got) != 1 || got["www.example.net"] != status.StateLeftAlone {
			t.Errorf("without a zone: %v", got)
		}
		if lines := l.logged("warn", ""); len(lines) > 0 {
			t.Errorf("trouble: %v", lines)
		}
		if n := len(asked()); n > 15 {
			t.Errorf("asked DNS %d times", n)
		}
	})
}

// TestDynamicDomainsOfTwoProviders: of the zones of two providers the longest has
// the host; where both have the same one, the first keeps it, and that is said.
func TestDynamicDomainsOfTwoProviders(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z1 := standin.New(standin.Character{ListsZones: true}, zoneName, "both.example.")
		z2 := standin.New(standin.Character{ListsZones: true}, "sub.example.com.", "both.example.", "example.net.")
		l.address(addr1)
		app := fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "watch": false, "versions": {"ipv6": false}, "providers": [
			{"dns_provider": {"name": %q}, "dynamic_domains": true}, {"dns_provider": {"name": %q}, "dynamic_domains": true}
		]}`, z1.Register(), z2.Register())
		if err := l.tryLoad(app, sites(t, "www.example.com, a.sub.example.com, www.both.example, www.example.net")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z1, zoneName, at(addr1, "www.example.com")...)
		wantHolds(t, z1, "both.example.", at(addr1, "www.both.example")...)
		wantHolds(t, z2, "sub.example.com.", at(addr1, "a.sub.example.com")...)
		wantHolds(t, z2, "example.net.", at(addr1, "www.example.net")...)
		wantHolds(t, z2, "both.example.")
		if lines := l.logged("warn", "managed elsewhere"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["host"]), "www.both.example: ") {
			t.Errorf("said: %v", lines)
		}
	})
}

// TestFirstBlockTakesAlone: dynamic_domains of a first block without names is a
// default where another takes it, and otherwise for its own sake.
func TestFirstBlockTakesAlone(t *testing.T) {
	inDNS(t)
	for entry, want := range map[string][]string{
		`"hosts": ["vpn.example.com"]`:                                  {"vpn.example.com", "www.example.com"},
		`"domains": {"example.com": ["vpn"]}, "dynamic_domains": false`: {"vpn.example.com", "www.example.com"},
		`"domains": {"sub.example.com": ["vpn"]}`:                       nil,
	} {
		bubble(t, func(l *lab) {
			z := standin.New(standin.Character{ListsZones: true}, zoneName, "sub.example.com.")
			l.address(addr1)
			if err := l.tryLoad(hostsConfig(z.Register(), `"dynamic_domains": true, "providers": [{`+entry+`}]`), sites(t, "www.example.com")); err != nil {
				t.Fatal(err)
			}
			l.wait(time.Minute)
			wantHolds(t, z, zoneName, at(addr1, want...)...)
		})
	}
}

// TestHostsMoveZone: when the provider says that it has no such zone, the zone is
// looked up again, and the name moves.
func TestHostsMoveZone(t *testing.T) {
	for _, lists := range []bool{true, false} {
		bubble(t, func(l *lab) {
			inDNS(t, "sub.example.com.")
			z := standin.New(standin.Character{ListsZones: lists}, zoneName, "sub.example.com.")
			l.address(addr1)
			l.load(hostsConfig(z.Register(), `"hosts": ["www.sub.example.com"]`))
			l.wait(time.Minute)
			wantHolds(t, z, "sub.example.com.", at(addr1, "www.sub.example.com")...)
			z.RemoveZone("sub.example.com.")
			inDNS(t, zoneName)
			l.address(addr2)
			l.wait(10 * time.Minute)
			wantHolds(t, z, zoneName, at(addr2, "www.sub.example.com")...)
			if got := health(t); len(got) > 0 {
				t.Errorf("unhealthy: %v", got)
			}
		})
	}
}

// TestHostsWithdrawn: names that are found late are not taken away meanwhile by a
// process that finds them in the ledger, and those that leave are.
func TestHostsWithdrawn(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		module := z.Register()
		l.address(addr1)
		l.load(withdrawing(hostsConfig(module, `"hosts": ["www.example.com", "blog.example.com"]`)))
		l.wait(time.Minute)
		hasA(t, z, "www", addr1)
		l.stop()
		l.wait(time.Minute)
		l.load(withdrawing(hostsConfig(module, `"hosts": ["www.example.com"]`)))
		l.wait(time.Minute)
		hasA(t, z, "www", addr1)
		hasA(t, z, "blog")
		l.load(withdrawing(hostsConfig(module, `"domains": {"example.com": ["@"]}`)))
		l.wait(time.Minute)
		hasA(t, z, "www")
		l.exit()
		hasA(t, z, "@")
	})
}

// TestHostsOfACluster: names that are found are shared like others.
func TestHostsOfACluster(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		module := z.Register()
		l.address("93.184.216.1")
		l.load(hostsConfig(module, `"hosts": ["www.example.com"], "cluster": {"name": "b"}`))
		l.wait(time.Minute)
		hasA(t, z, "www", "93.184.216.1")
		l.peer("c", module, "93.184.216.2")
		l.wait(20 * time.Second)
		hasA(t, z, "www", "93.184.216.1", "93.184.216.2")
	})
}

// TestHostsUpdateOnly: other options hold for names that are found.
func TestHostsUpdateOnly(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		z.Put(zoneName, record("www", "A", addr3))
		l.address(addr1)
		l.load(hostsConfig(z.Register(), `"hosts": ["www.example.com", "blog.example.com"], "update_only": true`))
		l.wait(time.Minute)
		hasA(t, z, "www", addr1)
		hasA(t, z, "blog")
	})
}

// TestExceptOfNoSite: a host that is left out and that no site has is a mistake.
func TestExceptOfNoSite(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		app := hostsConfig(z.Register(), `"domains": {"example.com": []}, "dynamic_domains": true, "except": ["www.example", "blog.example.com"]`)
		if err := l.tryLoad(app, sites(t, "www.example.com, blog.example.com")); err != nil {
			t.Fatal(err)
		}
		lines := l.logged("warn", "no site has")
		if len(lines) != 1 || lines[0]["host"] != "www.example" || !strings.Contains(fmt.Sprint(lines[0]["msg"]), "write its full name, as in `except www.example.com`") {
			t.Errorf("said: %v", lines)
		}
	})
}

// TestHostsPlanned: a plan without a running Caddy finds the zones first.
func TestHostsPlanned(t *testing.T) {
	inDNS(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		l.address(addr1)
		ctx, err := caddy.ProvisionContext(&caddy.Config{
			Admin:      &caddy.AdminConfig{Disabled: true},
			StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, l.storage)),
			AppsRaw:    caddy.ModuleMap{"dynamic_dns": json.RawMessage(hostsConfig(z.Register(), `"hosts": ["www.example.com", "www.example.net"]`))},
		})
		if err != nil {
			t.Fatal(err)
		}
		module, err := ctx.AppIfConfigured("dynamic_dns")
		if err != nil {
			t.Fatal(err)
		}
		app := module.(*App)
		defer func() { _ = app.Cleanup() }()
		p, err := app.planOnce(context.Background(), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Zones) != 1 || len(p.Zones[0].Changes) != 1 || p.Zones[0].Changes[0].Name != "www" {
			t.Errorf("planned: %+v", p.Zones)
		}
		if lacking := p.Groups[0].Lacking(); len(lacking) != 1 || lacking[0].Name != "www.example.net" {
			t.Errorf("lacking: %+v", lacking)
		}
		if n := z.Count(standin.Set, "") + z.Count(standin.Append, ""); n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// TestRoute53FindsZones runs with real sockets, which the AWS SDK wants.
func TestRoute53FindsZones(t *testing.T) {
	inDNS(t)
	api := route53.New()
	t.Cleanup(api.Close)
	api.Setenv(t)
	for n := range 120 {
		api.AddZone(fmt.Sprintf("a%03d.example", n))
	}
	api.AddZone("z.example")
	api.AddZone("sub.z.example")
	l := realTime(t)
	l.address(addr1)
	l.load(hostsConfig("route53", `"hosts": ["www.z.example", "www.sub.z.example", "a119.example", "www.other.example"]`))
	want := []string{addr1}
	published := func() bool {
		return slices.Equal(api.Values("z.example", "www.z.example", "A"), want) &&
			slices.Equal(api.Values("sub.z.example", "www.sub.z.example", "A"), want) &&
			slices.Equal(api.Values("a119.example", "a119.example", "A"), want)
	}
	for deadline := time.Now().Add(time.Minute); !published(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not published; calls %v", api.Calls())
		}
	}
	if got := withoutZone(t); len(got) != 1 || got["www.other.example"] != status.StateFailing {
		t.Errorf("without a zone: %v", got)
	}
}
