package simplehttp

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// repeatAfter is when to repeat a check in which too few answered.
const repeatAfter = 10 * time.Second

// family is what is remembered of one address family between checks.
type family struct {
	v6 bool

	mu     sync.Mutex
	turn   int // whom to ask first
	repeat quorum.Repeat
	addr   netip.Addr // last accepted, and by which hosts
	hosts  []string
}

func (f *family) String() string {
	if f.v6 {
		return "IPv6"
	}
	return "IPv4"
}

func (f *family) network() string {
	if f.v6 {
		return "tcp6"
	}
	return "tcp4"
}

// rotate returns the endpoints in the order of this check's turn.
func (f *family) rotate(endpoints []*endpoint) []*endpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.turn % len(endpoints)
	f.turn++
	return slices.Concat(endpoints[first:], endpoints[:first])
}

// conclude turns a ballot that is over into an address or the reason for none.
func (f *family) conclude(b *quorum.Ballot[*endpoint], needed int) (netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := func(format string, args ...any) error {
		return &ipsources.DetailedError{Err: fmt.Errorf("%s: "+format, append([]any{f}, args...)...), Details: b.Summary()}
	}
	addr, won := b.Winner()
	switch {
	case won:
		f.accept(addr, b.VotersFor(addr))
		return addr, nil

	case !b.Leader().IsValid():
		f.repeat = quorum.Repeat{}
		return netip.Addr{}, failed("no endpoint gave an address")

	case b.Disagree():
		f.repeat = quorum.Repeat{}
		return netip.Addr{}, &ipsources.DoubtError{
			Err: failed("the endpoints disagree, and no %d of different hosts say the same", needed),
		}
	}

	addr = b.Leader()
	hosts := b.VotersFor(addr)
	if times := f.repeat.Again(addr, hosts); times < quorum.Repeats {
		return netip.Addr{}, &ipsources.SoonError{
			After: repeatAfter,
			Err: failed("%d endpoints of different hosts must agree on a changed address, but too few answer (check %d of %d)",
				needed, times, quorum.Repeats),
		}
	}
	f.accept(addr, hosts)
	return addr, &ipsources.DoubtError{
		Err: failed("%d endpoints of different hosts should confirm %s, but the others do not answer and these have repeated it in %d checks",
			needed, addr, quorum.Repeats),
	}
}

// accept notes an address, and who vouches for it. The caller holds f.mu.
func (f *family) accept(addr netip.Addr, hosts []string) {
	if f.addr == addr {
		hosts = append(hosts, f.hosts...)
		slices.Sort(hosts)
		hosts = slices.Compact(hosts)
	}
	f.addr, f.hosts, f.repeat = addr, hosts, quorum.Repeat{}
}

func (f *family) forgetRepeat() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeat = quorum.Repeat{}
}

func (f *family) confirmedBy(addr netip.Addr) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr != addr {
		return nil
	}
	return slices.Clone(f.hosts)
}
