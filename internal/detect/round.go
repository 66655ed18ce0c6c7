package detect

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	// While no address is known at all, as at boot before the network is up,
	// the sources are asked again after firstRetry, then ever later up to
	// maxRetry.
	firstRetry = 2 * time.Second
	maxRetry   = time.Minute
	// So they are, this many times, when something has happened and a family
	// that was known is not found: what is beyond this machine, such as a name
	// server or a session with the provider, may take longer to be there.
	eventRetries = 5
)

// Sink takes what is known of a family, which is at least one address or the
// prefix.
type Sink func(d *Detector, f ipaddr.Family, found Found)

// round asks one detector for one family at its own pace: a family that is slow
// to fail must not hold up the other.
type round struct {
	detector *Detector
	family   ipaddr.Family
	interval time.Duration
	sink     Sink
	random   func() float64

	// kick has a value when something may have changed.
	kick chan struct{}
	// asks are what to call after a check that begins from now on.
	asks    chan func()
	retries int
	// stirred is set from an event until what came of it is known.
	stirred bool
	// checked is that of the schedule.
	checked func()
	// published is what the sink has.
	published Found
	// fresh is set until the first check, if no address was known before. When
	// to come back after it must not depend on which family is done first.
	fresh bool

	mu   sync.Mutex
	next time.Time
}

// run checks until ctx ends. What was found before a reload is used as it is,
// and asked for again when that is due.
func (r *round) run(ctx context.Context) {
	known := r.detector.Known
	known.begin(r.family, time.Now())
	r.publish()
	var delay time.Duration
	if due := known.due(r.family); !due.IsZero() && !known.neglects(r.family, r.detector.Families[r.family], r.detector.wantsPrefix(r.family)) {
		delay = max(0, min(time.Until(due), r.interval-time.Since(known.Family(r.family).Checked)))
	}
	r.setNext(delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	var asked []func()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.kick:
			r.retries, r.stirred = 0, true
		case done := <-r.asks:
			asked = append(asked, done)
		}
		known.setDue(r.family, time.Now())
		delay, done := r.check(ctx)
		if ctx.Err() != nil {
			return
		}
		known.setDue(r.family, time.Now().Add(delay))
		r.setNext(delay)
		timer.Reset(delay)
		if done {
			for _, tell := range asked {
				tell()
			}
			asked = nil
		}
	}
}

// ask has run check from now on, and waits for that or the end of ctx.
func (r *round) ask(ctx context.Context) {
	done := make(chan struct{})
	select {
	case r.asks <- func() { close(done) }:
		select {
		case <-done:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
}

// when returns when the next check is due.
func (r *round) when() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

func (r *round) setNext(delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = time.Now().Add(delay)
}

// check asks the sources and returns when to come again. It is not done if a
// source must not be asked yet.
func (r *round) check(ctx context.Context) (delay time.Duration, done bool) {
	soon, early := r.detector.detect(ctx, r.family)
	if early > 0 {
		return early, false
	}
	if ctx.Err() == nil {
		r.publish()
		if r.checked != nil {
			r.checked()
		}
	}
	delay = r.interval - time.Duration(r.random()*float64(r.interval)/20)
	if soon > 0 {
		delay = min(delay, soon)
	}
	found := r.detector.Known.Family(r.family)
	retry := !r.detector.Known.any() || r.fresh && found.Failing ||
		r.stirred && found.Failing && found.any() && soon == 0 && r.retries < eventRetries
	r.fresh = false
	if !retry {
		r.retries, r.stirred = 0, false
		return delay, true
	}
	delay = min(delay, firstRetry<<min(r.retries, 5), maxRetry)
	r.retries++
	return delay, true
}

// checkOnce checks without run.
func (r *round) checkOnce(ctx context.Context) {
	for {
		delay, done := r.check(ctx)
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// publish hands what is known to the sink, unless the sink has it. Known alone
// does not say: during a reload, another schedule may have found the change.
func (r *round) publish() {
	found := r.detector.Known.Family(r.family)
	if !found.any() || found.same(&r.published) {
		return
	}
	r.published = found
	r.sink(r.detector, r.family, found)
}
