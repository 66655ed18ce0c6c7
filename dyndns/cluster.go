package dyndns

import (
	"iter"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// share has one instance at a time write the zone, where there are several. The
// others take updates, too, and desire nothing of the zone themselves. The zone
// must be there already, for others ask how it is doing from now on.
func (k *keeper) share(z *keptZone) {
	z.id = lease.ZoneID{Zone: z.name, Provider: z.backend.Provider.Name}
	if k.other == nil {
		return
	}
	z.member = k.other.Share(cluster.Zone{ID: z.id, Report: z.report, Begin: func() func() { return k.begin(z.id) }})
	if z.member != nil {
		z.backend.May = func() bool { return z.member.Writes(z.id) }
		z.backend.Confirmed = k.shared.hurry
	}
}

// clustered reports whether there may be other instances.
func (k *keeper) clustered() bool {
	for _, z := range k.kept() {
		if z.member != nil {
			return true
		}
	}
	return false
}

// writes reports whether this instance is to write the zone, and knows what the
// others have taken in.
func (k *keeper) writes(z *keptZone) bool { return k.term(z) != 0 }

// told reports of an entry whether the instance that writes the zone has told
// that DNS has followed. What one has told that is gone is not believed: DNS
// may have changed since.
func (z *keptZone) told(e *ledger.Entry) (confirmed [ipaddr.Families]bool) {
	if z.member.Elsewhere(z.id) {
		return e.Confirmed
	}
	return confirmed
}

// term is a number that changes each time that this instance begins to write
// the zone. It is 0 while another one does.
func (k *keeper) term(z *keptZone) uint64 {
	if z.member == nil {
		return 1
	}
	if term := z.member.Term(z.id); k.shared.hasCaught(z.id, term) {
		return term
	}
	return 0
}

// all returns all that is desired, by zone: of those that another instance
// writes, nothing is.
func (k *keeper) all(entries iter.Seq[*ledger.Entry]) map[*keptZone]map[plan.Key]*plan.Desired {
	all := make(map[*keptZone]map[plan.Key]*plan.Desired)
	for _, z := range k.kept() {
		all[z] = make(map[plan.Key]*plan.Desired)
	}
	for e := range entries {
		z, name, desired := k.desired(e)
		if z == nil || !k.writes(z) {
			continue
		}
		for f, d := range desired {
			if d != nil {
				all[z][plan.Key{Name: name, Family: ipaddr.Family(f)}] = d
			}
		}
	}
	return all
}

// begin forgets what was desired of a zone when this instance last wrote it. It
// is desired anew once that is known to be the newest.
func (k *keeper) begin(id lease.ZoneID) (begun func()) {
	s := k.shared
	s.ledger.Under(func(iter.Seq[*ledger.Entry]) {
		for _, other := range s.keepers {
			for _, z := range other.kept() {
				if z.id == id {
					z.zone.Estrange()
					z.holder.Claim(nil)
				}
			}
		}
	})
	return s.hurry
}

// terms are those in which this instance writes zones now.
func (k *keeper) terms() map[*keptZone]uint64 {
	terms := make(map[*keptZone]uint64)
	for _, z := range k.kept() {
		if z.member != nil {
			terms[z] = z.member.Term(z.id)
		}
	}
	return terms
}

// catchUp begins to keep the zones that this instance has come to write, once
// it knows what others have taken in before that.
func (k *keeper) catchUp(terms map[*keptZone]uint64, readAll bool) {
	s := k.shared
	var begun []*keptZone
	s.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		if !slices.Contains(s.keepers, k) {
			return
		}
		for z, term := range terms {
			if term != 0 && !s.hasCaught(z.id, term) {
				begun = append(begun, z)
			}
		}
		for _, z := range begun {
			s.catch(z.id, terms[z])
		}
		all := k.all(entries)
		for _, z := range begun {
			z.holder.Claim(all[z])
		}
	})
	for _, z := range begun {
		z.zone.Verify()
	}
	if len(begun) == 0 {
		return
	}
	s.ledger.Notify()
	if !readAll {
		// Who wrote it before may have ended before it told all.
		s.ledger.Behind()
	}
}

// judge returns what tells of entries whether DNS holds them, in zones that
// this instance writes for all.
func (k *keeper) judge() ledger.Judge {
	if !k.clustered() {
		return nil
	}
	return func(entries []*ledger.Entry) [][ipaddr.Families]*bool {
		type place struct{ entry, family int }
		keys, places := make(map[*keptZone][]plan.Key), make(map[*keptZone][]place)
		verdicts := make([][ipaddr.Families]*bool, len(entries))
		for i, e := range entries {
			if k.find(e.Host) == nil {
				verdicts[i] = k.disown(e)
				continue
			}
			z, name, desired := k.desired(e)
			if z == nil || z.member == nil || !k.writes(z) {
				continue
			}
			for f, d := range desired {
				if d != nil {
					keys[z] = append(keys[z], plan.Key{Name: name, Family: ipaddr.Family(f)})
					places[z] = append(places[z], place{i, f})
				}
			}
		}
		for z, keys := range keys {
			term := k.term(z)
			for i, holds := range z.zone.Holds(keys) {
				at := places[z][i]
				of := voucher{entries[at.entry].Host, at.family}
				verdicts[at.entry][at.family] = k.shared.vouch(of, term, holds)
			}
		}
		return verdicts
	}
}

// disown says of a host that no user has here, but others may have, that DNS
// is not kept as they were told, if this instance writes its zone.
func (k *keeper) disown(e *ledger.Entry) (verdict [ipaddr.Families]*bool) {
	for _, s := range k.services {
		if z, _ := s.locate(e.Host); z != nil && z.member != nil && k.writes(z) {
			return [ipaddr.Families]*bool{new(false), new(false)}
		}
	}
	return verdict
}
