// Package zone keeps zones at providers as desired. A zone has one goroutine,
// which alone touches its state machine, takes what it is told from a mailbox
// and outlives configurations, so that a reload forgets neither a failed write
// nor what was read.
package zone

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Zone is a zone at one provider configuration.
type Zone struct {
	// Name is the zone's FQDN in canonical form.
	Name string

	registry *Registry
	key      Key
	turn     turn
	// chance gives numbers in [0,1).
	chance func() float64

	mu     sync.Mutex
	mail   []func()
	closed bool
	ready  chan struct{}

	// What follows belongs to the goroutine.

	ctx     context.Context
	cancel  context.CancelFunc
	machine *reconcile.Machine
	holders []*Holder
	// numbered counts holders.
	numbered  reconcile.Holder
	handles   map[plan.Key][]*Handle
	verifiers []chan struct{}
	looks     []*look
	// called is set while a call is waited for, and hung counts those that
	// were given up; hungWrite means that one of them writes.
	called    bool
	hung      int
	hungWrite bool
	// reading cancels the read that is under way.
	reading context.CancelFunc
	// hint is the advice that goes with an error, once it was looked for.
	hint *string
	// failure is the last one that was logged.
	failure string
	store   storing
}

// Holder is what one configuration has of a zone.
type Holder struct {
	zone    *Zone
	number  reconcile.Holder
	backend *Backend
	reclaim func(*Holder)
}

// ErrReleased is the error of what was desired by a holder that has gone.
var ErrReleased = errors.New("the configuration has changed")

// ErrSuperseded is the error of what is no longer desired.
var ErrSuperseded = errors.New("something else is desired by now")

// Handle tells what has become of an RRset that was set.
type Handle struct {
	desired *plan.Desired
	done    chan struct{}
	err     error
}

// Done is closed when the RRset was confirmed, or when an attempt to make it
// so has failed.
func (h *Handle) Done() <-chan struct{} { return h.done }

// Err returns why the RRset was not confirmed, once Done is closed. It may be
// all the same, later: a failed attempt is repeated.
func (h *Handle) Err() error {
	<-h.done
	return h.err
}

func (h *Handle) resolve(err error) {
	h.err = err
	close(h.done)
}

func newZone(registry *Registry, key Key, turn turn, chance func() float64) *Zone {
	z := &Zone{
		Name: key.Zone, registry: registry, key: key, turn: turn, chance: chance,
		ready:   make(chan struct{}, 1),
		machine: reconcile.New(),
		handles: make(map[plan.Key][]*Handle),
	}
	z.ctx, z.cancel = context.WithCancel(context.Background())
	go z.run()
	return z
}

// Attach gives the zone's RRsets to a new holder, with what it desires of
// them. They are taken from older ones; reclaim is called, on a goroutine of
// its own, if they come back.
func (z *Zone) Attach(b *Backend, desired map[plan.Key]*plan.Desired, reclaim func(*Holder)) *Holder {
	h := &Holder{zone: z, backend: b, reclaim: reclaim}
	z.post(func() {
		z.numbered++
		h.number = z.numbered
		z.holders = append(z.holders, h)
		z.claim(h, desired)
	})
	return h
}

// Claim replaces all that the holder desires.
func (h *Holder) Claim(desired map[plan.Key]*plan.Desired) {
	h.zone.post(func() { h.zone.claim(h, desired) })
}

// Set changes what is desired of RRsets, also of such that were not known
// before.
func (h *Holder) Set(d *plan.Desired, keys ...plan.Key) []*Handle {
	handles := make([]*Handle, len(keys))
	for i := range keys {
		handles[i] = &Handle{desired: d, done: make(chan struct{})}
	}
	z := h.zone
	released := func() {
		for _, handle := range handles {
			handle.resolve(ErrReleased)
		}
	}
	posted := z.post(func() {
		if !slices.Contains(z.holders, h) {
			released()
			return
		}
		for i, key := range keys {
			for _, older := range z.handles[key] {
				older.resolve(ErrSuperseded)
			}
			z.handles[key] = []*Handle{handles[i]}
			z.step(reconcile.Want{Holder: h.number, Key: key, Desired: d})
		}
	})
	if !posted {
		released()
	}
	return handles
}

