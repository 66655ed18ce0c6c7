package netmon

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// goneTime is how long something that went away has nothing in its place
	// before that counts: an address is replaced by removing the old one first,
	// and nobody should see the moment in between.
	goneTime = 20 * time.Millisecond

	// quietTime is how long nothing may change before the addresses count as
	// settled.
	quietTime = 250 * time.Millisecond

	// Of changes without end, the first patience ones are looked at one by
	// one, and the others once in restTime.
	patience = 16
	restTime = 20 * time.Millisecond

	// Whoever sleeps mostly loses the network, too, which is told at once. The
	// clock is for where that does not show, and each look at it wakes the CPU.
	clockInterval = 30 * time.Second
	clockJump     = 30 * time.Second

	minResubscribe = time.Second
	maxResubscribe = time.Minute
)

// Watch signals that the addresses or default routes of this machine have
// changed, or that it has slept: at once when something appears, after a moment
// when something is gone, and again when all has been quiet for a while. The
// channel is closed after ctx is done, once the watch has ended.
func Watch(ctx context.Context, logger *zap.Logger) <-chan struct{} {
	w := &addressWatch{
		logger:    logger,
		subscribe: subscribeAddresses,
		snapshot:  snapshotAddresses,
		wallClock: func() time.Time { return time.Now().Round(0) },
	}
	return w.start(ctx)
}

// addressWatch turns what the system reports into signals.
type addressWatch struct {
	logger *zap.Logger

	// subscribe calls changed when it has begun to listen, and then whenever
	// an address may have changed, until the context is done or it fails.
	subscribe func(ctx context.Context, changed func()) error

	// snapshot returns what is watched, each thing in a line of its own.
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
	signals := make(chan struct{}, 1)
	go func() {
		defer close(signals)
		w.watch(ctx, last, signals)
	}()
	return signals
}

func (w *addressWatch) watch(ctx context.Context, last string, signals chan<- struct{}) {
	stirred := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.keepSubscribed(ctx, func() { signal(stirred) }) })

	gone, settled := stoppedTimer(), stoppedTimer()
	defer gone.Stop()
	defer settled.Stop()
	ticker := time.NewTicker(clockInterval)
	defer ticker.Stop()
	monotonic, wall := time.Now(), w.wallClock()
	var looked time.Time
	looks := 0
	for {
		select {
		case <-ctx.Done():
			return

		case <-gone.C:
			signal(signals)

		case <-settled.C:
			signal(signals)

		case <-stirred:
			if time.Since(looked) > quietTime {
				looks = 0
			}
			if looks++; looks > patience {
				rest(ctx, restTime)
			}
			looked = time.Now()
			// The kernel also reports refreshed lifetimes and the like.
			now, err := w.snapshot()
			if err == nil && now == last {
				continue
			}
			if err != nil {
				w.logger.Debug("cannot read this machine's addresses", zap.Error(err))
			}
			if err != nil || appears(last, now) {
				gone.Stop()
				signal(signals)
			} else {
				gone.Reset(goneTime)
			}
			last = now
			settled.Reset(quietTime)

		case <-ticker.C:
			elapsed, wallElapsed := time.Since(monotonic), w.wallClock().Sub(wall)
			monotonic, wall = monotonic.Add(elapsed), wall.Add(wallElapsed)
			if (wallElapsed - elapsed).Abs() < clockJump {
				continue
			}
			w.logger.Debug("the clock has jumped; the machine may have slept",
				zap.Duration("by", wallElapsed-elapsed))
			signal(signals)
			settled.Reset(quietTime)
		}
	}
}

// appears reports whether there is a line now that was not there before.
func appears(before, now string) bool {
	was := make(map[string]bool)
	for line := range strings.Lines(before) {
		was[strings.TrimSuffix(line, "\n")] = true
	}
	for line := range strings.Lines(now) {
		if !was[strings.TrimSuffix(line, "\n")] {
			return true
		}
	}
	return false
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
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

// signal leaves a signal for a reader that may be busy.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
