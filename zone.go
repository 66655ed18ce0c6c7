package dynamicdns

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = 10 * time.Minute

	// An accepted write that the reads do not show is looked at after
	// firstLook, then ever later up to maxLook, and is written again only
	// after rewriteAfter: readers that go through a resolver lag by the TTL.
	firstLook    = 30 * time.Second
	maxLook      = time.Hour
	rewriteAfter = time.Hour
)

// random gives numbers in [0,1). Tests put in a source that can be repeated.
var random = rand.Float64

// zone is what is known of one zone at one provider configuration, and the
// place where its keepers take turns. It outlives a configuration, so that a
// reload forgets neither a failed write nor what was read.
type zone struct {
	name string
	// turn is held by the keeper that is at work on the zone.
	turn chan struct{}

	mu sync.Mutex
	// keepers are those of the configurations that are running; more than
	// one only while a reload goes on. The last one owns the zone.
	keepers []*keeper
	// claims are the last wishes, whichever keeper brought them.
	claims []claim
	// view is what the provider last showed, or accepted where it cannot
	// show anything. It is replaced, never changed.
	view zoneView
	// stale means that view must be read anew before it is trusted.
	stale bool
	// todo means that the wish changed since the last round.
	todo bool
	// asker is closed once the zone was verified for those who asked for it.
	asker    chan struct{}
	verified time.Time
	// spread is this period's share of the verify interval, so that zones
	// drift apart.
	spread     float64
	asked      map[rrKey]time.Duration
	unverified map[rrKey]acceptance
	// prompt means that the provider was last seen to show a write at once.
	prompt   bool
	looks    int
	nextLook time.Time
	// refused are the RRsets that failed alone; they are kept out of the
	// batch in which they would fail the others.
	refused  map[rrKey]bool
	failed   map[rrKey]string
	left     []leftAlone
	changed  map[rrKey]time.Time
	failures int
	lastErr  string
	// hint is the advice that goes with the error, once it was looked for.
	hint     *string
	failedAt time.Time
	nextTry  time.Time
	// failure is the last failure, also once it is over.
	failure   string
	failureAt time.Time
	// synced is when all was last found to be as wished.
	synced time.Time
	// hung is open while a call that was given up has not returned.
	hung      <-chan struct{}
	hungSince time.Time
}

// acceptance is a write that the provider accepted and does not show yet.
type acceptance struct {
	// from is what was there before, as far as is known.
	from []netip.Addr
	to   []netip.Addr
	// source is the IP source of the addresses.
	source string
	at     time.Time
}

// lags reports whether what is shown may be older than the write. Once it
// has an address that came with the write it is not, and what still differs
// is the provider's doing.
func (a acceptance) lags(shown []netip.Addr) bool {
	if slices.Equal(shown, a.from) {
		return true
	}
	added := ipaddr.Without(a.to, a.from)
	return len(shown) > 0 && len(added) > 0 && len(ipaddr.Without(added, shown)) == len(added)
}

func newZone(name string) *zone {
	return &zone{
		name:       name,
		turn:       make(chan struct{}, 1),
		stale:      true,
		spread:     1,
		asked:      make(map[rrKey]time.Duration),
		unverified: make(map[rrKey]acceptance),
		refused:    make(map[rrKey]bool),
		failed:     make(map[rrKey]string),
		changed:    make(map[rrKey]time.Time),
	}
}

// Destruct implements caddy.Destructor.
func (z *zone) Destruct() error { return nil }

// attach makes k the zone's owner. The keeper of an older configuration
// falls silent, so that it cannot undo what the new one does.
func (z *zone) attach(k *keeper) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.keepers = append(z.keepers, k)
	z.adopt(k.claims)
}

// detach gives the zone back to the keeper that owned it before, which
// matters when a new configuration fails to start after all.
func (z *zone) detach(k *keeper) {
	z.mu.Lock()
	defer z.mu.Unlock()
	owned := z.owner() == k
	z.keepers = slices.DeleteFunc(z.keepers, func(other *keeper) bool { return other == k })
	if heir := z.owner(); owned && heir != nil {
		z.adopt(heir.claims)
		heir.nudge()
	}
}

func (z *zone) owner() *keeper {
	if len(z.keepers) == 0 {
		return nil
	}
	return z.keepers[len(z.keepers)-1]
}

// adopt takes the claims as the wish from now on. The caller holds z.mu.
func (z *zone) adopt(claims []claim) {
	same := sameNames(z.claims, claims)
	switch {
	case !same:
		z.stale, z.todo = true, true
		z.forgiveFailures()
		z.forgetOthers(claims)
	case wishChanged(z.claims, claims):
		z.todo = true
		z.forgiveFailures()
	}
	old := z.claims
	z.claims = slices.Clone(claims)
	for i := range z.claims {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			// What a new configuration does not know yet still holds.
			if same && len(claims[i].addrs[f]) == 0 {
				z.claims[i].addrs[f], z.claims[i].source[f] = old[i].addrs[f], old[i].source[f]
			}
		}
	}
	for key, accepted := range z.unverified {
		if want := wants(claims, key); len(want) > 0 && !slices.Equal(want, accepted.to) {
			z.looks = 0
		}
	}
}

