package reconcile

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// ErrStillReading is the error of an attempt that cannot read, because an
// earlier read has not returned.
var ErrStillReading = errors.New("the provider has not returned from an earlier read")

// ErrStillWriting is the error of what cannot be written, because an earlier
// write has not returned and may still take effect.
var ErrStillWriting = errors.New("the provider has not returned from an earlier write")

// New returns the machine of a zone of which nothing is desired yet.
func New(habits Habits) *Machine {
	return &Machine{
		before: habits.wrote,
		sets:   make(map[plan.Key]*rrset),
		open:   make(map[plan.Key]*rrset),
		reads:  reads{spread: 1, habits: habits},

		withdrawn: make(map[plan.Key]time.Time),
	}
}

// Step takes in an event. chance is a random number in [0,1), by which pauses
// differ.
func (m *Machine) Step(now time.Time, chance float64, e Event) {
	m.chance = chance
	switch e := e.(type) {
	case Claim:
		m.claim(now, e)
	case Desire:
		m.desire(now, e)
		if r := m.sets[e.Key]; r.holder == e.Holder {
			m.answer(now, e.Key, r)
		}
	case Release:
		m.drop(func(_ plan.Key, r *rrset) bool { return r.holder == e.Holder })
	case Verify:
		m.asked = true
	case Estrange:
		m.estrange()
	case Read:
		m.endCall()
		m.read(now, e)
	case Wrote:
		batch := len(m.call.Writes) > 1
		call := m.endCall()
		if e.Err != nil {
			m.refused(now, call, batch, e.Err)
		} else {
			m.accepted(now, call)
		}
	case Abandoned:
		switch {
		case m.call == nil:
			m.hungRead = true
		case m.call.Do == DoRead:
			m.endCall()
			m.hungRead = true
			m.readFailed(now, e.Err)
		default:
			m.hungWrite = true
			m.abandon(now, m.endCall(), e.Err)
		}
	case Returned:
		if e.Do == DoRead {
			m.hungRead = false
		} else {
			m.hungWrite = false
		}
	}
	if m.attempt != nil && m.call == nil && m.Next(now).Do == DoNothing {
		m.finish(now)
	}
	m.giveUpWithdrawn()
	if m.asked && (m.desires == 0 || m.hungWrite) {
		// There will be no attempt, or nobody knows when.
		m.asked = false
		m.report(Verified{})
	}
}

// answer tells at once what is known of an RRset of which something is
// desired, where no attempt is to come that will.
func (m *Machine) answer(now time.Time, key plan.Key, r *rrset) {
	if r.known {
		m.open[key] = r
		m.settle(now, key, r)
	}
	switch {
	case r.desired.State == plan.Unknown:
		m.report(Confirmed{Key: key, Desired: r.desired})
	case m.open[key] == nil:
	case m.hungWrite:
		m.report(Failed{Key: key, Err: ErrStillWriting})
	case m.attempt == nil:
		m.leave(key, r)
	}
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
		m.attempt.written, m.reads.habits.wrote = true, now
		r := m.sets[w.Key]
		d := r.need()
		if !d.begun {
			d.begun, d.from, d.since = true, r.believed.Addrs, now
		}
		d.before, d.writing = r.believed.Addrs, true
		if !d.pending {
			d.based = r.seen
		}
		if r.desired.State == plan.Set && action.Do != DoDelete {
			d.mine = ipaddr.Sort(slices.Concat(d.mine, w.Addrs))
		}
		d.way.tries++
		r.pace.take(now, r.desired)
	}
	return action
}

// endCall returns the call that is over, without what it has written of
// RRsets that were given up meanwhile.
func (m *Machine) endCall() *Action {
	call := m.call
	m.call = nil
	call.Writes = slices.DeleteFunc(call.Writes, func(w plan.Write) bool {
		r := m.sets[w.Key]
		if r == nil || r.doubt == nil || !r.doubt.writing {
			return true
		}
		r.doubt.writing = false
		return false
	})
	return call
}

// finish ends an attempt.
func (m *Machine) finish(now time.Time) {
	a := m.attempt
	m.attempt = nil
	errs := a.failed
	for _, key := range slices.SortedFunc(maps.Keys(m.open), plan.Key.Compare) {
		r := m.open[key]
		if a.over != nil && errs[key] == nil && !m.hungWrite {
			if _, differs := m.change(now, key, r, a); differs {
				errs[key] = a.over
				r.need().failure = a.over
			}
		}
		m.leave(key, r)
		if m.hungWrite && errs[key] == nil && m.open[key] != nil {
			m.report(Failed{Key: key, Err: ErrStillWriting})
		}
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
	if len(m.open) == 0 {
		// A map that is emptied keeps its size, and is looked through often.
		m.open = make(map[plan.Key]*rrset)
	}
	m.reportWaiting(now)
	if a.asked {
		m.report(Verified{})
	}
}

// Reports returns what there is to tell since the last call.
func (m *Machine) Reports() []Report {
	reports := m.reports
	m.reports = nil
	return reports
}

// Habits returns what is worth knowing for the next machine of the zone.
func (m *Machine) Habits() Habits { return m.reads.habits }

// Busy reports whether an attempt is under way.
func (m *Machine) Busy() bool { return m.attempt != nil }
