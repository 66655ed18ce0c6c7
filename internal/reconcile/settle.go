package reconcile

import (
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// settle closes an RRset that is as desired, and tells of what came true.
func (m *Machine) settle(now time.Time, key plan.Key, r *rrset) {
	decision := m.decide(key, r)
	d := r.doubt
	if decision.Verdict != plan.Right || d != nil && (d.pending || d.unsure || d.writing) {
		return
	}
	if r.desired.State == plan.Unknown {
		delete(m.open, key)
		return
	}
	if m.leftovers(r) {
		return
	}
	c := Confirmed{Key: key, Desired: r.desired, To: r.believed.Addrs, TTL: r.believed.TTL}
	r.pace.rest(now, r.desired.Class)
	withdrew := d != nil && d.withdrew
	if d != nil {
		d.withdrew = false
		c.From, c.Late = d.from, !d.told.IsZero()
		c.Changed = d.begun && !slices.Equal(d.from, r.believed.Addrs)
		c.Drifted = d.begun && d.drifted
		if d.begun && !c.Changed && !c.Drifted && r.desired.TTL > 0 {
			c.OnlyTTL = r.believed.TTL == r.desired.TTL
			c.OtherTTL = !c.OnlyTTL
		}
		d.begun, d.from, d.drifted, d.failure, d.rewritten, d.reported, d.told = false, nil, false, nil, false, "", time.Time{}
		if m.attempt != nil {
			delete(m.attempt.failed, key)
		}
		d.way.worked()
		if r.desired.State == plan.Set {
			d.mine = ipaddr.Without(d.mine, r.believed.Addrs)
		}
		if d.idle() {
			r.doubt = nil
		}
	}
	if c.Changed || c.Drifted || c.OnlyTTL {
		r.changed = uint32(now.Unix())
	}
	c.Ours = r.changed != 0
	delete(m.open, key)
	m.report(c)
	if _, ok := m.withdrawn[key]; r.withdraws() && (withdrew || !ok) {
		// What was not our doing is looked at again.
		at := m.reads.at
		if withdrew {
			at = time.Time{}
		}
		m.withdrawn[key] = at
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

// reportWaiting tells of writes that do not show, once each.
func (m *Machine) reportWaiting(now time.Time) {
	var keys []plan.Key
	for key, r := range m.open {
		if d := r.doubt; d != nil && d.pending && d.accepted.After(d.told) {
			d.told = d.accepted
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		slices.SortFunc(keys, plan.Key.Compare)
		m.report(Waiting{keys, m.reads.next.Sub(now)})
	}
}
