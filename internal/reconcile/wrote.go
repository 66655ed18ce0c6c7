package reconcile

import (
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// accepted takes in a write that the provider has accepted.
func (m *Machine) accepted(now time.Time, call *Action) {
	shared := sharing{}
	for _, w := range call.Writes {
		r := m.sets[w.Key]
		d := r.doubt
		before := r.believed.Addrs
		after := w.Addrs
		switch call.Do {
		case DoAppend:
			after = ipaddr.Sort(slices.Concat(before, w.Addrs))
		case DoDelete:
			after = ipaddr.Without(before, w.Addrs)
			if !m.can.Read || m.attempt.blind {
				d.mine = ipaddr.Without(d.mine, w.Addrs)
			}
		}
		r.believed, r.known = shared.of(plan.RRset{Addrs: after, TTL: w.TTL}, r), true
		d.unsure, d.failure, d.accepted, d.ended, d.withdrew = false, nil, now, now, r.desired.State == plan.None
		if d.way.alone {
			d.way.alone, m.attempt.works = false, true
		}
		if m.can.Read {
			if !d.pending {
				d.pending, d.past = true, nil
			}
			if len(d.past) == maxPast {
				d.past = d.past[1:]
			}
			d.past = append(d.past, before)
			d.unread, d.late = !m.attempt.blind, false
			if m.reads.looks == 0 {
				m.reads.looks, m.reads.next = 1, now.Add(firstLook)
			}
		}
		m.open[w.Key] = r
		m.settle(now, w.Key, r)
	}
}

// refused takes in a write that has failed, of which nobody knows what it has
// done.
func (m *Machine) refused(now time.Time, call *Action, batch bool, err error) {
	for _, w := range call.Writes {
		r := m.sets[w.Key]
		d := r.doubt
		d.unsure, d.unread, d.failure, d.ended = true, m.can.Read && !m.attempt.blind, err, now
		m.assumeWorst(r, call.Do, w)
		m.open[w.Key] = r
		several := r.believed.Twice || len(r.believed.Addrs) > 1 || len(r.desired.Addrs) > 1
		switch {
		case batch:
			d.way.alone = true
		case d.unread && several && call.Do == DoSet && !d.way.repair && m.canRepair(now, d):
			d.way.repair = true
		default:
			m.fail(w.Key, r, err)
		}
		if d.way.alone && !batch {
			m.attempt.refusals++
		}
	}
	// Where nothing works at all it is not the RRsets that are at fault.
	if m.attempt.refusals >= 2 && !m.attempt.works {
		m.attempt.over = err
	}
}

// abandon takes in a write that is no longer waited for.
func (m *Machine) abandon(now time.Time, call *Action, err error) {
	for _, w := range call.Writes {
		r := m.sets[w.Key]
		d := r.doubt
		d.unsure, d.unread, d.failure, d.ended = true, m.can.Read, err, now
		m.assumeWorst(r, call.Do, w)
		m.open[w.Key] = r
		m.fail(w.Key, r, err)
	}
	m.attempt.over = err
}

// assumeWorst takes what was to be deleted for gone and for still to be
// deleted, where no read will tell.
func (m *Machine) assumeWorst(r *rrset, do Do, w plan.Write) {
	if do == DoDelete && (!m.can.Read || m.attempt.blind) {
		r.believed = &plan.RRset{Addrs: ipaddr.Without(r.believed.Addrs, w.Addrs), TTL: r.believed.TTL}
		r.doubt.mine = ipaddr.Sort(slices.Concat(r.doubt.mine, w.Addrs))
	}
}
