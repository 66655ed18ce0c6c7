package reconcile

import (
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// freshFor is how old what was read may be when it is written upon, for
// others may have put a CNAME there since. What must not be created is always
// read anew: it may have been deleted meanwhile.
const freshFor = time.Minute

// Next returns what to do now, or when to ask again.
func (m *Machine) Next(now time.Time) Action {
	if m.call != nil || m.hungWrite {
		return Action{}
	}
	a := m.attempt
	var until time.Time
	if a == nil {
		at, ok := m.due(now)
		if !ok || at.After(now) {
			return Action{Until: at}
		}
		a, until = &attempt{blind: m.hungRead}, at
	}
	if !a.fresh && !a.blind && !a.written && m.mustRead(now) {
		return Action{Do: DoRead}
	}
	if action := m.nextWrite(now, a); action.Do != DoNothing {
		return action
	}
	if !a.blind && m.anyUnread(a) {
		return Action{Do: DoRead}
	}
	return Action{Until: until}
}

// due returns when the next attempt is to begin. It is false for never.
func (m *Machine) due(now time.Time) (time.Time, bool) {
	if m.desires == 0 {
		return time.Time{}, false
	}
	switch {
	case m.asked:
		return now, true
	case m.failures.count > 0:
		return m.failures.next, true
	}
	first, ok := m.writeDue(now)
	earlier := func(at time.Time) {
		if !ok || at.Before(first) {
			first, ok = at, true
		}
	}
	for _, r := range m.open {
		if !r.known && r.desired.State != plan.Unknown {
			earlier(now)
			break
		}
	}
	if m.can.Read && !m.reads.at.IsZero() {
		earlier(m.verifyAt())
	}
	if m.reads.looks > 0 {
		earlier(m.reads.next)
	}
	return first, ok
}

// writeDue returns when the first of the RRsets that differ may be written.
func (m *Machine) writeDue(now time.Time) (first time.Time, ok bool) {
	a := &attempt{blind: m.hungRead}
	for key, r := range m.open {
		if w := m.writing(now, key, r, a); w.do == DoNothing {
			continue
		}
		if at := r.paceUntil(now); !ok || at.Before(first) {
			first, ok = at, true
		}
	}
	return first, ok
}

func (m *Machine) verifyAt() time.Time {
	return m.reads.at.Add(time.Duration(m.reads.spread * float64(m.verifyEvery)))
}

// mustRead reports whether an attempt that begins now reads first.
func (m *Machine) mustRead(now time.Time) bool {
	unread := false
	for key, r := range m.open {
		unread = unread || !r.known && r.desired.State != plan.Unknown
		if m.can.Read && !unread {
			if w := m.writing(now, key, r, new(attempt)); w.do != DoNothing && !r.paceUntil(now).After(now) && (r.desired.UpdateOnly || now.Sub(m.reads.at) > freshFor) {
				unread = true
			}
		}
		if unread {
			return true
		}
	}
	return m.can.Read && (m.asked || m.failures.count > 0 || m.attempt != nil && m.attempt.asked ||
		!now.Before(m.verifyAt()) || m.reads.looks > 0 && !now.Before(m.reads.next))
}

// anyUnread reports whether something waits to be read, back or at all.
func (m *Machine) anyUnread(a *attempt) bool {
	if !m.can.Read {
		return false
	}
	for _, r := range m.open {
		if r.doubt != nil && r.doubt.unread || !r.known && r.desired.State != plan.Unknown {
			return true
		}
	}
	return false
}

// nextWrite returns the next call that writes: all that can be set in one,
// else appended, else deleted; then, one by one, what failed among others.
func (m *Machine) nextWrite(now time.Time, a *attempt) Action {
	if a.over != nil {
		return Action{}
	}
	var batches [DoDelete + 1][]plan.Write
	var alone []writing
	for key, r := range m.open {
		if a.failed[key] != nil || r.doubt != nil && r.doubt.unread {
			continue
		}
		w := m.writing(now, key, r, a)
		if w.do == DoNothing || r.paceUntil(now).After(now) {
			continue
		}
		if r.doubt != nil && r.doubt.way.alone {
			alone = append(alone, w)
			continue
		}
		batches[w.do] = append(batches[w.do], w.Write)
	}
	for _, do := range []Do{DoSet, DoAppend, DoDelete} {
		if writes := batches[do]; len(writes) > 0 {
			slices.SortFunc(writes, func(a, b plan.Write) int { return a.Key.Compare(b.Key) })
			return Action{Do: do, Writes: writes}
		}
	}
	if len(alone) == 0 {
		return Action{}
	}
	// With another one first each time, so that the same few cannot hide the
	// rest.
	slices.SortFunc(alone, func(a, b writing) int { return a.Key.Compare(b.Key) })
	w := alone[m.failures.count%len(alone)]
	return Action{Do: w.do, Writes: []plan.Write{w.Write}}
}
