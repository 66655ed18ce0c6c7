package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// read takes in what the provider shows.
func (m *Machine) read(now time.Time, e Read) {
	if e.Err != nil {
		m.readFailed(now, e.Err)
		return
	}
	m.reads.at, m.reads.failed, m.reads.since = now, 0, time.Time{}
	m.reads.spread = 0.9 + 0.2*m.chance
	m.obstacles = e.Observed.Obstacles
	m.attempt.fresh = true
	// First from all together, so that their order does not matter.
	for key, r := range m.open {
		shown := e.Observed.Sets[key].Addrs
		if d := r.doubt; d != nil {
			if d.unread && d.based && m.reads.habits.shows == showsUnknown && !d.isOld(shown) {
				m.reads.habits.shows = showsAtOnce
			}
			if d.pending && d.late && slices.Equal(shown, r.believed.Addrs) {
				m.reads.habits.shows = showsLate
			}
		}
	}
	shared := sharing{}
	waiting := false
	for key, r := range m.sets {
		if !m.can.Read && r.known || r.born == m.reads.begun {
			// It was not asked for.
			continue
		}
		shown, ok := e.Observed.Sets[key]
		seen := absent
		if ok {
			seen = shared.of(shown, r)
		}
		m.see(now, key, r, seen)
		waiting = waiting || r.doubt != nil && r.doubt.pending
	}
	if !waiting {
		m.reads.looks = 0
	} else if !now.Before(m.reads.next) {
		m.reads.next = now.Add(lookPause(m.reads.looks))
		m.reads.looks++
	}
}

func (m *Machine) readFailed(now time.Time, err error) {
	if m.reads.failed == 0 {
		m.reads.since = now
	}
	m.reads.failed++
	m.reads.lastFailure = now
	m.attempt.blind, m.attempt.readErr = true, err
	for _, r := range m.open {
		if d := r.doubt; d != nil {
			d.unread = false
		}
	}
}

// see takes in what a read shows of an RRset.
func (m *Machine) see(now time.Time, key plan.Key, r *rrset, shown *plan.RRset) {
	d := r.doubt
	if d == nil {
		if r.known && r.isDesired() && !slices.Equal(shown.Addrs, r.desired.Addrs) {
			r.need().drifted = true
		}
		r.believed, r.known, r.seen = shown, true, true
		if m.decide(key, r).Verdict != plan.Right {
			m.open[key] = r
		} else if m.open[key] != nil {
			m.settle(now, key, r)
		}
		return
	}
	written, effect, lost := d.unread, !d.isOld(shown.Addrs), false
	asAccepted := slices.Equal(shown.Addrs, r.believed.Addrs)
	if d.pending && !asAccepted && d.isOld(shown.Addrs) {
		if m.awaits(now, r, d) {
			d.unread, d.late, r.known = false, true, true
			m.open[key] = r
			return
		}
		d.rewritten, lost = true, true
	}
	if d.begun && r.desired.TTL > 0 && shown.TTL != r.desired.TTL && slices.Equal(shown.Addrs, r.desired.Addrs) {
		d.asked = r.desired.TTL
	}
	if r.known && !d.begun && !d.pending && !d.unsure && r.isDesired() && !asAccepted {
		d.drifted = true
	}
	several := len(r.believed.Addrs) > 1 || len(shown.Addrs) > 1 || shown.Twice
	r.believed, r.known, r.seen = shown, true, true
	if several && lost || written && !d.unsure {
		d.way.fell(effect)
	}
	if m.reads.habits.shows == showsAtOnce || now.Sub(d.ended) >= rewriteAfter {
		d.mine = slices.DeleteFunc(d.mine, func(addr netip.Addr) bool { return !slices.Contains(shown.Addrs, addr) })
	}
	d.pending, d.late, d.unsure, d.unread, d.past = false, false, false, false, nil
	m.open[key] = r
	m.settle(now, key, r)
	exhausted := d.way.exhausted() || d.way.repair && !m.canRepair(now, d)
	if written && exhausted && m.decide(key, r).Verdict == plan.Differs {
		d.way.repair = false
		m.fail(key, r, fmt.Errorf("the provider accepted %v for %s, but shows %v", r.desired.Addrs, key, shown.Addrs))
	}
}

// isOld reports whether the value was there before the last write, so that it
// shows no effect of it.
func (d *doubt) isOld(shown []netip.Addr) bool {
	return slices.Equal(shown, d.before) ||
		slices.ContainsFunc(d.past, func(past []netip.Addr) bool { return slices.Equal(past, shown) })
}

// awaits reports whether a write that does not show is to be waited for. A
// provider that makes one value of several shows what was there before, too.
func (m *Machine) awaits(now time.Time, r *rrset, d *doubt) bool {
	since := now.Sub(d.accepted)
	if m.reads.habits.shows != showsAtOnce {
		return since < rewriteAfter
	}
	if len(r.believed.Addrs) > 1 || len(d.past[0]) > 1 {
		return false
	}
	if d.rewritten {
		return since < rewriteAfter
	}
	return since < lostAfter
}

// lookPause returns the pause before a write that does not show is looked for
// again.
func lookPause(looks int) time.Duration {
	if looks >= 7 {
		return maxLook
	}
	return min(maxLook, firstLook<<looks)
}

// sharing lets equal RRsets share their memory, which at thousands of names
// is most of what a zone costs at rest.
type sharing struct{ last [4]*plan.RRset }

func (s *sharing) of(shown plan.RRset, r *rrset) *plan.RRset {
	if equalRRsets(r.believed, &shown) {
		return r.believed
	}
	for _, other := range s.last {
		if other != nil && equalRRsets(other, &shown) {
			return other
		}
	}
	if slices.Equal(shown.Addrs, r.desired.Addrs) {
		shown.Addrs = r.desired.Addrs
	}
	kept := shown
	copy(s.last[1:], s.last[:3])
	s.last[0] = &kept
	return &kept
}

func equalRRsets(a, b *plan.RRset) bool {
	return a.TTL == b.TTL && a.Twice == b.Twice && slices.Equal(a.Addrs, b.Addrs)
}
