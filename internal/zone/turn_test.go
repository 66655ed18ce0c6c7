package zone

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
)

// stubborn is a provider whose calls do as the test says.
type stubborn struct {
	get func(context.Context) error
	set func(context.Context) error
}

func (s *stubborn) GetRecords(ctx context.Context, _ string) ([]libdns.Record, error) {
	if s.get == nil {
		return nil, nil
	}
	return nil, s.get(ctx)
}

func (s *stubborn) SetRecords(ctx context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	if s.set == nil {
		return recs, nil
	}
	return recs, s.set(ctx)
}

func hold(t *testing.T, z *Zone, slots provider.Slots, module any, desired map[plan.Key]*plan.Desired) *Holder {
	t.Helper()
	p, err := provider.New("standin", module, slots, func(s string) string { return s }, deaf{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return z.Attach(&Backend{Provider: p, VerifyEvery: time.Hour, Observer: deaf{}, Logger: zap.NewNop()}, desired, nil)
}

// TestTurnIsNotLost: a zone that is given up while it waits for its turn lets
// the others have it.
func TestTurnIsNotLost(t *testing.T) {
	for i := range 60 {
		synctest.Test(t, func(t *testing.T) {
			shared := &sharedTurn{token: make(chan struct{}, 1)}
			first, second := turn{shared: shared}, turn{shared: shared}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if !first.take(ctx, func() {}) || second.take(ctx, func() {}) {
				t.Fatal("two have the turn")
			}
			first.leave()
			if i%2 == 0 {
				synctest.Wait()
			}
			cancel()
			second.end()
			if len(shared.token) > 0 {
				t.Fatal("nobody has the turn, and it is taken")
			}
		})
	}
}

// TestSlotsComeBack: calls that nobody waits for any longer leave their places
// to other zones of the account.
func TestSlotsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		end := make(chan struct{})
		var hang atomic.Bool
		hang.Store(true)
		var calls atomic.Int32
		slots := provider.NewSlots()
		module := &stubborn{get: func(context.Context) error {
			calls.Add(1)
			if hang.Load() {
				<-end
			}
			return nil
		}}
		var zones []*Zone
		var holders []*Holder
		for i := range cap(slots) {
			z := r.Acquire(Key{Zone: string(rune('a'+i)) + ".example.com."})
			zones, holders = append(zones, z), append(holders, hold(t, z, slots, module, nil))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			go z.DryRun(ctx)
		}
		time.Sleep(2 * time.Minute)
		hang.Store(false)
		before := calls.Load()
		z := r.Acquire(Key{Zone: origin})
		zones = append(zones, z)
		holders = append(holders, hold(t, z, slots, module, map[plan.Key]*plan.Desired{www: set(addr1)}))
		time.Sleep(time.Minute)
		if calls.Load() == before {
			t.Error("a further zone was not called")
		}
		close(end)
		time.Sleep(time.Minute)
		for i := range zones {
			holders[i].Release()
			r.Release(zones[i])
		}
		time.Sleep(time.Hour)
	})
}

// TestNoLateWrite: a write that has not begun when its zone is given up never
// does.
func TestNoLateWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		slots := provider.NewSlots()
		var wrote bool
		module := &stubborn{
			get: func(context.Context) error {
				go func() {
					for range cap(slots) {
						slots <- struct{}{}
					}
				}()
				time.Sleep(time.Second)
				return nil
			},
			set: func(context.Context) error { wrote = true; return nil },
		}
		z := r.Acquire(Key{Zone: origin})
		h := hold(t, z, slots, module, map[plan.Key]*plan.Desired{www: set(addr1)})
		time.Sleep(5 * time.Second)
		h.Release()
		r.Release(z)
		time.Sleep(10 * time.Minute)
		for range cap(slots) {
			<-slots
		}
		time.Sleep(time.Hour)
		if r.held(z) || wrote {
			t.Errorf("written after the release: %t", wrote)
		}
	})
}

type explosive struct{}

func (*explosive) Error() string { return "x" }
func (*explosive) Is(error) bool { panic("asked") }

// TestErrorsMayPanic: not even what a provider returns is trusted.
func TestErrorsMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Registry
		z := r.Acquire(Key{Zone: origin})
		h := hold(t, z, provider.NewSlots(), &stubborn{get: func(context.Context) error { return &explosive{} }}, nil)
		handle := h.Set(set(addr1), www)[0]
		time.Sleep(time.Minute)
		if s := z.Snapshot(); s.Failures == 0 {
			t.Errorf("no failure: %+v", s)
		}
		h.Release()
		if err := handle.Err(); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("the handle says %v", err)
		}
		r.Release(z)
		time.Sleep(time.Hour)
	})
}
