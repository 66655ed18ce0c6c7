package detect

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
)

// Known is what was found so far. It outlives detectors. The zero value knows
// nothing.
type Known struct {
	mu       sync.Mutex
	families [ipaddr.Families]known
	prefix   knownPrefix
}

// known is what is known of one family, and what was said of it in the log.
type known struct {
	Found
	said
	// sought is set once the addresses were looked for.
	sought bool
	// refused are the refusals of the last check.
	refused map[string]bool
	// due is when the sources are to be asked next. It is in the past while
	// they are being asked, so that a check that a reload cuts off is not lost.
	due time.Time
	// paces are how often each source was asked lately.
	paces []pace
	// repeat counts checks in which too few operators answered, repeated is when
	// it last did.
	repeat   quorum.Repeat
	repeated time.Time
}

// Found is what is known of the addresses of one family.
type Found struct {
	// Addrs are the addresses, sorted. None means that they are unknown.
	// Addresses that a later check did not find stay.
	Addrs []netip.Addr
	// Source is the name of the source that gave them, ConfirmedBy who vouches
	// for them.
	Source      string
	ConfirmedBy []string
	// Since is when they became these.
	Since time.Time
	// Network is what is known of the prefix, of IPv6 alone.
	Network Network
	Presence
	// Failure is why the last check that did not find the family did not,
	// FailedAt when that was.
	Failure  string
	FailedAt time.Time
}

// Network is what is known of the IPv6 prefix that this machine shares with
// others.
type Network struct {
	// Prefixes is the one that a source knows, or the addresses that were
	// found, as prefixes of 128 bits: nobody knows how many of these bits the
	// machines share. None means that the prefix is unknown. What a later
	// check did not find stays.
	Prefixes []netip.Prefix
	// Source is the name of the source that gave them.
	Source string
	// Configured is set if a person chose them.
	Configured bool
}

// Prefix is what is known of the prefix, and how it fares in the checks.
type Prefix struct {
	Network
	// Since is when it became this.
	Since time.Time
	Presence
	// Failure is why the last check that did not find it did not, FailedAt when
	// that was.
	Failure  string
	FailedAt time.Time
}

// knownPrefix is what is known of the prefix, and what was said of it in the
// log.
type knownPrefix struct {
	Prefix
	said
	// sought is set once it was looked for.
	sought bool
}

// Destruct implements caddy.Destructor.
func (*Known) Destruct() error { return nil }

// Family returns what is known of one family.
func (k *Known) Family(f ipaddr.Family) Found {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].Found
}

// Prefix returns what is known of the prefix.
func (k *Known) Prefix() Prefix {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.prefix.Prefix
}

// any reports whether an address of any family is known, or a prefix.
func (k *Known) any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.families[:], func(n known) bool { return n.any() })
}

// any reports whether addresses or the prefix are known.
func (f *Found) any() bool { return f.Addrs != nil || f.Network.Known() }

// same reports whether what is to be published is the same.
func (f *Found) same(other *Found) bool {
	return f.Source == other.Source && slices.Equal(f.Addrs, other.Addrs) && f.Network.equal(other.Network)
}

// Known reports whether the prefix is known.
func (n Network) Known() bool { return len(n.Prefixes) > 0 }

func (n Network) equal(other Network) bool {
	return n.Source == other.Source && n.Configured == other.Configured && slices.Equal(n.Prefixes, other.Prefixes)
}

// begin notes that the family is looked for from now on, unless it was before.
func (k *Known) begin(f ipaddr.Family, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := &k.families[f].Presence; p.Turned.IsZero() {
		p.Turned = now
	}
	if p := &k.prefix.Presence; f == ipaddr.V6 && p.Turned.IsZero() {
		p.Turned = now
	}
}

// neglects reports whether something is to be found that was never looked for,
// as after a reload that brings the first device.
func (k *Known) neglects(f ipaddr.Family, addrs, prefix bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return addrs && !k.families[f].sought || prefix && !k.prefix.sought
}

// seek notes what a check looks for.
func (k *Known) seek(f ipaddr.Family, addrs, prefix bool) {
	k.forget(f, addrs, prefix)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.families[f].sought = addrs
	k.prefix.sought = k.prefix.sought || prefix
}

