package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// limiterSlots bounds the limiter's memory to 512 KiB. Networks that fall
	// into one slot share its allowance, and nobody can choose with whom.
	limiterSlots = 1 << 16

	// slip is how many of the answers above the limit are dropped for each
	// one that is sent truncated, so that real clients come back over TCP.
	slip = 2
)

// limiter limits the answers per second and client network, so that the server
// amplifies nothing for those who forge the source of their queries. It holds
// for each network the time at which its allowance will be whole again.
type limiter struct {
	interval int64 // nanoseconds that one answer costs
	burst    int64 // nanoseconds that may be spent in advance
	seed     maphash.Seed
	slots    [limiterSlots]atomic.Int64
	slipped  atomic.Uint32
}

// verdict is what to do with an answer.
type verdict uint8

const (
	send verdict = iota
	sendTruncated
	drop
)

func newLimiter(perSecond int) *limiter {
	return &limiter{
		interval: int64(time.Second) / int64(perSecond),
		burst:    int64(time.Second),
		seed:     maphash.MakeSeed(),
	}
}

// check takes one answer from the allowance of a client's network: /24 or /56.
// This machine itself is not limited: nobody else can send from its addresses.
func (l *limiter) check(client netip.Addr, now time.Time) verdict {
	client = client.Unmap()
	if l == nil || client.IsLoopback() {
		return send
	}
	slot := &l.slots[maphash.Comparable(l.seed, networkOf(client))%limiterSlots]
	at := now.UnixNano()
	for {
		held := slot.Load()
		old := held
		if old > at+l.burst {
			old = 0 // the clock was set back: nobody can owe more than the burst
		}
		next := max(old, at) + l.interval
		if next-at > l.burst {
			if l.slipped.Add(1)%slip == 0 {
				return sendTruncated
			}
			return drop
		}
		if slot.CompareAndSwap(held, next) {
			return send
		}
	}
}

// networkOf returns what is taken for one client's network: /24 or /56.
func networkOf(client netip.Addr) netip.Prefix {
	bits := 56
	if client = client.Unmap(); client.Is4() {
		bits = 24
	}
	network, _ := client.WithZone("").Prefix(bits)
	return network
}
