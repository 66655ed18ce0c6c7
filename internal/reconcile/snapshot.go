package reconcile

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// State says how an RRset is doing.
type State uint8

const (
	// NoAddress means that nothing is known of what the RRset should hold.
	NoAddress State = iota
	// InSync means that the newest evidence is as desired.
	InSync
	// Left means that the configuration asks to leave the RRset as it is.
	Left
	// Unverified means that what is desired was accepted and does not show
	// yet.
	Unverified
	// Pending means that the RRset is about to be read or written.
	Pending
	// InTheWay means that another record is in the way.
	InTheWay
	// InTrouble means that reading or writing failed.
	InTrouble
)

// Record is what is known of an RRset. InSync is nil where that cannot be
// told.
type Record struct {
	Key      plan.Key
	Desired  *plan.Desired
	Observed []netip.Addr
	TTL      time.Duration
	// Accepted is what the provider has accepted and does not show yet.
	Accepted []netip.Addr
	// Asked is the TTL of which the provider has made another.
	Asked   time.Duration
	State   State
	Reason  string
	InSync  *bool
	Changed time.Time
}

// Snapshot is what is known of a zone.
type Snapshot struct {
	// Records are in the order of their keys.
	Records []Record
	// Verified is when the zone was last read, Synced when all was last as
	// desired.
	Verified, Synced time.Time
	// Next is when the zone is read or written next, if it is known.
	Next time.Time
	// Failures counts those in a row, since Since, and Err is the last. Last
	// and LastAt are the last failure also once it is over.
	Failures int
	Since    time.Time
	Err      error
	Last     error
	LastAt   time.Time
}

// Snapshot returns what is known now.
func (m *Machine) Snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Verified: m.reads.at, Synced: m.synced,
		Failures: m.failures.count, Since: m.failures.since, Err: m.failures.err, Last: m.failures.last, LastAt: m.failures.at,
		Records: make([]Record, 0, len(m.sets)),
	}
	if at, ok := m.due(now); ok && !m.hungWrite {
		s.Next = at
		if at.Before(now) {
			s.Next = now
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.sets), plan.Key.Compare) {
		r := m.sets[key]
		record := Record{Key: key, Desired: r.desired, Observed: r.believed.Addrs, TTL: r.believed.TTL}
		if d := r.doubt; d != nil {
			record.Asked = d.asked
			if d.pending {
				record.Observed, record.Accepted = d.past[0], r.believed.Addrs
				if len(record.Observed) == 0 {
					record.TTL = 0
				}
			}
		}
		if r.changed != 0 {
			record.Changed = time.Unix(int64(r.changed), 0)
		}
		j := m.judge(key, r)
		record.State, record.Reason, record.InSync = j.state, j.reason, j.inSync
		s.Records = append(s.Records, record)
	}
	return s
}

// FailingFor is how long the provider has refused the zone.
func (s *Snapshot) FailingFor(now time.Time) time.Duration {
	if s.Err == nil || s.Since.IsZero() {
		return 0
	}
	return now.Sub(s.Since)
}

// Names returns a function that tells which names are managed as of now, with
// the zone's own copy of each.
func (m *Machine) Names() func(name string) (string, bool) {
	names := make(map[string]string, len(m.sets))
	for key := range m.sets {
		names[key.Name] = key.Name
	}
	return func(name string) (string, bool) {
		own, ok := names[name]
		return own, ok
	}
}

// Desired returns what is desired of the RRset.
func (m *Machine) Desired(key plan.Key) *plan.Desired {
	if r := m.sets[key]; r != nil {
		return r.desired
	}
	return unknown
}

// Count returns how many RRsets are managed.
func (m *Machine) Count() int { return len(m.sets) }

// Manages reports whether something holds the RRset.
func (m *Machine) Manages(key plan.Key) bool { return m.sets[key] != nil }

// FirstName returns the first of the managed names, or that of the zone.
func (m *Machine) FirstName() string {
	first := "@"
	for key := range m.sets {
		if key.Name != "@" && (first == "@" || key.Name < first) {
			first = key.Name
		}
	}
	return first
}

// Believed returns what the RRsets are believed to hold, as far as that is
// known for sure.
func (m *Machine) Believed() map[plan.Key]plan.RRset {
	sets := make(map[plan.Key]plan.RRset, len(m.sets))
	for key, r := range m.sets {
		unsure := m.can.Set && r.doubt != nil && r.doubt.unsure
		if r.known && !unsure && len(r.believed.Addrs) > 0 {
			sets[key] = *r.believed
		}
	}
	return sets
}

// Known reports whether something is known of all RRsets.
func (m *Machine) Known() bool {
	for _, r := range m.sets {
		if !r.known {
			return false
		}
	}
	return true
}

// InSync reports whether the RRset is as desired by the newest evidence.
func (m *Machine) InSync(key plan.Key) bool {
	r := m.sets[key]
	return r != nil && m.judge(key, r).state == InSync
}

// Holds reports whether the RRset is as desired by the newest evidence, or nil
// where that cannot be told.
func (m *Machine) Holds(key plan.Key) *bool {
	if r := m.sets[key]; r != nil {
		return m.judge(key, r).inSync
	}
	return nil
}

type judgement struct {
	state  State
	reason string
	inSync *bool
}

// judge says how an RRset is doing.
func (m *Machine) judge(key plan.Key, r *rrset) judgement {
	trouble := func(err error, inSync *bool) judgement { return judgement{InTrouble, err.Error(), inSync} }
	d := r.doubt
	if d == nil {
		d = new(doubt)
	}
	decision := m.decide(key, r)
	differs := decision.Verdict == plan.Differs && !decision.Change.OnlyTTL
	unsure := d.unsure || m.leftovers(r) || d.unread || d.writing
	switch {
	case r.desired.State == plan.Unknown:
		return judgement{state: NoAddress}
	case !r.known && m.failures.err != nil:
		return trouble(m.failures.err, nil)
	case !r.known:
		return judgement{Pending, "not read yet", nil}
	case decision.Verdict == plan.Blocked:
		return judgement{InTheWay, decision.Reason, new(false)}
	case decision.Verdict == plan.Restrained:
		return judgement{Left, decision.Reason, new(true)}
	case differs && d.failure != nil:
		return trouble(d.failure, new(false))
	case differs && m.failures.err != nil:
		return trouble(m.failures.err, new(false))
	case differs:
		return judgement{Pending, "about to be written", new(false)}
	case d.pending:
		return judgement{Unverified, "the provider accepted this, and does not show it yet", nil}
	case d.failure != nil:
		return trouble(d.failure, nil)
	case unsure:
		return judgement{Pending, "about to be read or written", nil}
	case m.failures.err != nil && !m.anyFailure():
		return trouble(m.failures.err, nil)
	}
	return judgement{InSync, "", new(true)}
}

// anyFailure reports whether the failure is that of some RRsets.
func (m *Machine) anyFailure() bool {
	for _, r := range m.open {
		if r.doubt != nil && r.doubt.failure != nil {
			return true
		}
	}
	return false
}

// inSync reports whether all RRsets are as desired of which it is known what
// is, and there are any.
func (m *Machine) inSync() bool {
	any := false
	for key, r := range m.sets {
		if r.desired.State == plan.Unknown {
			continue
		}
		any = true
		if j := m.judge(key, r); j.inSync == nil || !*j.inSync {
			return false
		}
	}
	return any
}
