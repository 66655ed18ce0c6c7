package reconcile

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// freshFor is how old what was read may be when it is written upon, for
// others may have put a CNAME there since. What must not be created is always
// read anew: it may have been deleted meanwhile.
const freshFor = time.Minute

// ErrStillReading is the error of an attempt that cannot read, because an
// earlier read has not returned.
var ErrStillReading = errors.New("the provider has not returned from an earlier read")

// attempt is one round of reading, writing and reading back.
type attempt struct {
	// asked means that somebody waits for its end.
	asked bool
	// fresh means that it has read the zone, written that it has begun to
	// write.
	fresh, written bool
	// blind means that it cannot read; readErr says why.
	blind   bool
	readErr error

	failed map[plan.Key]error
	// works is set once a write of one RRset alone was accepted, refusals
	// counts those that were not.
	works    bool
	refusals int
	// over is why nothing more is to be written.
	over error
}

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

// Begin begins what Next says.
func (m *Machine) Begin(now time.Time, chance float64) Action {
	m.chance = chance
	action := m.Next(now)
	if action.Do == DoNothing {
		if m.attempt != nil || action.Until.IsZero() || action.Until.After(now) {
			return action
		}
	}
	if m.attempt == nil {
		m.attempt = &attempt{asked: m.asked, failed: make(map[plan.Key]error)}
		m.asked = false
		if m.hungRead {
			m.readFailed(now, ErrStillReading)
		}
		for _, r := range m.open {
			if r.doubt != nil {
				r.doubt.way.tries, r.doubt.way.stuck, r.doubt.failure = 0, false, nil
			}
		}
	}
	if action.Do == DoNothing {
		// As where nothing can be read and nothing is left to be written.
		m.finish(now)
		return m.Next(now)
	}
	m.call = &action
	if action.Do == DoRead {
		m.reads.begun++
	}
	for _, w := range action.Writes {
		m.attempt.written = true
		r := m.sets[w.Key]
		d := r.need()
		if !d.begun {
			d.begun, d.from = true, r.believed.Addrs
		}
		d.before, d.writing = r.believed.Addrs, true
		if !d.pending {
			d.based = r.seen
		}
		if r.desired.State == plan.Set && action.Do != DoDelete {
			d.mine = ipaddr.Sort(slices.Concat(d.mine, w.Addrs))
		}
		d.way.tries++
		d.pace.take(now, r.desired)
	}
	return action
}

// due returns when the next attempt is to begin. It is false for never.
func (m *Machine) due(now time.Time) (time.Time, bool) {
	if m.wanted == 0 {
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
	do, addrs := m.write(r, &c, a.blind)
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
		return c, differs || d.unsure || d.pending && now.Sub(d.ended) >= rewriteAfter
	}
	if stale := ipaddr.Without(d.mine, c.To); len(stale) > 0 && m.can.Delete {
		c.From, differs = ipaddr.Sort(slices.Concat(c.From, stale)), true
	}
	return c, differs
}

// finish ends an attempt.
func (m *Machine) finish(now time.Time) {
	a := m.attempt
	m.attempt = nil
	errs := a.failed
	for key, r := range m.open {
		if a.over != nil && errs[key] == nil && !m.hungWrite {
			if _, differs := m.change(now, key, r, a); differs {
				errs[key] = a.over
				r.need().failure = a.over
			}
		}
		m.leave(key, r)
	}
	keys := slices.SortedFunc(maps.Keys(errs), plan.Key.Compare)
	var all []error
	seen := make(map[string]bool)
	for _, key := range keys {
		if err := errs[key]; !seen[err.Error()] {
			seen[err.Error()] = true
			all = append(all, err)
		}
		m.report(Failed{Key: key, Err: errs[key]})
	}
	if a.readErr != nil {
		all = append(all, a.readErr)
	}
	if err := errors.Join(all...); err != nil {
		m.failures.add(now, err, m.chance)
		m.report(Failing{Err: err, Keys: keys, Attempt: m.failures.count, Since: m.failures.since, Pause: m.failures.next.Sub(now)})
	} else {
		if m.failures.count > 0 {
			m.report(Recovered{now.Sub(m.failures.since)})
		}
		m.failures.clear()
		if m.inSync() {
			m.synced = now
		}
	}
	m.reportWaiting(now)
	if a.asked {
		m.report(Verified{})
	}
}

// leave closes an RRset that is not to be written.
func (m *Machine) leave(key plan.Key, r *rrset) {
	decision := m.decide(key, r)
	if !r.known || decision.Verdict != plan.Restrained && decision.Verdict != plan.Blocked {
		return
	}
	d := r.need()
	m.report(LeftAlone{plan.LeftAlone{Key: key, Reason: decision.Reason, Blocked: decision.Verdict == plan.Blocked}, d.reported != decision.Reason})
	d.reported = decision.Reason
	d.begun, d.from = false, nil
	if !d.pending && !d.unsure {
		delete(m.open, key)
	}
}
