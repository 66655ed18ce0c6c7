package zone

import (
	"context"
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

// publishing returns what of a call is to be in the ledger before it begins.
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
	return writes
}

// publish notes in the ledger what is about to be written. That it cannot be
// kept there is no reason not to write.
func (z *Zone) publish(ctx context.Context, b *Backend, writes []plan.Write) {
	if len(writes) == 0 {
		return
	}
	if err := b.Ledger.publish(ctx, writes); err != nil {
		z.logger(b).Warn("cannot remember what is published; after a crash it would not be withdrawn", zap.Error(err))
	}
}

// account notes in the ledger what an RRset holds. What is not to be withdrawn
// is none of the ledger's.
func (z *Zone) account(b *Backend, c reconcile.Confirmed) {
	switch {
	case b.Ledger == nil:
	case c.Desired.State == plan.Set && c.Desired.Withdraw && c.Ours:
		b.Ledger.add(c.Key, c.To)
		b.Ledger.holds(c.Key, c.To)
	case c.Desired.State == plan.Set && c.Desired.Withdraw:
		b.Ledger.holds(c.Key, c.To)
	case c.Desired.State == plan.Set:
		b.Ledger.holds(c.Key, nil)
	}
}

// withdrawn notes that all that was published of RRsets is gone.
func (z *Zone) withdrawn(b *Backend, keys []plan.Key) {
	if b.Ledger == nil || len(keys) == 0 {
		return
	}
	for _, key := range keys {
		b.Ledger.holds(key, nil)
	}
	go func() {
		if err := b.Ledger.Store(context.Background()); err != nil {
			z.logger(b).Warn("cannot forget what was withdrawn; the next start looks for it once more", zap.Error(err))
		}
	}()
}
