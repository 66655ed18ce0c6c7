package dyndns

import (
	"iter"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// attach takes the zones over from the configuration before, unless they were
// given back meanwhile.
func (k *keeper) attach() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left {
		return
	}
	s := k.shared
	s.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for z, desired := range k.all(entries) {
			z.holder = z.zone.Attach(z.backend, desired, func(*zone.Holder) { k.reclaim() })
		}
		s.keepers = append(s.keepers, k)
	})
	s.ledger.Together(k.clustered())
	close(k.attached)
}

// reclaim desires anew all that is on record.
func (k *keeper) reclaim() {
	k.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		if slices.Contains(k.shared.keepers, k) {
			for z, desired := range k.all(entries) {
				z.holder.Claim(desired)
			}
		}
	})
}

// detach gives the zones back to the configuration that had them before, if
// that one goes on running.
func (k *keeper) detach() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left = true
	s := k.shared
	var heir *keeper
	s.ledger.Under(func(iter.Seq[*ledger.Entry]) {
		s.keepers = slices.DeleteFunc(s.keepers, func(other *keeper) bool { return other == k })
		heir = s.newest()
	})
	if heir != nil {
		s.ledger.Together(heir.clustered())
	}
	for _, z := range k.kept() {
		if z.holder != nil {
			z.holder.Release()
		}
	}
}

// set has the host's zone hold what is on record, if this instance writes it. It
// must be called under the ledger's lock. There is a handle for each family that
// something is desired of.
func (k *keeper) set(e *ledger.Entry) (handles [ipaddr.Families]*zone.Handle) {
	z, name, desired := k.desired(e)
	if z == nil || !k.writes(z) {
		return handles
	}
	for f, d := range desired {
		if d != nil {
			handles[f] = z.holder.Set(d, plan.Key{Name: name, Family: ipaddr.Family(f)})[0]
		}
	}
	return handles
}
