package simplehttp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// hedge is how long an endpoint may take before another one is asked too.
const hedge = 250 * time.Millisecond

var errNoRoute = errors.New("this machine has no route to the endpoints")

// poller asks the endpoints.
type poller struct {
	endpoints []*endpoint
	quorum    int // 0 for the default
	timeout   time.Duration
	ask       func(ctx context.Context, network string, endpoint *url.URL) (netip.Addr, error)
	routable  func(to netip.Addr) bool
	logger    *zap.Logger
}

// check finds the address of one family. An address may come with an
// ipsources.DoubtError.
func (p *poller) check(ctx context.Context, f *family, settings ipsources.IPSettings) (netip.Addr, error) {
	endpoints := p.reachable(f.v6)
	if len(endpoints) == 0 {
		f.forgetRepeat()
		return netip.Addr{}, &ipsources.NoFamilyError{Err: fmt.Errorf("%s: %w", f, errNoRoute)}
	}
	var known []netip.Addr
	for _, addr := range settings.Known {
		if addr.Is6() == f.v6 {
			known = append(known, addr)
		}
	}
	needed := p.quorumOver(f.v6)
	b := quorum.New(known, needed, f.rotate(endpoints))
	if err := p.poll(ctx, f, b, settings.Accepts); err != nil {
		return netip.Addr{}, fmt.Errorf("%s: %w", f, err)
	}
	return f.conclude(b, needed)
}

// poll asks until the ballot is decided, nobody is left, or time is up. It
// fails only if ctx ends before that.
func (p *poller) poll(parent context.Context, f *family, b *quorum.Ballot[*endpoint], accepts func(netip.Addr) bool) error {
	ctx, cancel := context.WithTimeout(parent, p.timeout)
	defer cancel()
	type reply struct {
		from *endpoint
		addr netip.Addr
		err  error
	}
	// Room for all, so that late ones are not held up.
	replies := make(chan reply, len(p.endpoints))
	slow := make(chan *endpoint, len(p.endpoints))

	for ctx.Err() == nil {
		for _, e := range b.Next() {
			go func() {
				addr, err := p.ask(ctx, f.network(), e.url)
				replies <- reply{e, addr, err}
			}()
			timer := time.AfterFunc(hedge, func() { slow <- e })
			defer timer.Stop()
		}
		if _, won := b.Winner(); won || b.Over() {
			return nil
		}

		select {
		case e := <-slow:
			b.Slow(e)
		case <-ctx.Done():
		case r := <-replies:
			if r.err != nil && ctx.Err() != nil {
				continue
			}
			if r.err == nil && accepts != nil && !accepts(r.addr) {
				r.err = fmt.Errorf("says %s, which may not be published: %s", r.addr, whyRefused(r.addr))
			}
			p.logger.Debug("asked echo service",
				zap.Stringer("family", f), zap.String("host", r.from.host),
				zap.Stringer("address", r.addr), zap.Error(r.err))
			if r.err != nil {
				b.Fault(r.from, r.err)
			} else {
				b.Answer(r.from, r.addr)
			}
		}
	}
	if err := parent.Err(); err != nil {
		return err
	}
	b.Close(fmt.Errorf("no answer within %s", p.timeout))
	return nil
}

// reachable returns the endpoints that the machine has a route to over the
// family. For names, a default route decides.
func (p *poller) reachable(v6 bool) (endpoints []*endpoint) {
	far := sync.OnceValue(func() bool { return p.routable(farAddr(v6)) })
	for _, e := range p.endpoints {
		if e.has(v6) && (e.addr.IsValid() && p.routable(e.addr) || !e.addr.IsValid() && far()) {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

// quorumOver returns how many must agree over the family.
func (p *poller) quorumOver(v6 bool) int {
	if p.quorum > 0 {
		return p.quorum
	}
	n := 0
	for _, e := range p.endpoints {
		if e.has(v6) {
			n++
		}
	}
	if n >= 3 && countOperators(p.endpoints, v6) >= 2 {
		return 2
	}
	return 1
}

// whyRefused guesses why the app's filter refuses an address.
func whyRefused(addr netip.Addr) string {
	if reason := ipaddr.SpecialPurpose(addr); reason != "" {
		return reason
	}
	return "see include and exclude"
}
