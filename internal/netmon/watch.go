package netmon

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// quietTime is how long nothing may change before the addresses count as
	// settled. It is also the least time between two signals.
	quietTime = 250 * time.Millisecond

	// settleTime precedes the first signal: an address is replaced by removing
	// the old one first, and nobody should see the moment in between.
	settleTime = 5 * time.Millisecond

	clockInterval = 10 * time.Second
	clockJump     = 30 * time.Second

	minResubscribe = time.Second
	maxResubscribe = time.Minute
)

// Watch signals that the addresses or default routes of this machine have
// changed, or that it has slept: at once on the first change, and again when all
// has been quiet for a while, but never more often than that. The channel is
// closed after ctx is done, once the watch has ended.
func Watch(ctx context.Context, logger *zap.Logger) <-chan struct{} {
	w := &addressWatch{
		logger:    logger,
		subscribe: subscribeAddresses,
		snapshot:  snapshotAddresses,
		wallClock: func() time.Time { return time.Now().Round(0) },
	}
	return debounce(settleTime, quietTime, w.start(ctx))
}

// addressWatch turns what the system reports into events that matter.
type addressWatch struct {
	logger *zap.Logger

	// subscribe calls changed when it has begun to listen, and then whenever
	// an address may have changed, until the context is done or it fails.
	subscribe func(ctx context.Context, changed func()) error

	// snapshot returns what is watched, in a form that can be compared.
	snapshot func() (string, error)

	wallClock func() time.Time
}

// start watches until ctx is done, and then closes the channel. Changes count
// from the call on.
func (w *addressWatch) start(ctx context.Context) <-chan struct{} {
	last, err := w.snapshot()
	if err != nil {
		w.logger.Warn("cannot read this machine's addresses", zap.Error(err))
	}
	events := make(chan struct{})
	go func() {
		defer close(events)
		w.watch(ctx, last, events)
	}()
	return events
}

func (w *addressWatch) watch(ctx context.Context, last string, events chan<- struct{}) {
	stirred := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.keepSubscribed(ctx, func() { signal(stirred) }) })

	ticker := time.NewTicker(clockInterval)
	defer ticker.Stop()
	monotonic, wall := time.Now(), w.wallClock()
	for {
		select {
		case <-ctx.Done():
			return

		case <-stirred:
			// The kernel also reports refreshed lifetimes and the like.
			now, err := w.snapshot()
			if err == nil && now == last {
				continue
			}
			if err != nil {
				w.logger.Debug("cannot read this machine's addresses", zap.Error(err))
			}
			last = now

		case <-ticker.C:
			elapsed, wallElapsed := time.Since(monotonic), w.wallClock().Sub(wall)
			monotonic, wall = monotonic.Add(elapsed), wall.Add(wallElapsed)
			if (wallElapsed - elapsed).Abs() < clockJump {
				continue
			}
			w.logger.Debug("the clock has jumped; the machine may have slept",
				zap.Duration("by", wallElapsed-elapsed))
		}
		select {
		case events <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// keepSubscribed renews a subscription that breaks.
func (w *addressWatch) keepSubscribed(ctx context.Context, changed func()) {
	logBreak := w.logger.Warn
	delay := minResubscribe
	for {
		began := time.Now()
		err := w.subscribe(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxResubscribe {
			logBreak, delay = w.logger.Warn, minResubscribe
		}
		logBreak("address changes are not reported by the system; trying again",
			zap.Error(err), zap.Duration("retry_in", delay))
		logBreak = w.logger.Debug

		select {
		case <-time.After(delay):
			delay = min(2*delay, maxResubscribe)
		case <-ctx.Done():
			return
		}
	}
}

// debounce passes an event on after the settle time, and once more after the
// quiet time without any. In between it passes on at most one event per quiet
// time. The result is closed after events is.
func debounce(settle, quiet time.Duration, events <-chan struct{}) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		defer close(out)
		settled := time.NewTimer(quiet)
		settled.Stop()
		defer settled.Stop()
		var passed time.Time
		for {
			select {
			case _, ok := <-events:
				if !ok {
					return
				}
				settled.Reset(quiet)
				if time.Since(passed) >= quiet {
					time.Sleep(settle)
					passed = time.Now()
					signal(out)
				}
			case <-settled.C:
				passed = time.Now()
				signal(out)
			}
		}
	}()
	return out
}

// signal leaves a signal for a reader that may be busy.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
