package lease

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

func compareZones(a, b ZoneID) int {
	return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Provider, b.Provider))
}

// share is what one instance has for an RRset.
type share struct {
	instance string
	set      *Set
	found    *Found
}

// Desired returns what the names of a zone should hold, those too that only
// other instances manage: the zone's writer writes for all. This instance's
// own names are in it also while it is cut off.
func (r *Roster) Desired(id ZoneID, now time.Time) map[plan.Key]*plan.Desired {
	shares := r.shares(id, now)
	desired := make(map[plan.Key]*plan.Desired, len(shares))
	// Most names share their addresses with many others.
	made := make(map[string]*plan.Desired)
	for key, all := range shares {
		chosen, settings := r.choose(id, key, all), r.settings(all)
		withdraw := slices.ContainsFunc(all, func(s share) bool { return s.set.Withdraw })
		word := describe(key.Family, settings, withdraw, chosen)
		d := made[word]
		if d == nil {
			d = r.join(settings, chosen)
			d.Withdraw = withdraw
			made[word] = d
		}
		desired[key] = d
	}
	return desired
}

// Has returns the RRsets of a zone that somebody has, be it one who is cut off or
// has crashed and may come back: only who leaves gives them up.
func (r *Roster) Has(id ZoneID) map[plan.Key]bool {
	has := make(map[plan.Key]bool)
	note := func(e *Entry) {
		for key := range e.rrsets(id) {
			has[key] = true
		}
	}
	note(&r.self)
	names := r.namesAlive()
	for _, m := range r.others {
		if r.alive(m) || !m.Left && !names[m.Name] && m.Name != r.self.Name {
			note(&m.Entry)
		}
	}
	return has
}

// Last reports whether no other instance that is alive has names in the zone.
func (r *Roster) Last(id ZoneID, now time.Time) bool {
	return r.CutOff(now) == nil && !slices.ContainsFunc(r.Alive(now), func(e *Entry) bool { return e != &r.self && e.manages(id) })
}

// shares collects what all instances have for the RRsets of a zone, in the
// order of their names.
func (r *Roster) shares(id ZoneID, now time.Time) map[plan.Key][]share {
	alive := r.Alive(now)
	if !slices.Contains(alive, &r.self) {
		alive = append(alive, &r.self)
	}
	shares := make(map[plan.Key][]share)
	for _, e := range alive {
		for key, s := range e.rrsets(id) {
			shares[key] = append(shares[key], share{e.Name, s, s.Found[key.Family]})
		}
	}
	return shares
}

// choose returns whose addresses an RRset should hold. Those who have lost
// theirs only count if all have.
func (r *Roster) choose(id ZoneID, key plan.Key, all []share) []share {
	with := func(lost bool) (some []share) {
		for _, s := range all {
			if len(s.found.Addrs) > 0 && (lost || !s.found.Lost) {
				some = append(some, s)
			}
		}
		return some
	}
	chosen := with(false)
	if len(chosen) == 0 {
		chosen = with(true)
	}
	if r.share == All || len(chosen) < 2 {
		return chosen
	}
	incumbent := r.first[id][key.String()]
	if i := slices.IndexFunc(chosen, func(s share) bool { return s.instance == incumbent }); i >= 0 {
		return chosen[i : i+1]
	}
	return chosen[:1]
}

// settings are this instance's if it manages the RRset, else another's.
func (r *Roster) settings(all []share) *Set {
	for _, s := range all {
		if s.instance == r.self.Name {
			return s.set
		}
	}
	return all[0].set
}

// join makes one desired RRset of what the instances have for it.
func (r *Roster) join(settings *Set, chosen []share) *plan.Desired {
	d := &plan.Desired{
		TTL: time.Duration(settings.TTL * float64(time.Second)), UpdateOnly: settings.UpdateOnly, Class: plan.Own,
	}
	if len(chosen) == 0 {
		return d
	}
	var addrs []netip.Addr
	var from []string
	for _, s := range chosen {
		addrs = append(addrs, s.found.Addrs...)
		from = append(from, s.instance)
	}
	d.State, d.Addrs, d.Source = plan.Set, ipaddr.Sort(addrs), strings.Join(slices.Compact(from), ", ")
	if d.Source == r.self.Name {
		d.Source = chosen[0].found.Source
	}
	return d
}

// describe says what an RRset depends on.
func describe(f ipaddr.Family, settings *Set, withdraw bool, chosen []share) string {
	var b strings.Builder
	fmt.Fprint(&b, f, settings.TTL, settings.UpdateOnly, withdraw)
	for _, s := range chosen {
		fmt.Fprint(&b, " ", s.instance, s.found.Source, s.found.Addrs)
	}
	return b.String()
}

// settleFirst notes who has which RRset, as the zone's writer says, or as it
// is if that is this instance.
func (r *Roster) settleFirst(now time.Time) {
	for id := range r.zones() {
		own := r.self.writing(id)
		if own == nil {
			if said := r.saidFirst(id, now); said != nil {
				r.first[id] = said
			}
			continue
		}
		if r.first[id] == nil {
			r.first[id] = r.saidFirst(id, now)
		}
		first, said := make(map[string]string), make(map[string][]string)
		for key, all := range r.shares(id, now) {
			if chosen := r.choose(id, key, all); len(chosen) > 0 {
				name := chosen[0].instance
				first[key.String()] = name
				said[name] = append(said[name], key.String())
			}
		}
		for _, keys := range said {
			slices.Sort(keys)
		}
		r.first[id], own.First = first, said
	}
}

// saidFirst is what the zone's writer says of who has which RRset, or what the
// last one said.
func (r *Roster) saidFirst(id ZoneID, now time.Time) map[string]string {
	var from *Writing
	var at time.Time
	if e := r.Writer(id, now); e != nil && e != &r.self {
		from = e.writing(id)
	}
	if from == nil {
		for _, m := range r.others {
			if w := m.writing(id); w != nil && m.changed.After(at) {
				from, at = w, m.changed
			}
		}
	}
	if from == nil {
		return nil
	}
	first := make(map[string]string)
	for name, keys := range from.First {
		for _, key := range keys {
			first[key] = name
		}
	}
	return first
}
