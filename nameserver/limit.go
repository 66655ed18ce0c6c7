package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// limiterSlots bounds the limiter's memory to 1 MiB. What falls into one
	// slot shares its allowance, and nobody can choose with whom.
	limiterSlots = 1 << 17

	// slip is how many of the answers above the limit are dropped for each
	// one that is sent truncated, so that real clients come back over TCP.
	slip = 2

	// allFactor is how many times the limit for one kind of answer the answers
	// of all kinds to one network may be, for names can be made up too.
	allFactor = 50
)

// answerKind tells answers apart for the limiter. Of a kind that anybody can
// make up names for, all names of a zone are one.
type answerKind uint8

const (
	kindAnswer   answerKind = iota // for one name
	kindWildcard                   // of one zone, as the following
	kindReferral
	kindNoData
	kindNoName
	kindError // of the whole server
	kindAll
)

// limiter limits the answers per second, client network, kind, and name or
// zone, so that the server amplifies nothing for those who forge the source of
// their queries, and those in whose name they ask still get answers to others.
// It holds for each the time at which its allowance will be whole again.
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

// check takes one answer from the allowances of a client's network: /24 or /56.
// The name is that which was asked for or that of the zone, in any one form.
// This machine itself is not limited: nobody else can send from its addresses.
func (l *limiter) check(client netip.Addr, kind answerKind, name []byte, now time.Time) verdict {
	client = client.Unmap()
	if l == nil || client.IsLoopback() {
		return send
	}
	var buf [17 + 255]byte
	key := append(buf[:0], byte(kind))
	raw := client.As16()
	bytes := 7 // of an IPv6 address
	if client.Is4() {
		bytes = 15 // of an IPv4 address as one
	}
	key = append(key, raw[:bytes]...)
	network := len(key)
	if kind != kindError {
		key = append(key, name...)
	}
	v := l.spend(maphash.Bytes(l.seed, key), l.interval, now)
	if v == send {
		key[0] = byte(kindAll)
		v = l.spend(maphash.Bytes(l.seed, key[:network]), max(l.interval/allFactor, 1), now)
	}
	switch v {
	case drop:
		counted.dropped.Add(1)
	case sendTruncated:
		counted.truncated.Add(1)
	}
	return v
}

func (l *limiter) spend(key uint64, cost int64, now time.Time) verdict {
	slot := &l.slots[key%limiterSlots]
	at := now.UnixNano()
	for {
		held := slot.Load()
		old := held
		if old > at+l.burst {
			old = 0 // the clock was set back: nobody can owe more than the burst
		}
		next := max(old, at) + cost
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
