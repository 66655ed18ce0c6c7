package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Do is what to do at a provider.
type Do uint8

const (
	DoNothing Do = iota
	DoRead
	DoSet
	DoAppend
	DoDelete
)

// Action is what to do next.
type Action struct {
	Do     Do
	Writes []plan.Write
	// Until is when to ask again, if there is nothing to do and nothing
	// happens before. The zero value is for never.
	Until time.Time
}

// maxTries is how many writes an RRset may take in one attempt. The longest
// way is to set it, to find it too long, to make it shorter, to set what is
// left, to add what is missing and to delete what is stale.
const maxTries = 6

// way is how an RRset is written.
type way struct {
	// repair is set once the provider has not done what it was told at first.
	repair bool
	// stuck means that a write of a repair had no effect.
	stuck bool
	tries uint8
	// alone keeps the RRset out of the batch in which it would fail others.
	alone bool
}

// fell notes that the last write has fallen short, as far as is known yet.
func (w *way) fell(effect bool) {
	w.stuck = w.repair && !effect
	w.repair = true
}

// worked notes that the RRset is as desired. The next time it is written as
// at first again, for what was in the way then may be gone.
func (w *way) worked() { *w = way{} }

func (w *way) exhausted() bool { return w.stuck || w.tries >= maxTries }

// write chooses the next write that brings what is believed closer to what is
// desired. Nothing is deleted before something that is to stay was seen, so
// that the name is never empty. Where all values are replaced, one of them is
// kept to be updated in place, for it may carry flags and comments.
func (m *Machine) write(r *rrset, c *plan.Change, blind bool) (Do, []netip.Addr) {
	have, want := c.From, c.To
	missing, stale := c.Missing(), c.Stale()
	stays := len(missing) < len(want)
	repair := r.doubt != nil && r.doubt.way.repair
	certain := !blind && (r.doubt == nil || !r.doubt.unsure)
	switch {
	case len(want) == 0:
		return m.remove(r, want, stale, blind)
	case m.can.Set && !repair && len(have) > 0 && len(stale) == 0 && len(missing) > 0 && m.can.Append && certain:
		// Many a SetRecords keeps only the last of several values and then
		// reads as if nothing had happened.
		return DoAppend, missing
	case m.can.Set && (!repair || blind):
		return DoSet, want
	case m.can.Set && m.can.Delete && !stays && len(have) > 1:
		return m.remove(r, have[:1], have[1:], blind)
	case m.can.Set && !stays && len(have) == 1 && !r.believed.Twice:
		return DoSet, want[:1]
	case len(missing) > 0 && m.can.Append:
		return DoAppend, missing
	case len(stale) > 0 && len(missing) == 0 && m.can.Delete:
		return m.remove(r, want, stale, blind)
	case m.can.Set:
		return DoSet, want
	}
	return DoNothing, nil
}

// remove deletes what is stale once something that stays was seen. Without
// reads it deletes only what we have published, and only where the reader has
// been dead for long: what should be there instead may have been lost.
func (m *Machine) remove(r *rrset, stay, stale []netip.Addr, blind bool) (Do, []netip.Addr) {
	d := r.doubt
	switch {
	case !m.can.Delete:
		return DoNothing, nil
	case blind && (d == nil || !m.reads.dead()):
		return DoNothing, nil
	case blind:
		stale = slices.DeleteFunc(slices.Clone(stale), func(addr netip.Addr) bool { return !slices.Contains(d.mine, addr) })
		if len(stale) == 0 {
			return DoNothing, nil
		}
	case d != nil && d.pending && len(stay) > 0:
		for _, value := range d.past {
			stay = slices.DeleteFunc(slices.Clone(stay), func(addr netip.Addr) bool { return !slices.Contains(value, addr) })
		}
		if len(stay) == 0 {
			return DoNothing, nil
		}
	}
	return DoDelete, stale
}

const (
	deadReads = 3
	deadAfter = time.Hour
)

// dead reports whether reads have failed for so long that it is better to
// delete unseen than to leave what is stale.
func (r *reads) dead() bool {
	return r.failed >= deadReads && r.lastFailure.Sub(r.since) >= deadAfter
}

// accepted takes in a write that the provider has accepted.
func (m *Machine) accepted(now time.Time, call *Action) {
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
		r.believed, r.known = &plan.RRset{Addrs: after, TTL: w.TTL}, true
		d.unsure, d.failure, d.ended = false, nil, now
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
		case d.unread && several && call.Do == DoSet && !d.way.repair && (m.can.Append || m.can.Delete):
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

// fail notes that the RRset cannot be made as desired in this attempt.
func (m *Machine) fail(key plan.Key, r *rrset, err error) {
	r.need().failure = err
	m.attempt.failed[key] = err
}
