package dynamicdns

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// defaultTTL is what a new record gets where no TTL is configured, and an
// existing one that reads as having none. Route 53 takes a TTL of 0 at its
// word, so it is never sent.
const defaultTTL = 5 * time.Minute

// rrKey identifies an RRset within a zone.
type rrKey struct {
	name   string
	family ipaddr.Family
}

func (k rrKey) String() string { return k.name + " " + k.family.RRType() }

// rrset is an address RRset as a provider shows it: its addresses sorted and
// each once.
type rrset struct {
	addrs []netip.Addr
	ttl   time.Duration
	// twice is set where an address is there more than once.
	twice bool
}

// zoneView is what is known of the names of a zone that are wished for.
type zoneView struct {
	sets   map[rrKey]rrset
	cnames map[string]string
}

// claim is what one group of the configuration wishes for in a zone: the
// same addresses for each of its names.
type claim struct {
	// names are relative to the zone, canonical and sorted. No other claim on
	// the zone has the same name and family.
	names []string
	// detection names the sources and the filter that the addresses come
	// from: those of others are no longer to be published.
	detection string
	// enabled are the families that are managed.
	enabled [ipaddr.Families]bool
	// addrs are sorted. No address of a family means that the RRsets of that
	// family are left alone, for it is disabled or unknown.
	addrs      [ipaddr.Families][]netip.Addr
	source     [ipaddr.Families]string
	ttl        time.Duration
	updateOnly bool
}

// change is one RRset to write whole.
type change struct {
	key    rrKey
	from   []netip.Addr
	to     []netip.Addr
	ttl    time.Duration
	source string
	// twice is set where several records have the same address.
	twice bool
	// before is what an earlier write was accepted for, if it does not show.
	before []netip.Addr
	// onlyTTL is set where the addresses are right already.
	onlyTTL bool
}

// missing returns the wished addresses that are not there.
func (c change) missing() []netip.Addr { return ipaddr.Without(c.to, c.from) }

// stale returns the addresses that are there and not wished.
func (c change) stale() []netip.Addr { return ipaddr.Without(c.from, c.to) }

// onlyAdds reports whether the change leaves all that exists as it is.
func (c change) onlyAdds() bool {
	return len(c.from) > 0 && !c.onlyTTL && len(c.stale()) == 0
}

// leftAlone is a wished RRset that must not be written, and why.
type leftAlone struct {
	key    rrKey
	reason string
	// blocked is set where something is in the way, so that the wish cannot
	// come true; otherwise the configuration asks for the restraint.
	blocked bool
}

// plan is what must happen for a zone to be as wished.
type plan struct {
	changes   []change
	leftAlone []leftAlone
}

// makePlan compares what is wished with what is there. It names only RRsets
// that are wished for. For an RRset of asked, the TTL there was asked for
// before: where the provider then made another of it, the TTL is no reason to
// write.
func makePlan(claims []claim, view zoneView, asked map[rrKey]time.Duration) plan {
	var p plan
	for i := range claims {
		c := &claims[i]
		for _, name := range c.names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if len(c.addrs[f]) > 0 {
					p.add(c, rrKey{name, f}, view, asked)
				}
			}
		}
	}
	return p
}

func (p *plan) add(c *claim, key rrKey, view zoneView, asked map[rrKey]time.Duration) {
	if len(view.cnames) > 0 {
		if target, ok := view.cnames[key.name]; ok {
			p.leftAlone = append(p.leftAlone, leftAlone{
				key:     key,
				reason:  fmt.Sprintf("a CNAME record to %s is in the way; delete it, or take the name out of the configuration", target),
				blocked: true,
			})
			return
		}
	}
	there, exists := view.sets[key]
	if !exists && c.updateOnly {
		p.leftAlone = append(p.leftAlone, leftAlone{
			key:    key,
			reason: "no such record exists, and update_only creates none",
		})
		return
	}
	wanted := c.addrs[key.family]
	same := slices.Equal(there.addrs, wanted)
	ttl := there.ttl
	if c.ttl > 0 {
		ttl = c.ttl
	}
	if ttl <= 0 {
		ttl = defaultTTL
	}
	if same && (c.ttl <= 0 || there.ttl == c.ttl || asked[key] == c.ttl) {
		return
	}
	p.changes = append(p.changes, change{
		key:     key,
		from:    there.addrs,
		to:      wanted,
		ttl:     ttl,
		source:  c.source[key.family],
		twice:   there.twice,
		onlyTTL: same,
	})
}

// sameNames reports whether two lists of claims are about the same RRsets
// with the same settings and sources, whatever the addresses now.
func sameNames(a, b []claim) bool {
	return slices.EqualFunc(a, b, func(a, b claim) bool {
		return a.detection == b.detection && a.ttl == b.ttl && a.updateOnly == b.updateOnly && a.enabled == b.enabled && slices.Equal(a.names, b.names)
	})
}

// wants returns the addresses that the claims wish for at the key.
func wants(claims []claim, key rrKey) []netip.Addr {
	for i := range claims {
		if len(claims[i].addrs[key.family]) == 0 {
			continue
		}
		if _, ok := slices.BinarySearch(claims[i].names, key.name); ok {
			return claims[i].addrs[key.family]
		}
	}
	return nil
}

// claimed returns the claims' own copy of the name, if they have it.
func claimed(claims []claim, name string) (string, bool) {
	for i := range claims {
		if at, ok := slices.BinarySearch(claims[i].names, name); ok {
			return claims[i].names[at], true
		}
	}
	return "", false
}

// isClaimed reports whether an RRset is managed.
func isClaimed(claims []claim, key rrKey) bool {
	return slices.ContainsFunc(claims, func(c claim) bool {
		_, ok := slices.BinarySearch(c.names, key.name)
		return ok && c.enabled[key.family]
	})
}

// updatesOnly reports whether some of the names must not be created.
func updatesOnly(claims []claim) bool {
	return slices.ContainsFunc(claims, func(c claim) bool { return c.updateOnly })
}
