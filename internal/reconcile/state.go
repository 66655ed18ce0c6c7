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
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const (
	// lostAfter is when a write that a provider accepted and does not show is
	// taken for lost, where its writes have shown at once before.
	lostAfter = 30 * time.Second
	// rewriteAfter is the same for all others: readers that go through a
	// resolver lag by the TTL.
	rewriteAfter = time.Hour
	// firstLook is when such a write is looked for, at first; the pauses
	// double up to maxLook.
	firstLook = 30 * time.Second
	maxLook   = time.Hour
	// maxPast bounds how many values a lagging reader is expected to show.
	maxPast = 8
)

// Abilities are what a provider can do.
type Abilities struct{ Read, Set, Append, Delete bool }

// Holder numbers those who desire something of a zone. Of two who desire the
// same RRset, the one with the higher number has it.
type Holder int32

// Machine is the state of one zone. The zero value is not ready for use; see
// [New].
type Machine struct {
	can         Abilities
	verifyEvery time.Duration

	sets map[plan.Key]*rrset
	// obstacles are what the last read showed to be in the way.
	obstacles plan.Obstacles
	// open are the RRsets that may need a write or a look.
	open map[plan.Key]*rrset
	// desires counts the RRsets of which something is desired.
	desires int
	// withdrawn are RRsets to be given up, once they were read after a time.
	withdrawn map[plan.Key]time.Time

	reads reads
	// before is when the zone was last written before there was this machine.
	before time.Time
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
	habits             Habits
	// looks counts how often writes that do not show were looked for, and
	// next is when they are looked for again.
	looks int
	next  time.Time
}

// Habits are what is worth knowing of a provider's zone also once nothing is
// desired of it any more.
type Habits struct {
	shows shows
	// wrote is when it was last written.
	wrote time.Time
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
	desired *plan.Desired
	// believed is the newest evidence of what the RRset holds.
	believed *plan.RRset
	// doubt is kept for as long as there is more to know.
	doubt *doubt
	pace  pace
	// changed is when it was last changed by us, in Unix seconds, and 0 if
	// never.
	changed uint32
	holder  Holder
	// born is the number of reads that had begun before.
	born uint32
	// known means that believed rests on evidence, seen that a read was
	// among it.
	known, seen bool
}

var (
	absent  = &plan.RRset{}
	unknown = &plan.Desired{}
)

// doubt is what is known of an RRset beyond its believed value.
type doubt struct {
	// pending means that a write was accepted that no read has shown yet.
	pending bool
	// accepted is when that was, told when it was reported, and ended when
	// the last write ended, be it accepted or not.
	accepted, told, ended time.Time
	// past are the values that a reader that lags may still show.
	past [][]netip.Addr
	// late means that a read has shown such a value since the write.
	late bool
	// rewritten means that the write was taken for lost once already.
	rewritten bool
	// unsure means that a write failed, or was given up, and may have taken
	// effect all the same.
	unsure bool
	// withdrew means that the last write was accepted, and took away.
	withdrew bool
	// writing means that a write is under way.
	writing bool
	// unread means that a write awaits the read that follows it.
	unread bool

	// before is what was believed before the last write. based means that
	// the value before the first that does not show yet was read.
	before []netip.Addr
	based  bool

	// from is what was there before our first write of a change, if begun,
	// and since when that was.
	begun bool
	from  []netip.Addr
	since time.Time
	// drifted means that somebody else has changed what was right.
	drifted bool
	// mine is what we have published and no longer desire.
	mine []netip.Addr

	way way
	// asked is the TTL of which the provider has made another.
	asked   time.Duration
	failure error
	// reported is what was told last of why the RRset is left alone.
	reported string
}

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

// need returns what is in doubt of the RRset, to be changed.
func (r *rrset) need() *doubt {
	if r.doubt == nil {
		r.doubt = new(doubt)
	}
	return r.doubt
}

// idle reports whether there is nothing more to know.
func (d *doubt) idle() bool {
	return !d.pending && !d.unsure && !d.unread && !d.begun && !d.drifted && len(d.mine) == 0 &&
		d.way == way{} && d.asked == 0 && d.failure == nil && d.reported == ""
}

func (m *Machine) report(r Report) { m.reports = append(m.reports, r) }

// fail notes that the RRset cannot be made as desired in this attempt.
func (m *Machine) fail(key plan.Key, r *rrset, err error) {
	r.need().failure = err
	m.attempt.failed[key] = err
}
