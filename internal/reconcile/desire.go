package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

func (m *Machine) claim(now time.Time, e Claim) {
	m.can, m.verifyEvery = e.Abilities, e.VerifyEvery
	m.drop(func(key plan.Key, r *rrset) bool { return r.holder == e.Holder && e.Desired[key] == nil })
	for key, d := range e.Desired {
		m.desire(now, Desire{e.Holder, key, d})
	}
}

func (m *Machine) desire(now time.Time, e Desire) {
	r, ok := m.sets[e.Key]
	if !ok {
		r = &rrset{desired: unknown, believed: absent, born: m.reads.begun}
		m.sets[e.Key] = r
	}
	if r.holder > e.Holder {
		m.report(Superseded{e.Key, e.Holder})
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
	m.count(r, e.Desired)
	if e.Desired.State == plan.Unknown {
		return
	}
	m.open[e.Key] = r
	if d := r.doubt; d != nil {
		d.rewritten = false
		if d.pending {
			m.reads.looks, m.reads.next = 1, now.Add(firstLook)
		}
	}
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

func (m *Machine) count(r *rrset, d *plan.Desired) {
	if r.desired.State != plan.Unknown {
		m.desires--
	}
	if d.State != plan.Unknown {
		m.desires++
	}
	r.desired = d
}

// drop forgets RRsets.
func (m *Machine) drop(gone func(plan.Key, *rrset) bool) {
	for key, r := range m.sets {
		if gone(key, r) {
			m.count(r, unknown)
			delete(m.sets, key)
			delete(m.open, key)
		}
	}
}

// estrange forgets what is known of the RRsets, save what we have published: a
// read that is under way does not count either.
func (m *Machine) estrange() {
	for key, r := range m.sets {
		r.known, r.born = false, m.reads.begun
		if r.desired.State != plan.Unknown {
			m.open[key] = r
		}
		if d := r.doubt; d != nil && !d.writing {
			r.doubt = nil
			if len(d.mine) > 0 {
				r.doubt = &doubt{mine: d.mine}
			}
		}
	}
}

// giveUpWithdrawn forgets RRsets from which all that was ours is taken away. A
// reader that may lag could still show a write later of which nobody knew
// whether it took effect.
func (m *Machine) giveUpWithdrawn() {
	certain := !m.can.Read || m.reads.habits.shows == showsAtOnce || m.reads.at.Sub(m.reads.habits.wrote) >= rewriteAfter
	for key, at := range m.withdrawn {
		r := m.sets[key]
		gone := r == nil || !r.withdraws() || m.open[key] != nil
		if !gone && certain && (!m.can.Read || m.reads.at.After(at)) {
			m.report(Withdrawn{key})
			m.count(r, unknown)
			delete(m.sets, key)
			gone = true
		}
		if gone {
			delete(m.withdrawn, key)
		}
	}
}

// withdraws reports whether the RRset is to be given up once what is ours is
// taken away.
func (r *rrset) withdraws() bool { return r.desired.State == plan.None && r.desired.Withdraw }

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

// bringForward lets something new be tried before the pause after a failure
// is over, though ever more rarely: an address that flaps must not cost a
// provider that refuses us a call each time.
func (m *Machine) bringForward(now time.Time) {
	f := &m.failures
	if f.count == 0 {
		return
	}
	at := f.at.Add(min(forwardAfter<<min(f.forwarded, 10), MaxBackoff))
	if at.Before(now) {
		at = now
	}
	if at.Before(f.next) {
		f.next = at
		f.forwarded++
	}
}
