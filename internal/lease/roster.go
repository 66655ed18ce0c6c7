package lease

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Roster is what one instance knows of all. It believes no clock but its own:
// another instance is alive while its entry goes on changing.
type Roster struct {
	self   Entry
	others map[id]*member
	// stored and read are when the last storing and the last reading began
	// that succeeded.
	stored, read time.Time
	// alone is when a storage was found that had nothing in it.
	alone time.Time
	// missing are those who were alive when their entries were gone from the
	// storage, all at once: it may be another one by now.
	missing map[string]bool
	// refused is until when zones are left to others.
	refused map[ZoneID]time.Time
	// vacant is since when nobody writes a zone.
	vacant map[ZoneID]time.Time
	// first remembers who has an RRset, whoever writes it.
	first map[ZoneID]map[string]string
	share Share
}

// Share says which addresses a name holds.
type Share uint8

const (
	// All are the addresses of all instances that are alive.
	All Share = iota
	// First are those of one instance, and of another once that one is gone.
	First
)

func (s Share) String() string { return [...]string{All: "all", First: "first"}[s] }

type id struct{ name, process string }

// member is another instance.
type member struct {
	Entry
	// changed is when its entry was first seen as it is.
	changed time.Time
	// moves is set once it was seen to change.
	moves bool
}

// refusal is how long a zone is left to others whose provider refuses us.
const refusal = 10 * time.Minute

// New makes the roster of an instance.
func New(name, process, host string) *Roster {
	return &Roster{
		self:    Entry{Name: name, Process: process, Host: host, Lease: MinLease.Seconds()},
		others:  make(map[id]*member),
		refused: make(map[ZoneID]time.Time),
		vacant:  make(map[ZoneID]time.Time),
		first:   make(map[ZoneID]map[string]string),
	}
}

// Configure takes over settings, which a reload may change.
func (r *Roster) Configure(share Share, lease time.Duration) {
	r.share, r.self.Lease = share, lease.Seconds()
}

// Publish says what this instance would publish.
func (r *Roster) Publish(sets []Set) (changed bool) {
	if reflect.DeepEqual(r.self.Sets, sets) {
		return false
	}
	r.self.Sets = sets
	r.self.Writes = slices.DeleteFunc(r.self.Writes, func(w Writing) bool { return !r.self.manages(w.ZoneID) })
	return true
}

// Next returns the entry to store now.
func (r *Roster) Next() Entry {
	r.self.Seq++
	e := r.self
	e.Sets, e.Writes, e.Refused = slices.Clone(e.Sets), slices.Clone(e.Writes), slices.Clone(e.Refused)
	return e
}

// Stored notes that an entry has been stored, and when that began.
func (r *Roster) Stored(began time.Time) { r.stored = began }

// Observe notes the entries of others in the storage, and when reading them
// began. It returns the names of those who are new and whether there is
// anything new at all.
func (r *Roster) Observe(began time.Time, entries []Entry) (joined []string, changed bool) {
	before, alive := r.namesAlive(), r.idsAlive()
	first := r.read.IsZero()
	if !first {
		r.excuse(began, began.Sub(r.read))
	}
	r.read = began
	switch {
	case len(entries) > 0:
		r.alone = time.Time{}
	case first:
		r.alone = began
	}
	there := make(map[id]bool)
	for _, e := range entries {
		key := id{e.Name, e.Process}
		there[key] = true
		m := r.others[key]
		switch {
		case m == nil:
			// Whoever comes while we look is alive, and not only left over.
			r.others[key] = &member{Entry: e, changed: began, moves: !first && r.missing == nil}
			changed = true
		case e.Seq > m.Seq:
			// A lower one is what a storage returns that has not caught up.
			changed = changed || !m.moves || m.Left != e.Left || !sameContent(&m.Entry, &e)
			m.Entry, m.changed, m.moves = e, began, true
		}
		if r.missing[e.Name] {
			// What happened here meanwhile is not known.
			r.missing = nil
			r.excuse(began, r.self.lease()+1)
		}
	}
	r.vanish(there)
	for name := range r.namesAlive() {
		if !before[name] {
			joined = append(joined, name)
		}
	}
	slices.Sort(joined)
	return joined, changed || !maps.Equal(alive, r.idsAlive())
}

// excuse does not hold against others what happened while we did not look.
// After a lease, it is as for one who is new: others may have been as unable
// to renew their leases as we were to look at them.
func (r *Roster) excuse(now time.Time, gap time.Duration) {
	lease := r.self.lease()
	for _, m := range r.others {
		switch {
		case gap > lease:
			m.changed = now
		case gap > lease/2:
			m.changed = m.changed.Add(gap - lease/2)
		}
	}
}

// vanish looks for those whose entries are gone. Nobody removes the entry of
// one who is alive, so that all of them are gone tells of another storage.
func (r *Roster) vanish(there map[id]bool) {
	names := make(map[string]bool)
	for key := range there {
		names[key.name] = true
	}
	gone, left := make(map[string]bool), false
	for key, m := range r.others {
		switch alive := r.alive(m); {
		case alive && names[m.Name]:
			left = true
		case alive:
			gone[m.Name] = true
		case !there[key]:
			delete(r.others, key)
		}
	}
	if len(gone) > 0 && !left && r.missing == nil {
		r.missing = gone
	}
}

