package dynamicdns

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	// While no address is known at all, as at boot before the network is up,
	// the sources are asked again after firstRetry, then ever later up to
	// maxRetry.
	firstRetry = 2 * time.Second
	maxRetry   = time.Minute
)

// checker decides when to ask for the addresses, and tells the keepers. It
// knows no provider.
type checker struct {
	rounds []*checkRound
	// events has a value whenever the system's addresses may have changed.
	events <-chan struct{}
	// ask has a value whenever a person wants a check now; what is sent is
	// closed when it is done.
	ask    chan chan<- struct{}
	logger *zap.Logger
}

// checkRound asks for one family at one detector, at its own pace: where one
// family is slow to fail, the other must not wait.
type checkRound struct {
	detector *detector
	family   ipaddr.Family
	interval time.Duration
	// tell hands the keepers what the detector knows of the family.
	tell func(*detector, ipaddr.Family)

	// kick has a value when something may have changed.
	kick chan struct{}
	// asks are what to call when a check that begins from now on is done.
	asks    chan func()
	retries int

	mu   sync.Mutex
	next time.Time
}

func newChecker(detectors []*detector, interval time.Duration, tell func(*detector, ipaddr.Family), logger *zap.Logger) *checker {
	c := &checker{ask: make(chan chan<- struct{}), logger: logger}
	for _, d := range detectors {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if d.enabled(f) {
				c.rounds = append(c.rounds, &checkRound{
					detector: d, family: f, interval: interval, tell: tell,
					kick: make(chan struct{}, 1), asks: make(chan func()),
				})
			}
		}
	}
	return c
}

// run checks until ctx ends.
func (c *checker) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, r := range c.rounds {
		running.Go(func() { r.run(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-c.events:
			if !ok {
				c.events = nil
				continue
			}
			c.logger.Debug("the system's addresses or routes changed")
			for _, r := range c.rounds {
				select {
				case r.kick <- struct{}{}:
				default:
				}
			}
		case reply := <-c.ask:
			running.Go(func() {
				defer close(reply)
				c.checkAll(ctx)
			})
		}
	}
}

// checkAll has every family checked from now on, and waits for that.
func (c *checker) checkAll(ctx context.Context) {
	var checked sync.WaitGroup
	defer checked.Wait()
	for _, r := range c.rounds {
		checked.Go(func() {
			done := make(chan struct{})
			select {
			case r.asks <- func() { close(done) }:
				select {
				case <-done:
				case <-ctx.Done():
				}
			case <-ctx.Done():
			}
		})
	}
}

// nextCheck returns when the sources are asked next.
func (c *checker) nextCheck() time.Time {
	var first time.Time
	for _, r := range c.rounds {
		r.mu.Lock()
		if first.IsZero() || r.next.Before(first) {
			first = r.next
		}
		r.mu.Unlock()
	}
	return first
}

// run checks until ctx ends. What was found before a reload is used as it
// is, and asked for again when that is due.
func (r *checkRound) run(ctx context.Context) {
	r.tell(r.detector, r.family)
	delay := time.Duration(0)
	if checked := r.detector.known.checked(r.family); !checked.IsZero() && r.detector.known.any() {
		delay = max(0, r.interval-time.Since(checked))
	}
	if delay == 0 {
		delay = r.check(ctx)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		r.mu.Lock()
		r.next = time.Now().Add(delay)
		r.mu.Unlock()
		done := func() {}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.kick:
			r.retries = 0
		case done = <-r.asks:
		}
		delay = r.check(ctx)
		timer.Reset(delay)
		done()
	}
}

// check asks the sources and returns when to come again.
func (r *checkRound) check(ctx context.Context) time.Duration {
	soon := r.detector.detect(ctx, r.family)
	if ctx.Err() == nil {
		r.tell(r.detector, r.family)
	}
	delay := r.interval - time.Duration(random()*float64(r.interval)/20)
	if soon > 0 {
		delay = min(delay, soon)
	}
	if r.detector.known.any() {
		r.retries = 0
		return delay
	}
	delay = min(delay, firstRetry<<min(r.retries, 5), maxRetry)
	r.retries++
	return delay
}
