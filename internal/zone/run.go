package zone

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Chance is where zones take their random numbers from. Tests put in a source
// that can be repeated.
var Chance = func(Key) func() float64 { return rand.Float64 }

func newZone(registry *Registry, key Key, turn turn, machine *reconcile.Machine) *Zone {
	z := &Zone{
		Name: key.Zone, registry: registry, key: key, turn: turn, chance: Chance(key),
		ready:   make(chan struct{}, 1),
		machine: machine,
		handles: make(map[plan.Key][]*Handle),
	}
	z.ctx, z.cancel = context.WithCancel(context.Background())
	go z.run()
	return z
}

// run works off the mailbox until nobody holds the zone any more.
func (z *Zone) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		z.mu.Lock()
		mail := z.mail
		z.mail = nil
		z.mu.Unlock()
		for _, do := range mail {
			do()
			// At once, for what comes next may desire something else of an
			// RRset of which this has told.
			z.tell()
		}
		if !z.called && z.hung == 0 && !z.storing && z.registry.forget(z) {
			z.close()
			return
		}
		timer.Stop()
		if until := z.work(); !until.IsZero() {
			timer.Reset(max(0, time.Until(until)))
		}
		select {
		case <-z.ready:
		case <-timer.C:
		}
	}
}

// work begins what there is to do, and returns when there is more.
func (z *Zone) work() time.Time {
	if z.called {
		return time.Time{}
	}
	backend := z.backend()
	now := time.Now()
	next := z.machine.Next(now)
	due := next.Do != reconcile.DoNothing || !next.Until.IsZero() && !next.Until.After(now)
	if z.idle()() {
		// Whoever lets it go on tells it so.
		due, next.Until = false, time.Time{}
	}
	switch {
	case backend == nil:
		z.leaveTurn()
		return time.Time{}
	case !due && z.machine.Busy():
		return time.Time{}
	case !due && len(z.looks) > 0 && z.hung == 0 && !z.machine.Busy():
		if z.takeTurn() {
			z.look(backend)
		}
		return time.Time{}
	case !due:
		z.leaveTurn()
		return next.Until
	}
	if !z.takeTurn() {
		return time.Time{}
	}
	if action := z.machine.Begin(now, z.chance()); action.Do != reconcile.DoNothing {
		z.do(backend, action)
		return time.Time{}
	}
	z.tell()
	return now
}

// close ends the zone, once it is no longer in the registry.
func (z *Zone) close() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.closed = true
	for _, do := range z.mail {
		do()
	}
	z.cancel()
	for _, l := range z.looks {
		l.reply <- seen{err: ErrReleased}
	}
	for _, done := range z.verifiers {
		close(done)
	}
	for _, handles := range z.handles {
		for _, h := range handles {
			h.resolve(ErrReleased)
		}
	}
}
