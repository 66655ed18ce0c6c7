// Package zone keeps zones at providers as desired. A zone has one goroutine,
// which alone touches its state machine, takes what it is told from a mailbox
// and outlives configurations, so that a reload forgets neither a failed write
// nor what was read.
package zone

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Key names a zone at a provider configuration.
type Key struct {
	// Config stands for the provider's configuration.
	Config string
	// Module is the name of the provider's module.
	Module string
	// Zone is the zone's FQDN in canonical form.
	Zone string
}

// Registry has the zones that somebody holds, and those of which a call has
// not returned, so that no second one begins beside it.
type Registry struct {
	mu    sync.Mutex
	zones map[Key]*entry
	// habits are those of zones that nobody holds any more.
	habits map[Key]reconcile.Habits
	turns  map[Key]*sharedTurn
}

// maxHabits bounds what is remembered of zones that are no longer held.
const maxHabits = 1000

type entry struct {
	zone    *Zone
	holders int
}

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
	// failure is the last one that was logged, failed is what could not be
	// written then.
	failure string
	failed  []plan.Key
	// unstored is what is to be stored next, storing is set while something
	// is being stored.
	unstored func()
	storing  bool
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

// ErrSuperseded is the error of what has come true no longer: something newer
// was confirmed, or another configuration has the RRset.
var ErrSuperseded = errors.New("something else is desired by now")

// Handle tells what has become of an RRset that was set.
type Handle struct {
	zone      *Zone
	key       plan.Key
	holder    reconcile.Holder
	desired   *plan.Desired
	done      chan struct{}
	confirmed *plan.Desired
	err       error
}

// Done is closed when the RRset was confirmed, or when an attempt to make it
// so has failed. What is overtaken by something newer waits for that one's
// fate.
func (h *Handle) Done() <-chan struct{} { return h.done }

// Err returns why the RRset was not confirmed, once Done is closed. It may be
// all the same, later: a failed attempt is repeated.
func (h *Handle) Err() error {
	<-h.done
	return h.err
}

// Confirmed returns what has come true, once Done is closed: what was set or,
// where the error is ErrSuperseded, the newer that has overtaken it. It is nil
// if nothing was confirmed.
func (h *Handle) Confirmed() *plan.Desired {
	<-h.done
	return h.confirmed
}

// Forget says that nobody waits for the handle any longer.
func (h *Handle) Forget() {
	z := h.zone
	z.post(func() {
		z.handles[h.key] = slices.DeleteFunc(z.handles[h.key], func(other *Handle) bool { return other == h })
		if len(z.handles[h.key]) == 0 {
			delete(z.handles, h.key)
		}
	})
}

func (h *Handle) resolve(err error) {
	h.err = err
	close(h.done)
}

// look is a read that the machine does not learn of: a difference that is
// seen must still be news to it.
type look struct {
	ctx   context.Context
	reply chan seen
}

type seen struct {
	observed plan.Observed
	snapshot reconcile.Snapshot
	err      error
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

func (z *Zone) step(e reconcile.Event) { z.machine.Step(time.Now(), z.chance(), e) }

// backend is that of the newest holder.
func (z *Zone) backend() *Backend {
	if len(z.holders) == 0 {
		return nil
	}
	return z.holders[len(z.holders)-1].backend
}

// idle returns what tells whether the zone is to be left alone for now, because
// any of those who share it says so.
func (z *Zone) idle() func() bool {
	backends := z.backends()
	return func() bool {
		for _, b := range backends {
			if b.idle() {
				return true
			}
		}
		return false
	}
}

// own is the backend of those of the zone's holders that may have a ledger, or
// else the one that is given.
func (z *Zone) own(b *Backend) *Backend {
	if own := z.backends()[plan.Own]; own != nil {
		return own
	}
	return b
}

// backends are those of the newest holder of each class.
func (z *Zone) backends() map[plan.Class]*Backend {
	newest := make(map[plan.Class]*Backend)
	for _, h := range z.holders {
		newest[h.backend.Class] = h.backend
	}
	return newest
}

func (z *Zone) logger(b *Backend) *zap.Logger {
	return b.Logger.With(zap.String("zone", dnsname.Display(z.Name)), zap.String("provider", b.Provider.Name))
}

// cancelReads ends a read that nobody waits for any longer.
func (z *Zone) cancelReads() {
	if z.reading != nil {
		z.reading()
	}
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

// forget removes a zone that nobody holds.
func (r *Registry) forget(z *Zone) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zones[z.key].holders > 0 {
		return false
	}
	z.cancel()
	z.turn.end()
	delete(r.zones, z.key)
	if len(r.habits) >= maxHabits {
		clear(r.habits)
	}
	r.habits[z.key] = z.machine.Habits()
	account := Key{Module: z.key.Module, Zone: z.key.Zone}
	if r.turns[account].zones--; r.turns[account].zones == 0 {
		delete(r.turns, account)
	}
	return true
}
