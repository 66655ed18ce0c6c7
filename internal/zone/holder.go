package zone

import (
	"iter"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

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
// before. There is a handle for each key.
func (h *Holder) Set(d *plan.Desired, keys ...plan.Key) []*Handle {
	return h.SetEach(func(yield func(plan.Key, *plan.Desired) bool) {
		for _, key := range keys {
			if !yield(key, d) {
				return
			}
		}
	})
}

// SetEach is Set for RRsets that should hold different things. What comes of it
// is planned together, and written together where the provider can.
func (h *Holder) SetEach(desired iter.Seq2[plan.Key, *plan.Desired]) []*Handle {
	z := h.zone
	var (
		keys    []plan.Key
		handles []*Handle
	)
	for key, d := range desired {
		keys = append(keys, key)
		handles = append(handles, &Handle{zone: z, key: key, desired: d, done: make(chan struct{})})
	}
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
			handles[i].holder = h.number
			z.handles[key] = append(z.handles[key], handles[i])
			z.step(reconcile.Desire{Holder: h.number, Key: key, Desired: handles[i].desired})
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
		same := func(other *Holder) bool { return other.backend.Class == h.backend.Class }
		if !slices.ContainsFunc(z.holders[at:], same) && slices.ContainsFunc(z.holders[:at], same) {
			// As when a configuration fails after all: the one before goes on.
			for at--; !same(z.holders[at]); at-- {
			}
			heir := z.holders[at]
			z.numbered++
			heir.number = z.numbered
			if heir.reclaim != nil {
				go heir.reclaim(heir)
			}
		}
	})
}

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
	if z.machine.Count() == before {
		return
	}
	for key := range z.handles {
		if !z.machine.Manages(key) {
			z.resolve(key, always(ErrReleased))
		}
	}
	if b := z.backend(); b != nil && z.machine.Count() < before {
		z.remember(b)
	}
}

// InSync reports whether all of the RRsets are as desired by the newest
// evidence. It asks the provider nothing.
func (z *Zone) InSync(keys ...plan.Key) bool {
	reply := make(chan bool, 1)
	return z.post(func() {
		reply <- !slices.ContainsFunc(keys, func(key plan.Key) bool { return !z.machine.InSync(key) })
	}) && <-reply
}

// Holds reports of each of the RRsets whether it is as desired by the newest
// evidence, or nil where that cannot be told. It asks the provider nothing.
func (z *Zone) Holds(keys []plan.Key) []*bool {
	reply := make(chan []*bool, 1)
	if !z.post(func() {
		holds := make([]*bool, len(keys))
		for i, key := range keys {
			holds[i] = z.machine.Holds(key)
		}
		reply <- holds
	}) {
		return make([]*bool, len(keys))
	}
	return <-reply
}

// Estrange says that somebody else has kept the zone until now, so that it has
// to be read before anything is believed of it.
func (z *Zone) Estrange() { z.post(func() { z.step(reconcile.Estrange{}) }) }

// Verify has the zone read now, also where it would wait after a failure. The
// channel is closed at the end of an attempt that began after this call, or at
// once while the zone is not to be kept.
func (z *Zone) Verify() <-chan struct{} {
	done := make(chan struct{})
	if !z.post(func() {
		if z.idle()() {
			close(done)
			return
		}
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
