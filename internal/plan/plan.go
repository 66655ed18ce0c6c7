package plan

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// DefaultTTL is what a new record gets where no TTL is configured, and an
// existing one that reads as having none. Route 53 takes a TTL of 0 at its
// word, so it is never sent.
const DefaultTTL = 5 * time.Minute

// Change is one RRset to write whole.
type Change struct {
	Key  Key
	From []netip.Addr
	// To is empty only where all addresses are taken away.
	To     []netip.Addr
	TTL    time.Duration
	Source string
	// OnlyTTL is set where the addresses are right already.
	OnlyTTL bool
}

// Missing returns the desired addresses that are not there.
func (c *Change) Missing() []netip.Addr { return ipaddr.Without(c.To, c.From) }

// Stale returns the addresses that are there and not desired.
func (c *Change) Stale() []netip.Addr { return ipaddr.Without(c.From, c.To) }

// Reason says why the change is to be made.
func (c *Change) Reason() string {
	switch {
	case c.OnlyTTL:
		return "the TTL differs"
	case len(c.To) == 0:
		return "the addresses are no longer ours"
	case len(c.From) == 0:
		return "there is no such record"
	}
	return "the addresses differ"
}

// Write is what one call tells a provider of an RRset.
type Write struct {
	Key   Key
	Addrs []netip.Addr
	TTL   time.Duration
}

// LeftAlone is an RRset that is not as desired and must not be written.
type LeftAlone struct {
	Key    Key
	Reason string
	// Blocked is set where something is in the way, so that the RRset cannot
	// become as desired; otherwise the configuration asks for the restraint.
	Blocked bool
}

// Plan is what must happen for a zone to be as desired.
type Plan struct {
	Changes   []Change
	LeftAlone []LeftAlone
}

// Make compares what is desired with what was observed. It names only RRsets
// of which something is desired, in the order of desired.
func Make(desired iter.Seq2[Key, *Desired], there Observed) Plan {
	var p Plan
	for key, d := range desired {
		set := there.Sets[key]
		switch decision := Decide(key, d, &set, there.At(key)); decision.Verdict {
		case Differs:
			p.Changes = append(p.Changes, decision.Change)
		case Restrained, Blocked:
			p.LeftAlone = append(p.LeftAlone, LeftAlone{key, decision.Reason, decision.Verdict == Blocked})
		}
	}
	return p
}

// Verdict sums up a decision.
type Verdict uint8

const (
	// Right means that the RRset is as desired, or that nothing is desired.
	Right Verdict = iota
	// Differs means that the RRset is to be changed.
	Differs
	// Restrained means that the configuration asks to leave it as it is.
	Restrained
	// Blocked means that something is in the way.
	Blocked
)

// Decision is what is to become of one RRset.
type Decision struct {
	Verdict Verdict
	// Reason is given unless the verdict is Right or Differs.
	Reason string
	// Change is given if the verdict is Differs.
	Change Change
}

// Decide compares what is desired of an RRset with what is there. What others
// have is not taken away, either.
func Decide(key Key, d *Desired, there *RRset, inTheWay Obstacle) Decision {
	switch {
	case d.State == Unknown, d.State == None && inTheWay.Theirs:
		return Decision{}
	case d.State == None:
		rest := ipaddr.Without(there.Addrs, d.Addrs)
		if len(rest) == len(there.Addrs) {
			return Decision{}
		}
		return Decision{Verdict: Differs, Change: Change{Key: key, From: there.Addrs, To: rest, TTL: ttlFor(d, there), Source: d.Source}}
	}
	if inTheWay.Reason != "" {
		return Decision{Verdict: Blocked, Reason: inTheWay.Reason}
	}
	if len(there.Addrs) == 0 && d.UpdateOnly {
		return Decision{Verdict: Restrained, Reason: "no such record exists, and update_only creates none"}
	}
	same := slices.Equal(there.Addrs, d.Addrs)
	if same && (d.TTL <= 0 || there.TTL == d.TTL) {
		return Decision{}
	}
	return Decision{Verdict: Differs, Change: Change{
		Key: key, From: there.Addrs, To: d.Addrs, TTL: ttlFor(d, there), Source: d.Source, OnlyTTL: same,
	}}
}

func ttlFor(d *Desired, there *RRset) time.Duration {
	ttl := cmp.Or(max(d.TTL, 0), there.TTL)
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	return ttl
}
