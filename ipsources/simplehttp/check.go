package simplehttp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	// echoHedge is how long an endpoint may take before another one is asked
	// as well.
	echoHedge = 250 * time.Millisecond

	// echoRepeatAfter is when a check is repeated in which too few answered.
	echoRepeatAfter = 10 * time.Second

	// echoComplainEvery is how often a family that keeps failing is worth a
	// line of the log.
	echoComplainEvery = 24 * time.Hour
)

var ErrNoRoute = errors.New("this machine has no route to the endpoints")

// echoFamily is what is remembered of one address family between checks.
type echoFamily struct {
	v6 bool

	mu         sync.Mutex
	turn       int // whom to ask first
	repeat     echoRepeat
	addr       netip.Addr // last accepted, and by which hosts
	hosts      []string
	failing    bool
	complained time.Time
	disputed   time.Time
}

// echoOutcome is the address that a check of one family found, or why none.
type echoOutcome struct {
	family *echoFamily
	addr   netip.Addr
	err    error
	logged bool
}

// check finds the address of one family.
func (s *SimpleHTTP) check(ctx context.Context, f *echoFamily, settings ipsources.IPSettings) echoOutcome {
	endpoints := s.reachable(f.v6)
	if len(endpoints) == 0 {
		f.mu.Lock()
		f.repeat = echoRepeat{}
		f.mu.Unlock()
		s.logger.Debug("not asking echo services over a family without a route", zap.Stringer("family", f))
		return echoOutcome{family: f, err: fmt.Errorf("%s: %w", f, ErrNoRoute), logged: true}
	}
	var known []netip.Addr
	for _, addr := range settings.Known {
		if addr.Is6() == f.v6 {
			known = append(known, addr)
		}
	}

	b := newEchoBallot(known, s.quorum(f.v6), f.rotate(endpoints))
	if err := s.poll(ctx, f, b, settings.Accepts); err != nil {
		return echoOutcome{family: f, err: fmt.Errorf("%s: %w", f, err), logged: true}
	}
	return s.conclude(f, b)
}

// poll asks until the ballot is decided, nobody is left, or time is up. It
// fails only when the context ends before that.
func (s *SimpleHTTP) poll(parent context.Context, f *echoFamily, b *echoBallot, accepts func(netip.Addr) bool) error {
	ctx, cancel := context.WithTimeout(parent, s.timeout)
	defer cancel()
	type reply struct {
		from *echoEndpoint
		addr netip.Addr
		err  error
	}
	// Room for all, so that nobody who is late is held up.
	replies := make(chan reply, len(b.queue))
	slow := make(chan *echoEndpoint, len(b.queue))

	for ctx.Err() == nil {
		for _, e := range b.next() {
			go func() {
				addr, err := s.ask(ctx, f.network(), e.url)
				replies <- reply{e, addr, err}
			}()
			hedge := time.AfterFunc(echoHedge, func() { slow <- e })
			defer hedge.Stop()
		}
		if _, won := b.winner(); won || b.over() {
			return nil
		}

		select {
		case e := <-slow:
			b.slow(e)
		case <-ctx.Done():
		case r := <-replies:
			if r.err != nil && ctx.Err() != nil {
				continue
			}
			if r.err == nil && accepts != nil && !accepts(r.addr) {
				r.err = fmt.Errorf("says %s, which may not be published: %s", r.addr, whyRefused(r.addr))
			}
			s.logger.Debug("asked echo service",
				zap.Stringer("family", f), zap.String("host", r.from.host),
				zap.Stringer("address", r.addr), zap.Error(r.err))
			if r.err != nil {
				b.fault(r.from, r.err)
			} else {
				b.answer(r.from, r.addr)
			}
		}
	}
	if err := parent.Err(); err != nil {
		return err
	}
	b.close(fmt.Errorf("no answer within %s", s.timeout))
	return nil
}

