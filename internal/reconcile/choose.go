package reconcile

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// writing is the next write of an RRset.
type writing struct {
	do Do
	plan.Write
}

func (m *Machine) writing(now time.Time, key plan.Key, r *rrset, a *attempt) writing {
	c, differs := m.change(now, key, r, a)
	if !differs {
		return writing{}
	}
	do, addrs := m.write(now, r, &c, a.blind)
	return writing{do, plan.Write{Key: key, Addrs: addrs, TTL: c.TTL}}
}

// change returns what is to be changed of the RRset, if anything is.
func (m *Machine) change(now time.Time, key plan.Key, r *rrset, a *attempt) (plan.Change, bool) {
	blind := a.blind
	if !r.known && !blind || blind && r.desired.UpdateOnly {
		return plan.Change{}, false
	}
	decision := m.decide(key, r)
	c, differs := decision.Change, decision.Verdict == plan.Differs
	if differs && blind && c.OnlyTTL {
		return plan.Change{}, false
	}
	d := r.doubt
	if d == nil || m.can.Read && !blind || decision.Verdict > plan.Differs || r.desired.State == plan.Unknown {
		return c, differs
	}
	// Without reads, a write of which nobody can tell what has become is done
	// again, and what we have published before is taken away.
	if !differs {
		c = plan.Change{Key: key, From: r.believed.Addrs, To: r.desired.Addrs, TTL: cmp.Or(r.desired.TTL, r.believed.TTL, plan.DefaultTTL), Source: r.desired.Source}
	}
	if r.desired.State == plan.None {
		c.To = ipaddr.Without(r.believed.Addrs, ipaddr.Sort(slices.Concat(r.desired.Addrs, d.mine)))
	} else if m.can.Set {
		return c, differs || d.unsure || d.pending && now.Sub(d.accepted) >= rewriteAfter
	}
	if stale := ipaddr.Without(d.mine, c.To); len(stale) > 0 && m.can.Delete {
		c.From, differs = ipaddr.Sort(slices.Concat(c.From, stale)), true
	}
	return c, differs
}

// write chooses the next write that brings what is believed closer to what is
// desired. Nothing is deleted before something that is to stay was seen, so
// that the name is never empty. Where all values are replaced, one of them is
// kept to be updated in place, for it may carry flags and comments.
func (m *Machine) write(now time.Time, r *rrset, c *plan.Change, blind bool) (Do, []netip.Addr) {
	from, to := c.From, c.To
	missing, stale := c.Missing(), c.Stale()
	stays := len(missing) < len(to)
	repair := r.doubt != nil && r.doubt.way.repair && m.canRepair(now, r.doubt)
	certain := !blind && (r.doubt == nil || !r.doubt.unsure)
	switch {
	case len(to) == 0:
		return m.remove(r, to, stale, blind)
	case m.can.Set && !repair && len(from) > 0 && len(stale) == 0 && len(missing) > 0 && m.can.Append && certain:
		// Many a SetRecords keeps only the last of several values and then
		// reads as if nothing had happened.
		return DoAppend, missing
	case m.can.Set && (!repair || blind):
		return DoSet, to
	case m.can.Set && m.can.Delete && !stays && len(from) > 1:
		return m.remove(r, from[:1], from[1:], blind)
	case m.can.Set && !stays && len(from) == 1 && !r.believed.Twice:
		return DoSet, to[:1]
	case len(missing) > 0 && m.can.Append:
		return DoAppend, missing
	case len(stale) > 0 && len(missing) == 0 && m.can.Delete:
		return m.remove(r, to, stale, blind)
	case m.can.Set:
		return DoSet, to
	}
	return DoNothing, nil
}

// canRepair reports whether reads are good enough to go by in smaller steps
// than to set an RRset whole: one that shows what was there before makes
// deleting dangerous.
func (m *Machine) canRepair(now time.Time, d *doubt) bool {
	switch {
	case !m.can.Append && !m.can.Delete:
		return false
	case !m.can.Set, m.reads.habits.shows == showsAtOnce, d.rewritten:
		return true
	}
	if m.reads.habits.shows == showsUnknown {
		return m.before.IsZero() || now.Sub(m.before) >= rewriteAfter
	}
	return d.begun && now.Sub(d.since) >= rewriteAfter
}

// remove deletes what is stale once something that stays was seen. Without
// reads it deletes only what we have published, and only where the reader has
// been dead for long: what should be there instead may have been lost.
func (m *Machine) remove(r *rrset, stay, stale []netip.Addr, blind bool) (Do, []netip.Addr) {
	d := r.doubt
	switch {
	case !m.can.Delete:
		return DoNothing, nil
	case blind && (d == nil || !m.reads.dead()):
		return DoNothing, nil
	case blind:
		stale = slices.DeleteFunc(slices.Clone(stale), func(addr netip.Addr) bool { return !slices.Contains(d.mine, addr) })
		if len(stale) == 0 {
			return DoNothing, nil
		}
	case d != nil && d.pending && len(stay) > 0:
		for _, value := range d.past {
			stay = slices.DeleteFunc(slices.Clone(stay), func(addr netip.Addr) bool { return !slices.Contains(value, addr) })
		}
		if len(stay) == 0 {
			return DoNothing, nil
		}
	}
	return DoDelete, stale
}

const (
	deadReads = 3
	deadAfter = time.Hour
)

// dead reports whether reads have failed for so long that it is better to
// delete unseen than to leave what is stale.
func (r *reads) dead() bool {
	return r.failed >= deadReads && r.lastFailure.Sub(r.since) >= deadAfter
}

// paceUntil returns when the RRset may be changed.
func (r *rrset) paceUntil(now time.Time) time.Time {
	if r.pace.used == 0 || slices.Equal(r.pace.target.Addrs, r.desired.Addrs) {
		return now
	}
	l := limits[r.desired.Class]
	over := r.pace.level(now, l) + 1 - l.burst
	return now.Add(max(0, time.Duration(over*float64(l.every))))
}
