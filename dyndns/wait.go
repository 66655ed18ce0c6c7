package dyndns

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

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
	line    int
	entry   *ledger.Entry
	handles [ipaddr.Families]*zone.Handle
}

// committed is what was stored, and whereby it is known when it is confirmed.
type committed struct {
	outcomes []request.Outcome
	waits    []wait
	err      error
}

// wait waits until all that the request is about is confirmed, and says what
// is in DNS. The error is a [*reply.Error].
func (c *committed) wait(ctx context.Context, a *App) ([]reply.Line, error) {
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
			d, err := w.confirmed(ctx, a, ipaddr.Family(f))
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
// it: what was asked for, or something newer. Where another configuration has
// taken the zone meanwhile, it goes on with that one.
func (w *wait) confirmed(ctx context.Context, a *App, f ipaddr.Family) (*plan.Desired, error) {
	for {
		h := w.handles[f]
		if h == nil {
			return nil, errors.New("the host is served no longer")
		}
		select {
		case <-h.Done():
		case <-ctx.Done():
			return nil, errOutOfTime
		}
		d, err := h.Confirmed(), h.Err()
		switch {
		case d != nil:
			return d, nil
		case !errors.Is(err, zone.ErrSuperseded) && !errors.Is(err, zone.ErrReleased):
			return nil, err
		case ctx.Err() != nil:
			return nil, errOutOfTime
		}
		if !a.shared.taken(a) {
			return nil, err
		}
		w.forget()
		a.shared.ledger.Apply(w.entry.Host, func(e *ledger.Entry) { w.entry, w.handles = e, a.shared.set(e, a) })
	}
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

// set hands what is on record to the configuration that keeps the host's zone
// now. It must be called under the ledger's lock.
func (s *shared) set(e *ledger.Entry, own *App) [ipaddr.Families]*zone.Handle {
	if newest := s.newest(); newest != nil {
		return newest.set(e)
	}
	return own.set(e)
}

// refusedByDNS is the answer where DNS does not follow. The update is stored,
// and tried again.
func refusedByDNS(format string, args ...any) error {
	return reply.Refuse(http.StatusServiceUnavailable, reply.DNSError, format, args...)
}

// outOfTime is the reason where nothing is known in time.
var errOutOfTime = errors.New("not confirmed in time; it goes on being tried")