// conclude turns a ballot that is over into an outcome.
func (s *SimpleHTTP) conclude(f *echoFamily, b *echoBallot) echoOutcome {
	f.mu.Lock()
	defer f.mu.Unlock()

	addr, won := b.winner()
	switch {
	case won:
		return f.accept(addr, b.hosts(addr))

	case len(b.answers) == 0:
		f.repeat = echoRepeat{}
		return echoOutcome{family: f, err: fmt.Errorf("%s: no endpoint gave an address: %s", f, b.whoSaidWhat())}

	case b.disagree():
		f.repeat = echoRepeat{}
		log := s.logger.Debug
		if now := time.Now(); f.disputed.IsZero() || now.Sub(f.disputed) >= echoComplainEvery {
			f.disputed = now
			log = s.logger.Warn
		}
		log("echo services disagree, so the address is taken as unknown",
			zap.Stringer("family", f), zap.Int("quorum", b.quorum), zap.String("answers", b.whoSaidWhat()))
		return echoOutcome{
			family: f, logged: true,
			err: fmt.Errorf("%s: the endpoints disagree, and no %d of different hosts say the same: %s", f, b.quorum, b.whoSaidWhat()),
		}
	}

	addr = b.leader()
	hosts := b.hosts(addr)
	if !f.repeat.again(addr, hosts) {
		err := fmt.Errorf("%s: %d endpoints of different hosts must agree on a changed address, but too few answer (check %d of %d): %s",
			f, b.quorum, f.repeat.times, echoRepeats, b.whoSaidWhat())
		s.logger.Debug("too few echo services answer to confirm an address", zap.Error(err))
		return echoOutcome{family: f, logged: true, err: &ipsources.SoonError{After: echoRepeatAfter, Err: err}}
	}
	s.logger.Warn("accepting an address that too few echo services confirm, for the others do not answer and these have repeated it",
		zap.Stringer("family", f), zap.Stringer("address", addr), zap.Strings("confirmed_by", hosts),
		zap.Int("quorum", b.quorum), zap.Int("checks", echoRepeats), zap.String("answers", b.whoSaidWhat()))
	return f.accept(addr, hosts)
}

// logFailures warns of what has failed for a day, and at once when a failure
// leaves this source without any family.
func (s *SimpleHTTP) logFailures(outcomes []echoOutcome) {
	var errs []error
	var first, daily bool
	for _, o := range outcomes {
		if o.err == nil || o.logged {
			continue
		}
		errs = append(errs, o.err)
		begun, due := o.family.fail(time.Now())
		first, daily = first || begun, daily || due
	}
	if len(errs) == 0 {
		return
	}
	log := s.logger.Debug
	if daily || first && !s.v4.works() && !s.v6.works() {
		log = s.logger.Warn
	}
	log("echo services gave no address; if this machine has none of that family, leave it out with `versions`",
		zap.Errors("errors", errs))
}

// reachable returns the endpoints that the machine has a route to over the
// family. Of those that are names, a default route tells.
func (s *SimpleHTTP) reachable(v6 bool) (endpoints []*echoEndpoint) {
	far := sync.OnceValue(func() bool { return s.routable(echoFarAddr(v6)) })
	for _, e := range s.endpoints {
		if e.has(v6) && (e.addr.IsValid() && s.routable(e.addr) || !e.addr.IsValid() && far()) {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

func (s *SimpleHTTP) quorum(v6 bool) int {
	if s.Quorum > 0 {
		return s.Quorum
	}
	n := 0
	for _, e := range s.endpoints {
		if e.has(v6) {
			n++
		}
	}
	if n >= 3 && countOperators(s.endpoints, v6) >= 2 {
		return 2
	}
	return 1
}

func (f *echoFamily) String() string {
	if f.v6 {
		return "IPv6"
	}
	return "IPv4"
}

func (f *echoFamily) network() string {
	if f.v6 {
		return "tcp6"
	}
	return "tcp4"
}

// rotate returns the endpoints in the order of this check's turn.
func (f *echoFamily) rotate(endpoints []*echoEndpoint) []*echoEndpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.turn % len(endpoints)
	f.turn++
	return slices.Concat(endpoints[first:], endpoints[:first])
}

func (f *echoFamily) accept(addr netip.Addr, hosts []string) echoOutcome {
	if f.addr == addr {
		hosts = append(hosts, f.hosts...)
		slices.Sort(hosts)
		hosts = slices.Compact(hosts)
	}
	f.addr, f.hosts = addr, hosts
	f.repeat, f.failing, f.disputed = echoRepeat{}, false, time.Time{}
	return echoOutcome{family: f, addr: addr}
}

// fail notes a failure. It reports whether failing has just begun, and
// otherwise whether a day has passed since this was last worth a line.
func (f *echoFamily) fail(now time.Time) (begun, due bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	begun = !f.failing
	due = !begun && now.Sub(f.complained) >= echoComplainEvery
	if begun || due {
		f.failing, f.complained = true, now
	}
	return begun, due
}

func (f *echoFamily) works() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addr.IsValid() && !f.failing
}

func (f *echoFamily) confirmedBy(addr netip.Addr) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr != addr {
		return nil
	}
	return slices.Clone(f.hosts)
}

// whyRefused guesses why the app's filter refuses an address.
func whyRefused(addr netip.Addr) string {
	if reason := ipaddr.SpecialPurpose(addr); reason != "" {
		return reason
	}
	return "see include and exclude"
}
