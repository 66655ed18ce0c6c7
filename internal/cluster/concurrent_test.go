package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// TestAtOnce: zones, reloads and those who look use a member while it runs. Nobody
// sees what he was given change.
func TestAtOnce(t *testing.T) {
	scenario(t, lease.First, func(w *world) {
		a, b := w.start("a", "192.0.2.1"), w.start("b", "192.0.2.2")
		over := make(chan struct{})
		var running sync.WaitGroup
		for n, i := range []*instance{a, b} {
			m := i.member
			each := func(seed uint64, do func()) {
				random := rand.New(rand.NewPCG(seed, uint64(n)))
				running.Go(func() {
					for {
						select {
						case <-over:
							return
						case <-time.After(time.Duration(random.IntN(int(300 * time.Millisecond)))):
							do()
						}
					}
				})
			}
			look := func(all ...any) { _ = fmt.Sprintf("%+v", all) }
			for seed := range uint64(2) {
				each(seed, func() {
					s := m.Status()
					look(s, s.Self.Sets, s.Self.Writes, s.Members, m.Zone(testZone))
					for _, w := range s.Self.Writes {
						if look(w.First); w.InSync != nil {
							look(*w.InSync)
						}
					}
				})
			}
			each(2, func() {
				for _, d := range m.Desired(testZone) {
					look(*d)
				}
				look(m.Has(testZone), m.Last(testZone), m.Elsewhere(testZone), m.Writes(testZone))
			})
			each(3, func() {
				i.change("moves", func() { i.addr = i.addr.Next() })
			})
			// A reload takes the settings over before the one before has ended.
			each(4, func() {
				m.Configure(Settings{
					Storage: i, Share: w.share, Lease: testLease, Sets: i.sets, Report: i.report,
					Changed: func() { i.claim(); go i.publish() }, Begin: func(lease.ZoneID) func() { return func() { go i.publish() } },
					Observer: silent{}, Logger: zap.NewNop(),
				})
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				defer cancel()
				go m.Look(ctx)
			})
		}
		time.Sleep(4 * testLease)
		close(over)
		running.Wait()
	})
}