// forget forgets what is not looked for any more: it may change unseen before it
// is again.
func (k *Known) forget(f ipaddr.Family, addrs, prefix bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &k.families[f]
	noAddrs, noPrefix := n.sought && !addrs, f == ipaddr.V6 && k.prefix.sought && !prefix
	if noAddrs {
		n.sought, n.Addrs, n.Source, n.ConfirmedBy, n.Since = false, nil, "", nil, time.Time{}
	}
	if noPrefix {
		k.prefix, n.Network = knownPrefix{}, Network{}
	}
	if (noAddrs || noPrefix) && !addrs && !prefix {
		n.Found, n.said, n.due = Found{}, said{}, time.Time{}
	}
}

// due returns when the sources are to be asked next.
func (k *Known) due(f ipaddr.Family) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].due
}

func (k *Known) setDue(f ipaddr.Family, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.families[f].due = at
}

// take counts a question to a source, or returns how long that must wait.
func (k *Known) take(source int, f ipaddr.Family, l limit, now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &k.families[f]
	for len(n.paces) <= source {
		n.paces = append(n.paces, pace{})
	}
	return n.paces[source].take(l, now)
}

// set notes addresses that were found. It returns those that were known before,
// and the episode of failures that they end.
func (k *Known) set(f ipaddr.Family, addrs []netip.Addr, source string, confirmedBy []string, now time.Time) (before []netip.Addr, ended episode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &k.families[f]
	before, ended = n.Addrs, n.end(now)
	n.Source, n.ConfirmedBy, n.repeat = source, confirmedBy, quorum.Repeat{}
	// While nothing changes, all who hold the addresses share one slice.
	if !slices.Equal(before, addrs) {
		n.Addrs, n.Since = addrs, now
	}
	return before, ended
}

// end ends the episode of failures with a check that found the family.
func (n *known) end(now time.Time) (ended episode) {
	ended = n.episode
	ended.lost, ended.lasted = n.hit(now)
	n.episode = episode{}
	return ended
}

// setPrefix notes the prefix. It returns what was known before, and the episode
// of failures that ends.
func (k *Known) setPrefix(n Network, now time.Time) (before Network, ended episode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, ended = k.prefix.Network, k.prefix.episode
	k.prefix.hit(now)
	k.prefix.episode = episode{}
	// While nothing changes, all who hold the prefixes share one slice.
	if !n.equal(before) {
		k.prefix.Network, k.prefix.Since = n, now
		k.families[ipaddr.V6].Network = n
	}
	return before, ended
}

// endFamily notes that all is found that was looked for of a family.
func (k *Known) endFamily(f ipaddr.Family, now time.Time) episode {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].end(now)
}

func (k *Known) failPrefix(problems []error, interval time.Duration, now time.Time) complaint {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.prefix.Known()
	lost := k.prefix.miss(known, interval, now)
	k.prefix.Failure, k.prefix.FailedAt = oneLine(errors.Join(problems...)), now
	return k.prefix.complain(newTrouble(problems), !known, !known, lost, now)
}

// doubted notes doubts about the addresses, and reports whether these are worth
// a line.
func (k *Known) doubted(f ipaddr.Family, now time.Time, changed bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].doubt(changed, now)
}

func (k *Known) undoubted(f ipaddr.Family) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.families[f].doubted = time.Time{}
}

// repeatAfter is when to repeat a check in which too few operators answered.
const repeatAfter = 10 * time.Second

// again counts a check in which too few operators answered, and said just this
// address. Of checks in quick succession, as while an interface flaps, only the
// first counts: the others may well be back soon. The zero Addr ends the row.
func (k *Known) again(f ipaddr.Family, addr netip.Addr, by []string, now time.Time) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &k.families[f]
	if !addr.IsValid() {
		n.repeat = quorum.Repeat{}
		return 0
	}
	if times := n.repeat.Times(addr, by); times > 0 && now.Sub(n.repeated) < repeatAfter {
		return times
	}
	n.repeated = now
	return n.repeat.Again(addr, by)
}

func (k *Known) setRefused(f ipaddr.Family, refused map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.families[f].refused = refused
}

func (k *Known) wasRefused(f ipaddr.Family, key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.families[f].refused[key]
}
