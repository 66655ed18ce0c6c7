package dynamicdns

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// While no address is known at all, as at boot before the network is up,
	// the sources are asked again after firstRetry, then ever later up to
	// maxRetry.
	firstRetry = 2 * time.Second
	maxRetry   = time.Minute
)

// checker finds out the addresses and tells the keepers. It knows when to
// ask, and no provider.
type checker struct {
	detectors []*detector
	interval  time.Duration
	// events has a value whenever the system's addresses may have changed.
	events <-chan struct{}
	// ask has a value whenever a person wants a check now.
	ask chan chan<- struct{}
	// tell hands the keepers what the detector knows.
	tell   func(*detector)
	logger *zap.Logger

	retries int

	mu   sync.Mutex
	next time.Time
}

// run checks until ctx ends. What was found before a reload is used as it
// is, and asked for again when that is due.
func (c *checker) run(ctx context.Context) {
	delay := time.Duration(0)
	known := true
	for _, d := range c.detectors {
		c.tell(d)
		_, checked := d.known.get()
		known = known && !checked.IsZero() && d.known.any()
		if due := c.interval - time.Since(checked); delay == 0 || due < delay {
			delay = max(0, due)
		}
	}
	if !known {
		delay = 0
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		c.setNext(time.Now().Add(delay))
		var answer []chan<- struct{}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case _, ok := <-c.events:
			if !ok {
				c.events = nil
				continue
			}
			c.logger.Debug("the system's addresses or routes changed")
			c.retries = 0
		case reply := <-c.ask:
			answer = append(answer, reply)
		}
		delay = c.check(ctx)
		timer.Reset(delay)
		for _, reply := range answer {
			close(reply)
		}
	}
}

// check asks all detectors at once and returns when to come again.
func (c *checker) check(ctx context.Context) time.Duration {
	soon := make([]time.Duration, len(c.detectors))
	var wg sync.WaitGroup
	for i, d := range c.detectors {
		wg.Go(func() {
			soon[i] = d.detect(ctx)
			if ctx.Err() == nil {
				c.tell(d)
			}
		})
	}
	wg.Wait()

	delay := c.interval - rand.N(c.interval/20+1)
	for _, s := range soon {
		if s > 0 {
			delay = min(delay, s)
		}
	}
	if slices.ContainsFunc(c.detectors, func(d *detector) bool { return !d.known.any() }) {
		delay = min(delay, firstRetry<<min(c.retries, 5), maxRetry)
		c.retries++
	} else {
		c.retries = 0
	}
	return delay
}

func (c *checker) setNext(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = t
}