// wishChanged reports whether an address set of new differs from that of old.
// A family that became unknown is no change: what was wished for still holds.
func wishChanged(old, new []claim) bool {
	for i := range new {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if len(new[i].addrs[f]) > 0 && !slices.Equal(old[i].addrs[f], new[i].addrs[f]) {
				return true
			}
		}
	}
	return false
}

// forgiveFailures ends the backoff: what failed before says little of a new
// wish.
func (z *zone) forgiveFailures() {
	z.nextTry, z.failures = time.Time{}, 0
}

// forgetOthers drops what is remembered of RRsets that nobody claims any
// more.
func (z *zone) forgetOthers(claims []claim) {
	gone := func(key rrKey) bool {
		return !isClaimed(claims, key)
	}
	deleteKeys(z.asked, gone)
	deleteKeys(z.unverified, gone)
	deleteKeys(z.refused, gone)
	deleteKeys(z.failed, gone)
	deleteKeys(z.changed, gone)
}

func deleteKeys[V any](m map[rrKey]V, gone func(rrKey) bool) {
	for key := range m {
		if gone(key) {
			delete(m, key)
		}
	}
}

// due returns when k has work to do, and false for never. The caller holds
// z.mu.
func (z *zone) due(k *keeper) (time.Time, bool) {
	if z.owner() != k || !anyAddrs(z.claims) {
		return time.Time{}, false
	}
	if z.asker != nil {
		return time.Time{}, true
	}
	if z.failures > 0 {
		return z.nextTry, true
	}
	if z.todo || z.stale {
		return time.Time{}, true
	}
	var next time.Time
	if k.provider.getter != nil {
		next = z.verifyAt(k.verifyInterval)
	}
	if len(z.unverified) > 0 && (next.IsZero() || z.nextLook.Before(next)) {
		next = z.nextLook
	}
	return next, !next.IsZero()
}

func (z *zone) verifyAt(interval time.Duration) time.Time {
	return z.verified.Add(time.Duration(z.spread * float64(interval)))
}

func anyAddrs(claims []claim) bool {
	return slices.ContainsFunc(claims, func(c claim) bool {
		return len(c.addrs[ipaddr.V4]) > 0 || len(c.addrs[ipaddr.V6]) > 0
	})
}

// waitHung waits for a call that was given up to return, so that two writes
// never overlap. It reports false if ctx ended first.
func (z *zone) waitHung(ctx context.Context) bool {
	z.mu.Lock()
	hung := z.hung
	z.mu.Unlock()
	if hung == nil {
		return true
	}
	select {
	case <-hung:
	case <-ctx.Done():
		return false
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hung = nil
	return true
}

// shown returns what was last read at the key.
func (z *zone) shown(key rrKey) rrset {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.view.sets[key]
}

// sawAll stores what the provider was just read to hold. It returns the
// earlier writes that have become visible.
func (z *zone) sawAll(view zoneView, now time.Time) (appeared []change) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.view, z.stale, z.verified = view, false, now
	z.spread = 0.9 + 0.2*random()
	for key, accepted := range z.unverified {
		if slices.Equal(view.sets[key].addrs, accepted.to) {
			delete(z.unverified, key)
			z.changed[key] = now
			z.prompt = false
			appeared = append(appeared, change{
				key: key, from: accepted.from, to: accepted.to,
				ttl: view.sets[key].ttl, source: accepted.source,
			})
		}
	}
	if len(z.unverified) == 0 {
		z.looks = 0
	}
	return appeared
}

// inSync reports whether all addresses are as wished. The caller holds z.mu.
func (z *zone) inSync() bool {
	for i := range z.claims {
		c := &z.claims[i]
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			// Nobody knows whether what is published of the family is right.
			if c.unknown(f) != "" && slices.ContainsFunc(c.names, func(name string) bool {
				return c.manages(f, len(z.view.sets[rrKey{name, f}].addrs) > 0)
			}) {
				return false
			}
		}
	}
	p := makePlan(z.claims, z.view, z.asked)
	return !slices.ContainsFunc(p.changes, func(c change) bool { return !c.onlyTTL }) &&
		!slices.ContainsFunc(p.leftAlone, func(l leftAlone) bool { return l.blocked })
}

// backoff returns the pause after the given number of failures in a row: a
// random part of 5s doubling to 10min, so that zones that fail together do
// not come back together.
func backoff(failures int) time.Duration {
	d := maxBackoff
	if shift := failures - 1; shift < 7 {
		d = min(maxBackoff, firstBackoff<<shift)
	}
	return time.Second + time.Duration(random()*float64(d-time.Second))
}

// lookPause returns the pause before an unverified write is looked at again.
func lookPause(looks int) time.Duration {
	if looks >= 7 {
		return maxLook
	}
	return min(maxLook, firstLook<<looks)
}
