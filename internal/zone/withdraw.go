package zone

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Withdraw takes away what the ledger of the holder's backend has of RRsets,
// and then gives these up. There is a handle for each of which it has
// something.
func (h *Holder) Withdraw(keys ...plan.Key) []*Handle {
	if h.backend.Ledger == nil {
		return nil
	}
	return h.SetEach(func(yield func(plan.Key, *plan.Desired) bool) {
		for _, key := range keys {
			addrs := h.backend.Ledger.Published(key)
			if len(addrs) > 0 && !yield(key, &plan.Desired{State: plan.None, Withdraw: true, Addrs: addrs}) {
				return
			}
		}
	})
}

// Leave is Withdraw for a holder that ends, of the RRsets that keys returns once
// the zone asks for them. All others are given up: nothing is written from then
// on that is not in the ledger by now.
func (h *Holder) Leave(keys func() []plan.Key) (handles []*Handle) {
	z, done := h.zone, make(chan struct{})
	if !z.post(func() {
		defer close(done)
		desired := make(map[plan.Key]*plan.Desired)
		if !slices.Contains(z.holders, h) {
			return
		}
		for _, key := range keys() {
			addrs := h.backend.Ledger.Published(key)
			if len(addrs) == 0 {
				continue
			}
			desired[key] = &plan.Desired{State: plan.None, Withdraw: true, Addrs: addrs}
			handle := &Handle{zone: z, key: key, desired: desired[key], holder: h.number, done: make(chan struct{})}
			z.handles[key], handles = append(z.handles[key], handle), append(handles, handle)
		}
		z.claim(h, desired)
	}) {
		return nil
	}
	<-done
	return handles
}

// Await waits until the RRsets of all handles were confirmed, up to a time. It
// returns how many were not.
func Await(handles []*Handle, most time.Duration) (missing int) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	over := false
	for _, h := range handles {
		if !over {
			select {
			case <-h.Done():
			case <-timer.C:
				over = true
			}
		}
		select {
		case <-h.Done():
			if h.Err() != nil {
				missing++
			}
		default:
			missing++
		}
	}
	return missing
}

// publishing notes in the ledger what of a call is to be there before it begins,
// and returns it.
func (z *Zone) publishing(b *Backend, action reconcile.Action) []plan.Write {
	if b.Ledger == nil || action.Do != reconcile.DoSet && action.Do != reconcile.DoAppend {
		return nil
	}
	var writes []plan.Write
	for _, w := range action.Writes {
		if d := z.machine.Desired(w.Key); d.State == plan.Set && d.Withdraw {
			writes = append(writes, w)
		}
	}
	b.Ledger.note(writes)
	return writes
}

// publish keeps in the storage what is about to be written. That it cannot be kept
// there is no reason not to write.
func (z *Zone) publish(ctx context.Context, b *Backend, writes []plan.Write) {
	if len(writes) == 0 {
		return
	}
	if err := b.Ledger.publish(ctx); err != nil {
		z.logger(b).Warn("cannot remember what is published; after a crash it would not be withdrawn", zap.Error(err))
	}
}

// account notes in the ledger what RRsets hold. It comes before anybody is told,
// so that who waits for something to be withdrawn finds it in order.
func (z *Zone) account(b *Backend, reports []reconcile.Report) {
	withdrawn := false
	for _, report := range reports {
		switch r := report.(type) {
		case reconcile.Confirmed:
			if r.Desired.State != plan.Set {
				continue
			}
			holds := r.To
			if !r.Desired.Withdraw {
				holds = nil
			} else if r.Ours {
				b.Ledger.add(r.Key, r.To)
			}
			b.Ledger.holds(r.Key, holds)
		case reconcile.Withdrawn:
			b.Ledger.holds(r.Key, nil)
			withdrawn = true
		}
	}
	if !withdrawn {
		return
	}
	go func() {
		if err := b.Ledger.Store(context.Background()); err != nil {
			z.logger(b).Warn("cannot forget what was withdrawn; the next start looks for it once more", zap.Error(err))
		}
	}()
}
