// Package quorum finds this machine's addresses by the votes of independent
// operators, whatever the protocol. One whose address is new is believed when
// enough of them agree.
package quorum

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

// hedge is how long a voter may take before another one is asked too.
const hedge = 250 * time.Millisecond

// Poll asks the voters of one source.
type Poll[V Voter] struct {
	// Voters can be asked over each family.
	Voters [ipaddr.Families][]V
	// Quorum is how many operators must agree on a new address. Default: 2, or
	// 1 if all who could ever vote, those of other sources included, are of one
	// operator.
	Quorum int
	// Timeout bounds a check of one family.
	Timeout time.Duration
	// Reach returns those of the family's voters that can be reached just now.
	// None means that this machine lacks the family.
	Reach func(f ipaddr.Family) ([]V, error)
	// Ask asks one voter.
	Ask    func(ctx context.Context, f ipaddr.Family, v V) (netip.Addr, error)
	Logger *zap.Logger

	// others are the operators whom the other sources of the list ask.
	others   [ipaddr.Families][]string
	families [ipaddr.Families]family
}

// family is what is remembered of one family between checks.
type family struct {
	mu     sync.Mutex
	turn   int // whom to ask first
	addr   netip.Addr
	voters []string // who vouched for addr since it was accepted
}

var names = [ipaddr.Families]string{"IPv4", "IPv6"}

// GetIPs asks over all families that are asked for at once, but for those that
// this machine lacks.
func (p *Poll[V]) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	var asked []ipaddr.Family
	if settings.IPVersions.V4Enabled() {
		asked = append(asked, ipaddr.V4)
	}
	if settings.IPVersions.V6Enabled() {
		asked = append(asked, ipaddr.V6)
	}
	found := make([]netip.Addr, len(asked))
	problems := make([]error, len(asked))
	var checks sync.WaitGroup
	for i, f := range asked {
		checks.Go(func() {
			if found[i], problems[i] = p.check(ctx, f, settings); problems[i] != nil {
				problems[i] = fmt.Errorf("%s: %w", names[f], problems[i])
			}
		})
	}
	checks.Wait()

	var addrs []netip.Addr
	var errs, absent []error
	for i, err := range problems {
		if _, ok := errors.AsType[*ipsources.NoFamilyError](err); ok {
			absent = append(absent, err)
		} else if err != nil {
			errs = append(errs, err)
		} else {
			addrs = append(addrs, found[i])
		}
	}
	if len(addrs) == 0 && len(errs) == 0 {
		errs = absent
	}
	return addrs, errors.Join(errs...)
}

// check finds the address of one family.
func (p *Poll[V]) check(ctx context.Context, f ipaddr.Family, settings ipsources.IPSettings) (netip.Addr, error) {
	voters, err := p.Reach(f)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(voters) == 0 {
		return netip.Addr{}, &ipsources.NoFamilyError{Err: errors.New("this machine has no route to the endpoints")}
	}
	var known []netip.Addr
	for _, addr := range settings.Known {
		if ipaddr.FamilyOf(addr) == f {
			known = append(known, addr)
		}
	}
	votes := slices.DeleteFunc(slices.Clone(settings.Votes), func(v ipsources.Vote) bool { return ipaddr.FamilyOf(v.Addr) != f })
	needed := p.quorum(f)
	b := New(known, needed, votes, rotate(voters, p.families[f].next()))
	if err := p.hold(ctx, f, b, settings.Accepts); err != nil {
		return netip.Addr{}, err
	}
	addr, won := b.Winner()
	if won {
		p.families[f].accept(addr, b.VotersFor(addr))
		return addr, nil
	}
	return netip.Addr{}, unsettled(b, needed)
}

// hold asks until the ballot is decided, nobody is left, or time is up. It
// fails only if ctx ends before that.
func (p *Poll[V]) hold(parent context.Context, f ipaddr.Family, b *Ballot[V], accepts func(netip.Addr) bool) error {
	ctx, cancel := context.WithTimeout(parent, p.Timeout)
	defer cancel()
	type reply struct {
		from V
		addr netip.Addr
		err  error
	}
	// Room for all, so that late ones are not held up.
	replies := make(chan reply, len(p.Voters[f]))
	slow := make(chan V, len(p.Voters[f]))

	for ctx.Err() == nil {
		for _, v := range b.Next() {
			go func() {
				r := reply{from: v}
				defer func() {
					// The caller's own guard does not reach this goroutine.
					if panicked := recover(); panicked != nil {
						r.err = fmt.Errorf("asking panicked: %v", panicked)
					}
					replies <- r
				}()
				r.addr, r.err = p.Ask(ctx, f, v)
			}()
			timer := time.AfterFunc(hedge, func() { slow <- v })
			defer timer.Stop()
		}
		if _, won := b.Winner(); won || b.Over() {
			return nil
		}

		select {
		case v := <-slow:
			b.Slow(v)
		case <-ctx.Done():
		case r := <-replies:
			if r.err != nil && ctx.Err() != nil {
				continue
			}
			if r.err == nil && accepts != nil && !accepts(r.addr) {
				r.err = fmt.Errorf("says %s, which may not be published: %s", r.addr, whyRefused(r.addr))
			}
			p.Logger.Debug("asked for this machine's address",
				zap.Stringer("family", f), zap.String("host", r.from.Name()),
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
	b.Close(fmt.Errorf("no answer within %s", p.Timeout))
	return nil
}

// unsettled says why a ballot that is over has no winner.
func unsettled[V Voter](b *Ballot[V], needed int) error {
	failed := func(format string, args ...any) error {
		return &ipsources.DetailedError{Err: fmt.Errorf(format, args...), Details: b.Summary()}
	}
	switch {
	case len(b.Votes()) == 0:
		return failed("no endpoint gave an address")
	case b.Disagree():
		return &ipsources.DoubtError{Err: &ipsources.UnsettledError{
			Votes: b.Votes(), Err: failed("the endpoints disagree, and no %d operators say the same", needed),
		}}
	}
	return &ipsources.UnsettledError{
		Votes: b.Votes(), Err: failed("%d operators must agree on a changed address, but too few answer", needed),
	}
}

// ConfirmedBy returns the voters that gave the address when it was accepted,
// and those that have repeated it since.
func (p *Poll[V]) ConfirmedBy(addr netip.Addr) []string {
	f := &p.families[ipaddr.FamilyOf(addr)]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr != addr {
		return nil
	}
	return slices.Clone(f.voters)
}

// accept notes an address, and who vouches for it.
func (f *family) accept(addr netip.Addr, voters []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr == addr {
		voters = append(voters, f.voters...)
		slices.Sort(voters)
		voters = slices.Compact(voters)
	}
	f.addr, f.voters = addr, voters
}

// next returns which check this is.
func (f *family) next() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	return f.turn - 1
}

// rotate returns the voters in another order at each check, so that each is
// asked in turn.
func rotate[V Voter](voters []V, turn int) []V {
	first := turn % len(voters)
	return slices.Concat(voters[first:], voters[:first])
}

// whyRefused guesses why the app's filter refuses an address.
func whyRefused(addr netip.Addr) string {
	if reason := ipaddr.SpecialPurpose(addr); reason != "" {
		return reason
	}
	return "see include and exclude"
}
