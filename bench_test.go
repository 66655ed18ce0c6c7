package dynamicdns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// quietConfig is a configuration of Caddy that logs nothing, with these apps.
func quietConfig(tb testing.TB, apps string) []byte {
	return fmt.Appendf(nil, `{
		"admin": {"disabled": true, "config": {"persist": false}},
		"storage": {"module": "file_system", "root": %q},
		"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
		"apps": {%s}
	}`, tb.TempDir(), apps)
}

func loadQuietly(tb testing.TB, config []byte) {
	tb.Helper()
	if err := caddy.Load(config, true); err != nil {
		tb.Fatal(err)
	}
}

// steady loads an app with 100 zones of 100 names, all of which are as
// desired, for both families. The sources are asked by the benchmark alone.
func steady(b *testing.B) (*App, *standin.Zones) {
	const zones, names = 100, 100
	current.Store(&lab{addrs: []netip.Addr{netip.MustParseAddr(addr1), netip.MustParseAddr(addr6)}})
	var origins []string
	domains := make(map[string][]string)
	for i := range zones {
		origin := fmt.Sprintf("zone-%03d.test.", i)
		origins = append(origins, origin)
		for j := range names {
			domains[origin] = append(domains[origin], fmt.Sprintf("host-%04d", j))
		}
	}
	z := standin.New(standin.Character{}, origins...)
	for origin, names := range domains {
		for _, name := range names {
			z.Put(origin, record(name, "A", addr1), record(name, "AAAA", addr6))
		}
	}
	text, err := json.Marshal(domains)
	if err != nil {
		b.Fatal(err)
	}
	app := fmt.Sprintf(`"dynamic_dns": {
		"ip_sources": [{"source": "fake"}],
		"dns_provider": {"name": %q, "token": %q},
		"domains": %s, "watch": false, "check_interval": "1000h"
	}`, z.Register(), standin.Token, text)
	loadQuietly(b, quietConfig(b, app))
	b.Cleanup(func() { _ = caddy.Stop() })
	value, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
	if err != nil {
		b.Fatal(err)
	}
	a := value.(*App)
	if err := a.schedule.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, m := range a.current().zones {
		<-m.zone.Verify()
		for _, r := range m.zone.Snapshot().Records {
			if r.InSync == nil || !*r.InSync {
				b.Fatalf("%s in %s is not in sync: %s", r.Key, m.zone.Name, r.Reason)
			}
		}
	}
	return a, z
}

// BenchmarkSteadyRound is a check that finds nothing changed, without the
// time of the echo: 10,000 names in 100 zones.
func BenchmarkSteadyRound(b *testing.B) {
	a, z := steady(b)
	calls := z.Count("", "")
	b.ReportAllocs()
	for b.Loop() {
		a.schedule.CheckOnce(b.Context())
	}
	if n := z.Count("", "") - calls; n > 0 {
		b.Errorf("%d calls of the provider in the steady state", n)
	}
}

// BenchmarkReload loads the same configuration again, with one zone and one
// name, and beside it plain Caddy.
func BenchmarkReload(b *testing.B) {
	current.Store(&lab{addrs: []netip.Addr{netip.MustParseAddr(addr1)}})
	z := standin.New(standin.Character{}, zoneName)
	z.Put(zoneName, record("www", "A", addr1))
	for _, kind := range []struct{ name, apps string }{
		{"plain", ""},
		{"app", `"dynamic_dns": ` + appConfig(z.Register(), `{"example.com": ["www"]}`)},
	} {
		b.Run(kind.name, func(b *testing.B) {
			config := quietConfig(b, kind.apps)
			loadQuietly(b, config)
			defer func() { _ = caddy.Stop() }()
			for b.Loop() {
				loadQuietly(b, config)
			}
		})
	}
	if n := z.Count(standin.Set, ""); n > 0 {
		b.Errorf("%d writes", n)
	}
}
