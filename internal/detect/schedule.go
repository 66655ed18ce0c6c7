package detect

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// Schedule decides when to ask for the addresses.
type Schedule struct {
	// Events has a value whenever the system's addresses may have changed. It
	// may be nil, and may be closed.
	Events <-chan struct{}
	// Notices has Run listen to sources that learn of changes on their own.
	Notices bool
	// Checked, which may be nil, is called after each check of a family. It
	// returns at once.
	Checked func()

	detectors []*Detector
	rounds    []*round
	logger    *zap.Logger
}

// NewSchedule makes a schedule that asks each detector for each of its families
// once per interval, less up to 5% at random. It publishes what is known at
// the start, and from then on whenever it has changed.
func NewSchedule(detectors []*Detector, interval time.Duration, sink Sink, logger *zap.Logger) *Schedule {
	s := &Schedule{detectors: detectors, logger: logger}
	for _, d := range detectors {
		d.interval = interval
		for _, src := range d.Sources {
			src.limit.every = min(src.limit.every, interval)
		}
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if d.Enabled(f) {
				s.rounds = append(s.rounds, &round{
					detector: d, family: f, interval: interval, sink: sink, random: rand.Float64,
					kick: make(chan struct{}, 1), asks: make(chan func()),
				})
			}
		}
	}
	return s
}

// Randomize replaces what the jitter is drawn from. Each round gets a stream of
// numbers in [0,1) of its own, so that what it draws does not depend on when
// others draw.
func (s *Schedule) Randomize(stream func(round int) func() float64) {
	for i, r := range s.rounds {
		r.random = stream(i)
	}
}

// Run checks until ctx ends.
func (s *Schedule) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, d := range s.detectors {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			d.Known.forget(f, d.Families[f], d.wantsPrefix(f))
		}
	}
	for _, r := range s.rounds {
		r.fresh, r.checked = !r.detector.Known.any(), s.Checked
	}
	for _, r := range s.rounds {
		running.Go(func() { r.run(ctx) })
	}
	if s.Notices {
		for _, d := range s.detectors {
			for _, src := range d.Sources {
				if n, ok := src.IPSource.(ipsources.Notifier); ok {
					running.Go(func() { s.listen(ctx, src.Name, n) })
				}
			}
		}
	}
	events := s.Events
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			s.logger.Debug("the system's addresses or routes changed")
			s.Kick()
		}
	}
}

// listen takes notices of a source for events, until ctx ends.
func (s *Schedule) listen(ctx context.Context, source string, n ipsources.Notifier) {
	defer func() {
		if r := recover(); r != nil {
			s.logger.Error("the IP source panicked, so its notices of changes are missed; it is still asked at each check",
				zap.String("source", source), zap.Any("panic", r))
		}
	}()
	n.Notify(ctx, func() {
		s.logger.Debug("an IP source noticed that an address may have changed", zap.String("source", source))
		s.Kick()
	})
}

// Kick has Run check every family, for an address may have changed. It returns
// at once and may be called as often as there is reason to: the newest call is
// followed by a check that begins after it, as soon as the sources may be asked.
func (s *Schedule) Kick() {
	for _, r := range s.rounds {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
}

// Check has Run check every family from now on, and waits for that. It fails
// if ctx ends before.
func (s *Schedule) Check(ctx context.Context) error {
	var checked sync.WaitGroup
	for _, r := range s.rounds {
		checked.Go(func() { r.ask(ctx) })
	}
	checked.Wait()
	return ctx.Err()
}

// CheckOnce checks every family without Run.
func (s *Schedule) CheckOnce(ctx context.Context) {
	var checked sync.WaitGroup
	for _, r := range s.rounds {
		checked.Go(func() { r.checkOnce(ctx) })
	}
	checked.Wait()
}

// Next returns when the sources are asked next, or zero if Run has not begun.
func (s *Schedule) Next() time.Time {
	var first time.Time
	for _, r := range s.rounds {
		if next := r.when(); first.IsZero() || next.Before(first) {
			first = next
		}
	}
	return first
}
