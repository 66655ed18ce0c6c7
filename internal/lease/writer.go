package lease

import (
	"maps"
	"slices"
	"time"
)

// Writer returns the entry of who writes the zone, or nil. If two do by
// mistake, it is the first by name, and the other one stops.
func (r *Roster) Writer(id ZoneID, now time.Time) *Entry {
	for _, e := range r.Alive(now) {
		if e.writing(id) != nil {
			return e
		}
	}
	return nil
}

// Writes reports whether this instance is to write the zone, and may.
func (r *Roster) Writes(id ZoneID, now time.Time) bool { return r.Writer(id, now) == &r.self }

// Elsewhere reports whether another instance writes the zone that was seen to
// renew its lease, and is not only left over from before this one started.
func (r *Roster) Elsewhere(zone ZoneID, now time.Time) bool {
	e := r.Writer(zone, now)
	if e == nil || e == &r.self {
		return false
	}
	return r.others[id{e.Name, e.Process}].moves
}

// InSync returns how the zone is doing, as its writer says.
func (r *Roster) InSync(id ZoneID, now time.Time) *bool {
	if e := r.Writer(id, now); e != nil {
		return e.writing(id).InSync
	}
	return nil
}

// Vacant returns the zones that nobody writes and this instance could, and
// since when that is so for the first of them.
func (r *Roster) Vacant(now time.Time) (ids []ZoneID, longest time.Duration) {
	if r.CutOff(now) != nil {
		clear(r.vacant)
		return nil, 0
	}
	alive := r.Alive(now)
	vacant := make(map[ZoneID]time.Time)
	for id := range r.zones() {
		if r.Writer(id, now) != nil || !r.candidate(id, alive, now) {
			continue
		}
		at, ok := r.vacant[id]
		if !ok {
			at = now
		}
		vacant[id] = at
		ids = append(ids, id)
		longest = max(longest, now.Sub(at))
	}
	r.vacant = vacant
	return ids, longest
}

// candidate reports whether this instance should write the zone, if nobody
// does. While there is another, one should not whose provider refuses it, nor
// one that knows nothing of the hosts that clients have in the zone.
func (r *Roster) candidate(id ZoneID, alive []*Entry, now time.Time) bool {
	until, ok := r.refused[id]
	own := unfit(&r.self, id, ok && until.After(now))
	return own == 0 || !slices.ContainsFunc(alive, func(e *Entry) bool {
		return e != &r.self && e.manages(id) && unfit(e, id, slices.Contains(e.Refused, id)) < own
	})
}

// unfit is the higher, the less an instance can write of the zone.
func unfit(e *Entry, id ZoneID, refused bool) (n int) {
	if refused {
		n += 2
	}
	if !e.serves(id) {
		n++
	}
	return n
}

// Claiming is the entry to store that makes this instance the writer of zones.
func (r *Roster) Claiming(ids []ZoneID) Entry {
	e := r.Next()
	for _, id := range ids {
		if e.writing(id) == nil {
			e.Writes = append(e.Writes, Writing{ZoneID: id})
		}
	}
	return e
}

// Claimed notes that such an entry has been stored.
func (r *Roster) Claimed(ids []ZoneID) {
	for _, id := range ids {
		if r.self.writing(id) == nil && r.self.manages(id) {
			r.self.Writes = append(r.self.Writes, Writing{ZoneID: id})
		}
		delete(r.vacant, id)
	}
}

// Report says how a zone is doing that this instance writes. One that has been
// refused for a lease is handed over, if another instance can write it.
func (r *Roster) Report(id ZoneID, inSync *bool, refusedFor time.Duration, now time.Time) {
	w := r.self.writing(id)
	if w == nil {
		return
	}
	w.InSync = inSync
	if refusedFor < r.self.lease() {
		return
	}
	r.refused[id] = now.Add(refusal)
	if !r.candidate(id, r.Alive(now), now) {
		r.drop(id)
	} else {
		delete(r.refused, id)
	}
}

// Settle gives up what this instance does not write any more, or another one
// should, and notes who has which RRset.
func (r *Roster) Settle(now time.Time) {
	if r.CutOff(now) != nil {
		r.self.Writes = nil
	}
	alive := r.Alive(now)
	for _, w := range slices.Clone(r.self.Writes) {
		if !r.Writes(w.ZoneID, now) || !r.candidate(w.ZoneID, alive, now) {
			r.drop(w.ZoneID)
		}
	}
	r.self.Refused = r.self.Refused[:0:0]
	for id, until := range r.refused {
		if !until.After(now) {
			delete(r.refused, id)
		} else {
			r.self.Refused = append(r.self.Refused, id)
		}
	}
	slices.SortFunc(r.self.Refused, compareZones)
	if r.share == First {
		r.settleFirst(now)
	}
}

// Leave makes the entry one of an instance that was stopped.
func (r *Roster) Leave() Entry {
	r.self.Left, r.self.Writes = true, nil
	return r.Next()
}

// Rejoin takes back what Leave said.
func (r *Roster) Rejoin() { r.self.Left = false }

func (r *Roster) drop(id ZoneID) {
	r.self.Writes = slices.DeleteFunc(r.self.Writes, func(w Writing) bool { return w.ZoneID == id })
}

// zones are those that this instance has names in.
func (r *Roster) zones() map[ZoneID]bool {
	ids := make(map[ZoneID]bool)
	for _, s := range r.self.Sets {
		ids[s.ZoneID] = true
	}
	return ids
}

// Zones returns the zones that this instance has names in, in order.
func (r *Roster) Zones() []ZoneID { return slices.SortedFunc(maps.Keys(r.zones()), compareZones) }
