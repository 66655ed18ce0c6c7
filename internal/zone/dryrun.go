package zone

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// DryRun reads the zone, in turn with its attempts, and returns what it shows
// and what is known of it.
func (z *Zone) DryRun(ctx context.Context) (plan.Observed, reconcile.Snapshot, error) {
	l := &look{ctx: ctx, reply: make(chan seen, 1)}
	if !z.post(func() { z.looks = append(z.looks, l) }) {
		return plan.Observed{}, reconcile.Snapshot{}, ErrReleased
	}
	select {
	case s := <-l.reply:
		return s.observed, s.snapshot, s.err
	case <-ctx.Done():
		if z.Hung() {
			return plan.Observed{}, reconcile.Snapshot{}, errors.New("the provider has not returned from an earlier call")
		}
		return plan.Observed{}, reconcile.Snapshot{}, errors.New("the zone is still being read or written")
	}
}

// Hung reports whether a call that was given up has not returned.
func (z *Zone) Hung() bool {
	reply := make(chan bool, 1)
	return z.post(func() { reply <- z.hung > 0 }) && <-reply
}

// look serves the first who has asked.
func (z *Zone) look(b *Backend) {
	l := z.looks[0]
	z.looks = z.looks[1:]
	if l.ctx.Err() != nil {
		z.post(func() {})
		return
	}
	z.called = true
	managed := z.machine.Names()
	believed, all := z.machine.Believed(), z.machine.Known()
	// It is not cancelled with whoever has asked: a read that is given up
	// and goes on would keep the zone from being read.
	ctx, cancel := context.WithCancel(z.ctx)
	z.reading = cancel
	go func() {
		defer cancel()
		var s seen
		var done <-chan struct{}
		if !b.Provider.CanRead() && all {
			s.observed.Sets = believed
		} else {
			s.observed, done, s.err = z.fetch(ctx, b, managed)
		}
		abandoned := errors.Is(s.err, provider.ErrAbandoned)
		z.post(func() {
			z.called, z.reading = false, nil
			if abandoned {
				z.hung++
				z.step(reconcile.Abandoned{Err: s.err})
			}
			s.snapshot = z.machine.Snapshot(time.Now())
			l.reply <- s
		})
		if abandoned {
			<-done
			z.post(func() {
				z.hung--
				z.step(reconcile.Returned{Do: reconcile.DoRead})
			})
		}
	}()
}
