package dynamicdns

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// inSync makes claims for names in a zone that holds just what they wish.
func inSync(names int) ([]claim, zoneView) {
	c := claim{enabled: [ipaddr.Families]bool{true, true}}
	c.addrs[ipaddr.V4], c.addrs[ipaddr.V6] = addrs(addr1), addrs(addr6)
	view := zoneView{sets: make(map[rrKey]rrset, 2*names)}
	for i := range names {
		name := fmt.Sprintf("host-%06d", i)
		c.names = append(c.names, name)
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			view.sets[rrKey{name, f}] = rrset{addrs: c.addrs[f], ttl: time.Minute}
		}
	}
	return []claim{c}, view
}

// BenchmarkPlan plans for names that are all as wished, each with both
// families.
func BenchmarkPlan(b *testing.B) {
	for _, names := range []int{100, 10_000, 100_000} {
		claims, view := inSync(names)
		b.Run(fmt.Sprintf("names=%d", names), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := makePlan(claims, view, nil); len(p.changes) > 0 {
					b.Fatal("not in sync")
				}
			}
		})
	}
}

type memoryProvider struct{ zones map[string][]libdns.Record }

func (m memoryProvider) GetRecords(_ context.Context, zone string) ([]libdns.Record, error) {
	return m.zones[zone], nil
}

func (m memoryProvider) SetRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	panic("nothing is to be written")
}

// steady makes an app's checker with keepers that have verified their zones
// once: 10,000 names in 100 zones.
func steady(tb testing.TB) (*detect.Schedule, []*keeper) {
	const zones, names = 100, 100
	m := memoryProvider{make(map[string][]libdns.Record)}
	p, err := newProvider("memory", m, make(chan struct{}, maxCalls), func(s string) string { return s }, zap.NewNop())
	if err != nil {
		tb.Fatal(err)
	}
	a := &App{logger: zap.NewNop(), CheckInterval: 1}
	filter, _ := ipaddr.NewFilter(nil, nil)
	d := &detect.Detector{
		Sources:  []*detect.Source{detect.NewSource("steady", steadySource{addrs(addr1, addr6)})},
		Families: [ipaddr.Families]bool{true, true},
		Filter:   filter, Known: new(detect.Known), Logger: a.logger,
	}
	var keepers []*keeper
	for i := range zones {
		zone := fmt.Sprintf("zone-%03d.test.", i)
		c := claim{enabled: [ipaddr.Families]bool{true, true}}
		for j := range names {
			name := fmt.Sprintf("host-%04d", j)
			c.names = append(c.names, name)
			for _, addr := range addrs(addr1, addr6) {
				m.zones[zone] = append(m.zones[zone], libdns.Address{Name: name, IP: addr, TTL: time.Minute})
			}
		}
		k := newKeeper(newZone(zone), poolKey{zone: zone}, p, memory{}, time.Hour, []claim{c}, a.logger)
		k.zone.attach(k)
		keepers = append(keepers, k)
	}
	s := detect.NewSchedule([]*detect.Detector{d}, time.Minute, func(_ *detect.Detector, f ipaddr.Family, found detect.Found) {
		for _, k := range keepers {
			k.wish(0, f, found.Addrs, found.Source)
		}
	}, a.logger)
	s.CheckOnce(tb.Context())
	for _, k := range keepers {
		k.round(tb.Context())
		if next, ok := k.zone.due(k); !ok || time.Until(next) < time.Minute {
			tb.Fatalf("%s is not in sync", k.zone.name)
		}
	}
	return s, keepers
}

type steadySource struct{ ips []netip.Addr }

func (s steadySource) GetIPs(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
	return slices.Clone(s.ips), nil
}

// BenchmarkSteadyRound is a check that finds nothing changed, without the
// time of the echo: 10,000 names in 100 zones.
func BenchmarkSteadyRound(b *testing.B) {
	s, keepers := steady(b)
	b.ReportAllocs()
	for b.Loop() {
		s.CheckOnce(b.Context())
		for _, k := range keepers {
			k.zone.mu.Lock()
			next, ok := k.zone.due(k)
			k.zone.mu.Unlock()
			if !ok || time.Until(next) <= 0 {
				b.Fatal("work to do in the steady state")
			}
		}
	}
}

// BenchmarkMemory tells what a name costs at rest, its entries in the
// provider stand-in not counted.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, keepers := steady(b)
		clear(keepers[0].provider.getter.(memoryProvider).zones)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10_000, "B/name")
		runtime.KeepAlive(s)
		runtime.KeepAlive(keepers)
	}
}
