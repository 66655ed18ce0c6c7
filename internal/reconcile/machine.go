// Package reconcile makes a zone at a provider hold what is desired of it, as
// a pure state machine: it is told what happened and when, and says what to
// do next. It knows no clock, no goroutine, no lock, no log and no libdns.
//
// What is believed of an RRset is the newest evidence: the last read, or a
// write that the provider accepted since. A provider may do something else
// than it was told, and its reads may lag, so an accepted write is done only
// when a read shows it.
package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Abilities are what a provider can do.
type Abilities struct{ Read, Set, Append, Delete bool }

// Holder numbers those who desire something of a zone. Of two who desire the
// same RRset, the one with the higher number has it.
type Holder int

// Machine is the state of one zone. The zero value is not ready for use; see
// [New].
type Machine struct {
	can         Abilities
	verifyEvery time.Duration

	sets   map[plan.Key]*rrset
	cnames map[string]string
	// open are the RRsets that may need a write or a look.
	open map[plan.Key]*rrset
	// wanted counts the RRsets of which something is desired.
	wanted int

	reads reads
	// attempt is open from the first call after a pause to the last before
	// the next.
	attempt *attempt
	// call is what the provider is doing now.
	call *Action
	// hungRead and hungWrite are set while a call that was given up has not
	// returned.
	hungRead, hungWrite bool
	// asked is set when somebody wants the zone verified now.
	asked bool

	failures failures
	// synced is when all was last seen to be as desired.
	synced time.Time
	// chance is the last that an event brought.
	chance  float64
	reports []Report
}

// reads is what is known of the reads of a zone.
type reads struct {
	begun uint32
	// at is when the last successful one ended.
	at time.Time
	// spread is this period's share of the verify interval, so that zones
	// drift apart.
	spread float64
	// failed counts failures in a row, from since to lastFailure.
	failed             int
	since, lastFailure time.Time
	shows              shows
	// looks counts how often writes that do not show were looked for, and
	// next is when they are looked for again.
	looks int
	next  time.Time
}

// shows says how soon a provider's reads show its writes.
type shows uint8

const (
	showsUnknown shows = iota
	showsAtOnce
	// showsLate is never forgotten, for a second write costs more than a wait.
	showsLate
)

// rrset is what is known of one RRset.
type rrset struct {
	// name is the zone's own copy of the name.
	name    string
	desired *plan.Desired
	// believed is the newest evidence of what the RRset holds.
	believed *plan.RRset
	// changed is when it was last changed by us, in Unix seconds, and 0 if
	// never.
	changed int64
	holder  Holder
	// known means that believed rests on evidence, seen that a read was
	// among it.
	known, seen bool
	// born is the number of reads that had begun before.
	born uint32
	// doubt is kept for as long as there is more to know.
	doubt *doubt
}

var (
	absent  = &plan.RRset{}
	unknown = &plan.Desired{}
)

// Event is something that happened.
type Event interface{ event() }

type (
	// Claim gives RRsets to a holder, with what it desires of them. All others
	// that it has are given up. It comes with what the holder's provider can
	// do and how often it is to be read.
	Claim struct {
		Holder      Holder
		Desired     map[plan.Key]*plan.Desired
		Abilities   Abilities
		VerifyEvery time.Duration
	}
	// Want changes what is desired of an RRset. One that is new is taken in.
	Want struct {
		Holder  Holder
		Key     plan.Key
		Desired *plan.Desired
	}
	// Release gives up all that a holder has.
	Release struct{ Holder Holder }
	// Verify asks for the zone to be read now.
	Verify struct{}
	// Read is what a read returned. Where the provider cannot be read it is
	// what it last accepted.
	Read struct {
		Observed plan.Observed
		Err      error
	}
	// Wrote is what a write returned.
	Wrote struct{ Err error }
	// Abandoned says that a call is no longer waited for.
	Abandoned struct{ Err error }
	// Returned says that a call that was abandoned has returned.
	Returned struct{ Do Do }
)

func (Claim) event()     {}
func (Want) event()      {}
func (Release) event()   {}
func (Verify) event()    {}
func (Read) event()      {}
func (Wrote) event()     {}
func (Abandoned) event() {}
func (Returned) event()  {}

