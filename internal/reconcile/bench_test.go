package reconcile

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const benchNames = 10_000

var benchDesired = [ipaddr.Families]*plan.Desired{
	ipaddr.V4: {State: plan.Set, Addrs: []netip.Addr{netip.MustParseAddr("93.184.216.34")}},
	ipaddr.V6: {State: plan.Set, Addrs: []netip.Addr{netip.MustParseAddr("2606:2800:220:1::1")}},
}

// bench is a machine in made-up time.
type bench struct {
	tb  testing.TB
	now time.Time
	m   *Machine
}

// claimed returns the machine of a zone whose names all desire both families,
// and what the zone shows once all is as desired.
func claimed(tb testing.TB) (*bench, plan.Observed) {
	b := &bench{tb, time.Unix(1e9, 0), New(Habits{})}
	desired := make(map[plan.Key]*plan.Desired)
	shown := plan.Observed{Sets: make(map[plan.Key]plan.RRset)}
	for i := range benchNames {
		name := fmt.Sprintf("host-%06d", i)
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			key := plan.Key{Name: name, Family: f}
			desired[key] = benchDesired[f]
			shown.Sets[key] = plan.RRset{Addrs: benchDesired[f].Addrs, TTL: plan.DefaultTTL}
		}
	}
	b.step(Claim{
		Holder: 1, Desired: desired, VerifyEvery: time.Hour,
		Abilities: Abilities{Read: true, Set: true, Append: true, Delete: true},
	})
	return b, shown
}

func (b *bench) step(e Event) {
	b.m.Step(b.now, 0.5, e)
	b.m.Reports()
}

// begin expects the next call to be of a kind.
func (b *bench) begin(do Do) {
	if action := b.m.Begin(b.now, 0.5); action.Do != do {
		b.tb.Fatalf("got %+v, want %d", action, do)
	}
}

func (b *bench) read(shown plan.Observed) {
	b.begin(DoRead)
	b.step(Read{Observed: shown})
}

func inSync(tb testing.TB) (*bench, plan.Observed) {
	b, shown := claimed(tb)
	b.read(shown)
	if !b.m.inSync() {
		tb.Fatal("not in sync")
	}
	return b, shown
}

// BenchmarkSetOne changes what is desired of one RRset among 20,000.
func BenchmarkSetOne(b *testing.B) {
	zone, _ := inSync(b)
	key := plan.Key{Name: "host-004711"}
	other := *benchDesired[ipaddr.V4]
	other.Addrs = []netip.Addr{netip.MustParseAddr("93.184.216.35")}
	both := [2]*plan.Desired{&other, benchDesired[ipaddr.V4]}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		zone.step(Desire{Holder: 1, Key: key, Desired: both[n%2]})
		if next := zone.m.Next(zone.now); (next.Do == DoSet) != (n%2 == 0) {
			b.Fatalf("got %+v", next)
		}
		n++
	}
}

// BenchmarkRead takes in a read of names that are all as desired.
func BenchmarkRead(b *testing.B) {
	zone, shown := inSync(b)
	b.ReportAllocs()
	for b.Loop() {
		zone.step(Verify{})
		zone.read(shown)
	}
}

// BenchmarkMemory tells what a name with both families costs at rest, itself
// included.
func BenchmarkMemory(b *testing.B) {
	written := func() *bench {
		zone, shown := claimed(b)
		zone.read(plan.Observed{})
		zone.begin(DoSet)
		zone.step(Wrote{})
		zone.read(shown)
		return zone
	}
	for _, state := range []struct {
		name string
		make func() *bench
	}{
		{"read", func() *bench { zone, _ := inSync(b); return zone }},
		{"written", written},
		{"written and verified", func() *bench {
			zone := written()
			_, shown := claimed(b)
			zone.now = zone.now.Add(2 * time.Hour)
			zone.read(shown)
			return zone
		}},
	} {
		b.Run(state.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				zone := state.make()
				b.ReportMetric((heap()-before)/benchNames, "B/name")
				if !zone.m.inSync() {
					b.Fatal("not in sync")
				}
				runtime.KeepAlive(zone)
			}
		})
	}
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
