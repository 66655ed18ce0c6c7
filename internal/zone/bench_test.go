package zone

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// shelf is a provider that keeps all in memory.
type shelf struct {
	mu    sync.Mutex
	zones map[string][]libdns.Record
}

func (s *shelf) GetRecords(_ context.Context, zone string) ([]libdns.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.zones[zone]), nil
}

// SetRecords is told of all at once, and once.
func (s *shelf) SetRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[zone] = recs
	return recs, nil
}

// BenchmarkMemory tells what a name with both families costs at rest, with its
// share of the registry, the zone and the machine, in 100 zones of 100 names:
// on the heap, and with the stacks of the zones' goroutines.
func BenchmarkMemory(b *testing.B) {
	const zones, names = 100, 100
	for _, state := range []string{"read", "written"} {
		b.Run(state, func(b *testing.B) {
			for b.Loop() {
				heap, stacks := inUse()
				s := &shelf{zones: make(map[string][]libdns.Record)}
				p, err := provider.New("shelf", s, provider.NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
				if err != nil {
					b.Fatal(err)
				}
				backend := &Backend{Provider: p, VerifyEvery: time.Hour, Observer: deaf{}, Logger: zap.NewNop()}
				addrs := [ipaddr.Families]*plan.Desired{ipaddr.V4: set(addr1), ipaddr.V6: set("2606:2800:220:1::1")}
				var registry Registry
				var all []*Zone
				var holders []*Holder
				for i := range zones {
					origin := fmt.Sprintf("zone-%03d.test.", i)
					desired := make(map[plan.Key]*plan.Desired)
					var there []libdns.Record
					for j := range names {
						name := fmt.Sprintf("host-%04d", j)
						for f := ipaddr.V4; f < ipaddr.Families; f++ {
							desired[plan.Key{Name: name, Family: f}] = addrs[f]
							if state == "read" {
								there = append(there, libdns.Address{Name: name, IP: addrs[f].Addrs[0], TTL: time.Minute})
							}
						}
					}
					s.mu.Lock()
					s.zones[origin] = there
					s.mu.Unlock()
					z := registry.Acquire(Key{Config: "c", Module: "shelf", Zone: origin})
					all = append(all, z)
					holders = append(holders, z.Attach(backend, desired, nil))
				}
				for _, z := range all {
					<-z.Verify()
					for _, r := range z.Snapshot().Records {
						if r.InSync == nil || !*r.InSync {
							b.Fatalf("%s %s is not in sync", z.Name, r.Key)
						}
					}
				}
				s.mu.Lock()
				clear(s.zones)
				s.mu.Unlock()
				heapAfter, stacksAfter := inUse()
				b.ReportMetric((heapAfter-heap)/(zones*names), "B/name")
				b.ReportMetric((heapAfter+stacksAfter-heap-stacks)/(zones*names), "B/name-with-stacks")
				for i, z := range all {
					holders[i].Release()
					registry.Release(z)
					<-z.ctx.Done()
				}
			}
		})
	}
}

func inUse() (heap, stacks float64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}