// New returns the machine of a zone of which nothing is desired yet.
func New() *Machine {
	return &Machine{
		sets:  make(map[plan.Key]*rrset),
		open:  make(map[plan.Key]*rrset),
		reads: reads{spread: 1},
	}
}

// Step takes in an event. chance is a random number in [0,1), by which pauses
// differ.
func (m *Machine) Step(now time.Time, chance float64, e Event) {
	m.chance = chance
	switch e := e.(type) {
	case Claim:
		m.claim(now, e)
	case Want:
		m.want(now, e)
		if r := m.sets[e.Key]; r.holder == e.Holder && r.known {
			m.open[e.Key] = r
			m.settle(now, e.Key, r)
		}
	case Release:
		m.drop(func(_ plan.Key, r *rrset) bool { return r.holder == e.Holder })
	case Verify:
		if m.wanted > 0 {
			m.asked = true
		} else {
			m.report(Verified{})
		}
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
		call := m.endCall()
		if call.Do == DoRead {
			m.hungRead = true
			m.readFailed(now, e.Err)
		} else {
			m.hungWrite = true
			m.abandon(now, call, e.Err)
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

// Reports returns what there is to tell since the last call.
func (m *Machine) Reports() []Report {
	reports := m.reports
	m.reports = nil
	return reports
}

// Busy reports whether an attempt is under way.
func (m *Machine) Busy() bool { return m.attempt != nil }

func (m *Machine) report(r Report) { m.reports = append(m.reports, r) }

func (m *Machine) claim(now time.Time, e Claim) {
	m.can, m.verifyEvery = e.Abilities, e.VerifyEvery
	m.drop(func(key plan.Key, r *rrset) bool { return r.holder == e.Holder && e.Desired[key] == nil })
	for key, d := range e.Desired {
		m.want(now, Want{e.Holder, key, d})
	}
}

func (m *Machine) want(now time.Time, e Want) {
	r, ok := m.sets[e.Key]
	if !ok {
		r = &rrset{name: e.Key.Name, desired: unknown, believed: absent, born: m.reads.begun}
		m.sets[e.Key] = r
	}
	if r.holder > e.Holder {
		m.report(Superseded{e.Key, e.Desired})
		return
	}
	r.holder = e.Holder
	before := r.desired
	if before == e.Desired || sameDesired(before, e.Desired) {
		// The newest is kept all the same, so that equal ones are shared.
		r.desired = e.Desired
		return
	}
	r.keepMine()
	m.desire(r, e.Desired)
	if e.Desired.State == plan.Unknown {
		return
	}
	m.open[e.Key] = r
	if r.known {
		switch m.decide(e.Key, r).Verdict {
		case plan.Restrained, plan.Blocked:
			// What was in the way may be gone by now.
			r.known = !m.can.Read
		}
		m.settle(now, e.Key, r)
	}
	m.bringForward(now)
}

func (m *Machine) desire(r *rrset, d *plan.Desired) {
	if r.desired.State != plan.Unknown {
		m.wanted--
	}
	if d.State != plan.Unknown {
		m.wanted++
	}
	r.desired = d
}

func sameDesired(a, b *plan.Desired) bool {
	return a.State == b.State && a.TTL == b.TTL && a.UpdateOnly == b.UpdateOnly &&
		a.Source == b.Source && a.Class == b.Class && slices.Equal(a.Addrs, b.Addrs)
}

// drop forgets RRsets.
func (m *Machine) drop(gone func(plan.Key, *rrset) bool) {
	for key, r := range m.sets {
		if gone(key, r) {
			m.desire(r, unknown)
			delete(m.sets, key)
			delete(m.open, key)
		}
	}
}

// need returns what is in doubt of the RRset, to be changed.
func (r *rrset) need() *doubt {
	if r.doubt == nil {
		r.doubt = new(doubt)
	}
	return r.doubt
}

// keepMine remembers what was published under what is desired no longer, so
// that it can be taken away again.
func (r *rrset) keepMine() {
	if r.desired.State != plan.Set {
		return
	}
	var mine []netip.Addr
	for _, addr := range r.desired.Addrs {
		if slices.Contains(r.believed.Addrs, addr) {
			mine = append(mine, addr)
		}
	}
	if len(mine) > 0 {
		d := r.need()
		d.mine = ipaddr.Sort(append(mine, d.mine...))
	}
}
