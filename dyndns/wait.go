package dyndns

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// wait is what is waited for of one host.
type wait struct {
	// line is the host's place in the answer.
	line int
	host string
	// version is that of the update, or of what was on record already.
	version ledger.Version
	// keeper is the configuration that the handles are of, and term the one in
	// which they were made.
	keeper  *keeper
	term    uint64
	handles [ipaddr.Families]*zone.Handle
	// asked is set once the instance that writes the zone was asked.
	asked bool
}

// hold has the host's zone hold what is on record, if this instance writes it.
// The ledger's lock is held.
func (w *wait) hold(keeper *keeper, e *ledger.Entry) {
	w.keeper, w.term, w.handles = keeper, 0, [ipaddr.Families]*zone.Handle{}
	if z, _ := keeper.locate(w.host); z != nil {
		w.term = keeper.term(z)
		w.handles = keeper.set(e)
	}
}

// committed is what was stored, and whereby it is known when it is confirmed.
type committed struct {
	outcomes []request.Outcome
	waits    []wait
	err      error
}

// wait waits until all that the request is about is confirmed, and says what
// is in DNS. The error is a [*reply.Error].
func (c *committed) wait(ctx context.Context, k *keeper) ([]reply.Line, error) {
	lines := make([]reply.Line, len(c.outcomes))
	for i, o := range c.outcomes {
		lines[i].Addrs = o.Gave
	}
	for i := range c.waits {
		w := &c.waits[i]
		o := &c.outcomes[w.line]
		var overtaken bool
		var confirmed [ipaddr.Families]*plan.Desired
		for f, state := range o.States {
			if state == plan.Unknown {
				continue
			}
			d, err := w.confirmed(ctx, k, ipaddr.Family(f))
			if err != nil {
				return nil, refusedByDNS("host %q, type %s: %v", o.Host, ipaddr.Family(f).RRType(), err)
			}
			confirmed[f] = d
			overtaken = overtaken || !gives(o, f, d)
		}
		if overtaken {
			lines[w.line].Addrs = in(confirmed)
		}
		lines[w.line].Changed = true
	}
	return lines, nil
}

// gives reports whether what was confirmed is what the request was for.
func gives(o *request.Outcome, f int, d *plan.Desired) bool {
	return ledger.Record{State: o.States[f], Addrs: o.Desired[f]}.Equal(ledger.Record{State: d.State, Addrs: d.Addrs})
}

// in returns the addresses that were confirmed.
func in(confirmed [ipaddr.Families]*plan.Desired) []netip.Addr {
	var addrs []netip.Addr
	for _, d := range confirmed {
		if d != nil && d.State == plan.Set {
			addrs = append(addrs, d.Addrs...)
		}
	}
	return addrs
}

// confirmed waits for one family of a host, and returns what has come true of
// it: what was asked for, or something newer. Where another configuration or
// another instance comes to keep the zone meanwhile, it goes on with that one.
func (w *wait) confirmed(ctx context.Context, k *keeper, f ipaddr.Family) (*plan.Desired, error) {
	l := k.shared.ledger
	for {
		changed := l.Changed()
		var keeper *keeper
		l.Under(func(iter.Seq[*ledger.Entry]) { keeper = k.shared.keeper(k) })
		z, _ := keeper.locate(w.host)
		if z == nil {
			if err := keeper.whyNowhere(w.host); err != nil && !errors.Is(err, errNotYet) {
				return nil, err
			}
			// Any label below a name may turn out to be a zone of its own.
			keeper.place()
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, errNotYet
			}
		}
		term := keeper.term(z)
		if term == 0 {
			d, err := w.told(ctx, k, z, f, changed)
			if d != nil || err != nil {
				return d, err
			}
			continue
		}
		if w.keeper != keeper || w.term != term {
			w.forget()
			l.Apply(w.host, func(e *ledger.Entry) { w.hold(keeper, e) })
		}
		if h := w.handles[f]; h != nil {
			select {
			case <-h.Done():
			case <-ctx.Done():
				return nil, errOutOfTime
			}
			if d := h.Confirmed(); d != nil {
				return d, nil
			}
			if err := h.Err(); !errors.Is(err, zone.ErrSuperseded) && !errors.Is(err, zone.ErrReleased) && keeper.term(z) == term {
				return nil, err
			}
		}
		if ctx.Err() != nil {
			return nil, errOutOfTime
		}
		if keeper.term(z) == term && !k.shared.succeeded(keeper) {
			if w.handles[f] == nil {
				return nil, errServedNoLonger
			}
			return nil, w.handles[f].Err()
		}
	}
}

// told waits until something new is known, unless the instance that writes the
// zone has told by now that DNS has followed.
func (w *wait) told(ctx context.Context, k *keeper, z *keptZone, f ipaddr.Family, changed <-chan struct{}) (*plan.Desired, error) {
	s := k.shared
	e := s.ledger.Lookup(w.host)
	if e.Compare(w.version) >= 0 && z.told(e)[f] {
		return &plan.Desired{State: e.Records[f].State, Addrs: e.Records[f].Addrs}, nil
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	s.ask(w)
	select {
	case <-changed:
		return nil, nil
	case <-time.After(followSoon):
		// Who writes the zone may have changed.
		return nil, nil
	case <-ctx.Done():
		return nil, z.unconfirmed()
	}
}

// unconfirmed is the reason where another instance has confirmed nothing.
func (z *keptZone) unconfirmed() error {
	part := z.member.Zone(z.id)
	if part.Writer == "" || part.Own {
		return errOutOfTime
	}
	return fmt.Errorf("the instance %q, which writes the zone for all, has not confirmed it in time; it goes on being tried if that one has a user with the host, too", part.Writer)
}

// ask has the instance that writes the zone asked whether DNS has followed, once.
func (s *shared) ask(w *wait) {
	if w.asked {
		return
	}
	w.asked = true
	s.ledger.Ask(w.host)
	s.hurry()
}

// forget lets go of all that nobody waits for any more.
func (c committed) forget() {
	for i := range c.waits {
		c.waits[i].forget()
	}
}

// forget lets go of what nobody waits for any more.
func (w *wait) forget() {
	for _, h := range w.handles {
		if h == nil {
			continue
		}
		select {
		case <-h.Done():
		default:
			h.Forget()
		}
	}
}

// keeper is the configuration that keeps the zones now, or else one's own. The
// ledger's lock is held.
func (s *shared) keeper(own *keeper) *keeper {
	if newest := s.newest(); newest != nil {
		return newest
	}
	return own
}

// succeeded reports whether a newer configuration keeps the zones.
func (s *shared) succeeded(k *keeper) (succeeded bool) {
	s.ledger.Under(func(iter.Seq[*ledger.Entry]) { succeeded = s.keeper(k) != k })
	return succeeded
}

// set hands what is on record to the configuration that keeps the host's zone
// now. The ledger's lock is held.
func (s *shared) set(e *ledger.Entry, own *keeper) { s.keeper(own).set(e) }

// refusedByDNS is the answer where DNS does not follow. The update is stored,
// and tried again.
func refusedByDNS(format string, args ...any) error {
	return reply.Refuse(http.StatusServiceUnavailable, reply.DNSError, format, args...)
}

// outOfTime is the reason where nothing is known in time.
var errOutOfTime = errors.New("not confirmed in time; it goes on being tried")
