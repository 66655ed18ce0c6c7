package zone

import "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"

// Shared has the zones of all modules and configurations of the process, so
// that a zone at a provider has one writer.
var Shared Registry

// Acquire returns the zone of the key, until it is released as often.
func (r *Registry) Acquire(key Key) *Zone {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zones == nil {
		r.zones, r.turns, r.habits = make(map[Key]*entry), make(map[Key]*sharedTurn), make(map[Key]reconcile.Habits)
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
		e = &entry{zone: newZone(r, key, turn{shared: shared}, reconcile.New(r.habits[key]))}
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
		z.post(func() {
			if !r.held(z) {
				z.cancelReads()
			}
		})
	}
}

// held reports whether somebody holds the zone.
func (r *Registry) held(z *Zone) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.zones[z.key]
	return e != nil && e.zone == z && e.holders > 0
}
