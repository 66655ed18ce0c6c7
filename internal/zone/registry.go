package zone

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
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
	turns map[Key]*sharedTurn
}

type entry struct {
	zone    *Zone
	holders int
}

// Acquire returns the zone of the key, until it is released as often.
func (r *Registry) Acquire(key Key) *Zone {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zones == nil {
		r.zones, r.turns = make(map[Key]*entry), make(map[Key]*sharedTurn)
	}
	e := r.zones[key]
	if e == nil {
		account := Key{Module: key.Module, Zone: key.Zone}
		shared := r.turns[account]
		if shared == nil {
			shared = &sharedTurn{token: make(chan struct{}, 1)}
			r.turns[account] = shared
		}
		shared.zones++
		e = &entry{zone: newZone(r, key, turn{shared: shared}, Chance(key))}
		r.zones[key] = e
	}
	e.holders++
	return e.zone
}

// Release gives back what Acquire has returned.
func (r *Registry) Release(z *Zone) {
	r.mu.Lock()
	e := r.zones[z.key]
	e.holders--
	last := e.holders == 0
	r.mu.Unlock()
	if last {
		z.post(z.cancelReads)
	}
}

// forget removes a zone that nobody holds.
func (r *Registry) forget(z *Zone) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zones[z.key].holders > 0 {
		return false
	}
	z.turn.leave()
	delete(r.zones, z.key)
	account := Key{Module: z.key.Module, Zone: z.key.Zone}
	if r.turns[account].zones--; r.turns[account].zones == 0 {
		delete(r.turns, account)
	}
	return true
}

// sharedTurn is shared by the zones of one name at one provider module: two
// configurations may well lead to the same zone, and some providers rewrite
// it whole.
type sharedTurn struct {
	token chan struct{}
	zones int
}

// turn is one zone's part in it. It belongs to the zone's goroutine.
type turn struct {
	shared  *sharedTurn
	has     bool
	waiting chan struct{}
}

// hangs is how long a call that was given up may keep the turn.
const hangs = 10*time.Minute - provider.WriteTimeout

// take reports whether the zone has the turn. If not, it calls ready once
// that is worth another try.
func (t *turn) take(ctx context.Context, ready func()) bool {
	if t.waiting != nil {
		select {
		case <-t.waiting:
			t.waiting, t.has = nil, true
		default:
			return false
		}
	}
	if t.has {
		return true
	}
	select {
	case t.shared.token <- struct{}{}:
		t.has = true
		return true
	default:
	}
	granted := make(chan struct{})
	t.waiting = granted
	go func() {
		select {
		case t.shared.token <- struct{}{}:
			close(granted)
			ready()
		case <-ctx.Done():
		}
	}()
	return false
}

// leave lets others have the turn.
func (t *turn) leave() {
	if t.waiting != nil {
		select {
		case <-t.waiting:
			t.waiting, t.has = nil, true
		default:
		}
	}
	if t.has {
		t.has = false
		<-t.shared.token
	}
}
