package zone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

var errIdle = errors.New("this instance may not write the zone any more")

// do begins a call. What it returns comes by the mailbox.
func (z *Zone) do(b *Backend, action reconcile.Action) {
	z.called = true
	managed, idle := z.machine.Names(), z.idle()
	hint := z.hinter(b)
	ctx, cancel := context.WithCancel(z.ctx)
	z.reading = cancel
	write := action.Do != reconcile.DoRead
	own := z.own(b)
	publishing := z.publishing(own, action)
	go func() {
		defer cancel()
		z.publish(ctx, own, publishing)
		observed, done, err := z.call(ctx, b, action, managed, idle)
		if errors.Is(err, provider.ErrAbandoned) {
			z.post(func() {
				z.called = false
				z.hung++
				z.hungWrite = z.hungWrite || write
				z.step(reconcile.Abandoned{Err: err})
			})
			if write {
				defer time.AfterFunc(hangs, func() {
					z.post(func() {
						if z.hungWrite {
							z.turn.leave()
						}
					})
				}).Stop()
			}
			<-done
			z.post(func() {
				z.hung--
				z.hungWrite = z.hungWrite && !write
				z.step(reconcile.Returned{Do: action.Do})
			})
			return
		}
		text, err := hint(ctx, err)
		z.post(func() {
			z.called, z.reading = false, nil
			if text != nil {
				z.hint = text
			}
			if write {
				z.step(reconcile.Wrote{Err: err})
			} else {
				z.step(reconcile.Read{Observed: observed, Err: err})
			}
			z.remember(b)
		})
	}()
}

// call does what the action says.
func (z *Zone) call(ctx context.Context, b *Backend, action reconcile.Action, managed func(string) (string, bool), idle func() bool) (observed plan.Observed, done <-chan struct{}, err error) {
	if action.Do == reconcile.DoRead {
		return z.fetch(ctx, b, managed)
	}
	p := b.Provider
	write, doing := p.Set, "setting"
	switch action.Do {
	case reconcile.DoAppend:
		write, doing = p.Append, "appending"
	case reconcile.DoDelete:
		write, doing = p.Delete, "deleting"
	}
	done, err = p.Call(ctx, true, func(ctx context.Context) error {
		// The call may have waited, or the machine slept.
		if idle() {
			return errIdle
		}
		return write(ctx, z.Name, action.Writes)
	})
	if err != nil {
		err = fmt.Errorf("%s records: %w", doing, err)
	}
	return observed, done, err
}

// fetch returns what the provider holds of the managed names or, where it
// cannot be read, what it has accepted.
func (z *Zone) fetch(ctx context.Context, b *Backend, managed func(string) (string, bool)) (observed plan.Observed, done <-chan struct{}, err error) {
	if !b.Provider.CanRead() {
		return z.recall(ctx, b, managed), nil, nil
	}
	results := make(chan plan.Observed, 1)
	done, err = b.Provider.Call(ctx, false, func(ctx context.Context) error {
		seen, err := b.Provider.Read(ctx, z.Name, managed)
		results <- seen
		return err
	})
	if err != nil {
		return observed, done, fmt.Errorf("reading records: %w", err)
	}
	return <-results, done, nil
}