// Release gives up what the holder has. What is published stays.
func (h *Holder) Release() {
	z := h.zone
	z.post(func() {
		at := slices.Index(z.holders, h)
		if at < 0 {
			return
		}
		z.holders = slices.Delete(z.holders, at, at+1)
		z.forgetting(func() { z.step(reconcile.Release{Holder: h.number}) })
		if at == len(z.holders) && at > 0 {
			// As when a configuration fails after all: the one before goes on.
			heir := z.holders[at-1]
			z.numbered++
			heir.number = z.numbered
			if heir.reclaim != nil {
				go heir.reclaim(heir)
			}
		}
	})
}

// Verify has the zone read now, also where it would wait after a failure. The
// channel is closed at the end of an attempt that began after this call.
func (z *Zone) Verify() <-chan struct{} {
	done := make(chan struct{})
	if !z.post(func() {
		z.verifiers = append(z.verifiers, done)
		z.step(reconcile.Verify{})
	}) {
		close(done)
	}
	return done
}

// Snapshot returns what is known of the zone now.
func (z *Zone) Snapshot() reconcile.Snapshot {
	reply := make(chan reconcile.Snapshot, 1)
	if !z.post(func() { reply <- z.machine.Snapshot(time.Now()) }) {
		return reconcile.Snapshot{}
	}
	return <-reply
}

// post hands the goroutine something to do. It never waits, and reports
// whether it will be done: not for a zone that nobody holds any more.
func (z *Zone) post(do func()) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return false
	}
	z.mail = append(z.mail, do)
	select {
	case z.ready <- struct{}{}:
	default:
	}
	return true
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
		}
		if len(mail) > 0 {
			z.tell()
		}
		if !z.called && z.hung == 0 && z.registry.forget(z) {
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

// work begins what there is to do, and returns when there is more.
func (z *Zone) work() time.Time {
	if z.called {
		return time.Time{}
	}
	backend := z.backend()
	now := time.Now()
	next := z.machine.Next(now)
	due := next.Do != reconcile.DoNothing || !next.Until.IsZero() && !next.Until.After(now)
	due = due && backend != nil && !backend.ReadOnly
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

// takeTurn reports whether it is this zone's turn. If not, it comes back once
// it is.
func (z *Zone) takeTurn() bool { return z.turn.take(z.ctx, func() { z.post(func() {}) }) }

// leaveTurn lets others have the zone, unless a write that was given up may
// still change it.
func (z *Zone) leaveTurn() {
	if !z.hungWrite {
		z.turn.leave()
	}
}

func (z *Zone) step(e reconcile.Event) { z.machine.Step(time.Now(), z.chance(), e) }

func (z *Zone) claim(h *Holder, desired map[plan.Key]*plan.Desired) {
	if !slices.Contains(z.holders, h) {
		return
	}
	z.forgetting(func() {
		z.step(reconcile.Claim{
			Holder: h.number, Desired: desired,
			Abilities: h.backend.abilities(), VerifyEvery: h.backend.VerifyEvery,
		})
	})
}

// forgetting does something that may give RRsets up, which are then no longer
// to be remembered.
func (z *Zone) forgetting(do func()) {
	before := z.machine.Count()
	do()
	if b := z.backend(); b != nil && z.machine.Count() < before {
		z.remember(b)
	}
}

// backend is that of the newest holder.
func (z *Zone) backend() *Backend {
	if len(z.holders) == 0 {
		return nil
	}
	return z.holders[len(z.holders)-1].backend
}

// Chance is where zones take their random numbers from. Tests put in a source
// that can be repeated.
var Chance = func(Key) func() float64 { return rand.Float64 }
