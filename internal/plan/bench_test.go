package plan

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// BenchmarkPlan plans for names that are all as desired, each with both
// families.
func BenchmarkPlan(b *testing.B) {
	desired := [ipaddr.Families]*Desired{
		ipaddr.V4: {State: Set, Addrs: []netip.Addr{netip.MustParseAddr("93.184.216.34")}},
		ipaddr.V6: {State: Set, Addrs: []netip.Addr{netip.MustParseAddr("2606:2800:220:1::1")}},
	}
	for _, names := range []int{100, 10_000, 100_000} {
		keys := make([]Key, 0, 2*names)
		there := Observed{Sets: make(map[Key]RRset, 2*names)}
		for i := range names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				key := Key{Name: fmt.Sprintf("host-%06d", i), Family: f}
				keys = append(keys, key)
				there.Sets[key] = RRset{Addrs: desired[f].Addrs, TTL: time.Minute}
			}
		}
		all := func(yield func(Key, *Desired) bool) {
			for _, key := range keys {
				if !yield(key, desired[key.Family]) {
					return
				}
			}
		}
		b.Run(fmt.Sprintf("names=%d", names), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := Make(all, there); len(p.Changes) > 0 {
					b.Fatal("not in sync")
				}
			}
		})
	}
}