// sameContent reports whether two entries say the same but for their numbers.
func sameContent(a, b *Entry) bool {
	return reflect.DeepEqual(a.Sets, b.Sets) && reflect.DeepEqual(a.Writes, b.Writes) && slices.Equal(a.Refused, b.Refused)
}

// alive reports whether another instance holds its lease. One that did not
// change between two looks which are a lease apart does not; what happened
// while we did not look is not held against it.
func (r *Roster) alive(m *member) bool {
	if m.Left || m.Name == r.self.Name && !m.moves {
		return false
	}
	return r.read.Sub(m.changed) <= m.lease()
}

func (r *Roster) namesAlive() map[string]bool {
	names := make(map[string]bool)
	for key := range r.idsAlive() {
		names[key.name] = true
	}
	return names
}

func (r *Roster) idsAlive() map[id]bool {
	ids := make(map[id]bool)
	for key, m := range r.others {
		if r.alive(m) {
			ids[key] = true
		}
	}
	return ids
}

// Alive returns the entries of those who are alive, by name, this instance's
// among them unless it is cut off. After a crash, an instance is there twice
// until the lease of its former process is over.
func (r *Roster) Alive(now time.Time) []*Entry {
	var all []*Entry
	for _, m := range r.others {
		if r.alive(m) {
			all = append(all, &m.Entry)
		}
	}
	if r.CutOff(now) == nil {
		all = append(all, &r.self)
	}
	slices.SortFunc(all, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Process, b.Process))
	})
	return all
}

// Member is another instance as people see it.
type Member struct {
	Entry
	Alive bool
	// Seen is when its entry was last seen to change.
	Seen time.Time
}

// Members returns the other instances, by name, those too that are gone.
func (r *Roster) Members() []Member {
	alive := r.namesAlive()
	var all []Member
	for _, m := range r.others {
		if r.alive(m) || !m.Left && m.Name != r.self.Name && !alive[m.Name] {
			all = append(all, Member{m.Entry, r.alive(m), m.changed})
		}
	}
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Process, b.Process))
	})
	return all
}

// Dead returns the entries of those who have been gone for so long that these
// may be removed. The first by name does that, and each for itself.
func (r *Roster) Dead(now time.Time) (dead []Entry) {
	alive, names := r.Alive(now), r.namesAlive()
	for _, m := range r.others {
		leases := time.Duration(10)
		if m.Name == r.self.Name {
			// It was we, before a restart.
			leases = 1
		} else if len(alive) == 0 || alive[0] != &r.self {
			continue
		}
		withdraws := slices.ContainsFunc(m.Sets, func(s Set) bool { return s.Withdraw })
		if withdraws && !m.Left && m.Name != r.self.Name && !names[m.Name] {
			// What only this one has stays in DNS until it comes back and leaves.
			continue
		}
		if !r.alive(m) && r.read.Sub(m.changed) > leases*m.lease() {
			dead = append(dead, m.Entry)
		}
	}
	return dead
}

// Namesake returns another process that is alive and has our name.
func (r *Roster) Namesake() *Entry {
	for _, m := range r.others {
		if m.Name == r.self.Name && r.alive(m) {
			return &m.Entry
		}
	}
	return nil
}

// CutOff says why this instance may write nothing now, neither its own
// addresses nor others'. It is nil if it may.
func (r *Roster) CutOff(now time.Time) error {
	lease := r.self.lease()
	switch namesake := r.Namesake(); {
	case r.stored.IsZero() || r.read.IsZero():
		return fmt.Errorf("it has not joined the others yet")
	case since(now, r.stored) > lease:
		return fmt.Errorf("it could not renew its lease in the storage for %s", since(now, r.stored).Round(time.Second))
	case since(now, r.read) > lease:
		return fmt.Errorf("it could not read the storage for %s", since(now, r.read).Round(time.Second))
	case r.missing != nil:
		return fmt.Errorf("the entries of all others are gone from the storage, which may be another one by now; if it was emptied on purpose, restart Caddy")
	case namesake != nil && namesake.Process < r.self.Process:
		return fmt.Errorf("another instance, on host %q, has the same name %q; give each its own with `cluster {\n\tname box1\n}`", namesake.Host, r.self.Name)
	case !r.alone.IsZero() && now.Sub(r.alone) <= lease:
		return fmt.Errorf("the storage was empty, so it waits one lease for others")
	}
	return nil
}

// since is how long ago t was by either reading of our own clock: the
// monotonic one stands still while the machine sleeps, and the other one can
// be set.
func since(now, t time.Time) time.Duration {
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// Self returns this instance's entry as it is.
func (r *Roster) Self() Entry {
	e := r.self
	e.Writes = slices.Clone(e.Writes)
	return e
}

// Writing returns the zones that this instance has claimed.
func (r *Roster) Writing() []Writing { return slices.Clone(r.self.Writes) }
