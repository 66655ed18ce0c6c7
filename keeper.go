package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// freshFor is how old what was read may be when it is written upon, for
// others may have put a CNAME there since. With update_only it is always read
// anew: what was deleted meanwhile must not be created.
const freshFor = time.Minute

// keeper keeps one zone as the configuration that it belongs to wishes. It
// reads, plans, writes and reads back, and comes again after a failure or
// when it is time to verify.
type keeper struct {
	zone           *zone
	key            poolKey
	provider       *provider
	memory         memory
	verifyInterval time.Duration
	witness        *witness
	logger         *zap.Logger
	wake           chan struct{}

	// claims is guarded by zone.mu.
	claims []claim
}

func newKeeper(z *zone, key poolKey, p *provider, m memory, verifyInterval time.Duration, claims []claim, logger *zap.Logger) *keeper {
	return &keeper{
		zone:           z,
		key:            key,
		provider:       p,
		memory:         m,
		verifyInterval: verifyInterval,
		logger:         logger.With(zap.String("zone", strings.TrimSuffix(z.name, ".")), zap.String("provider", p.name)),
		wake:           make(chan struct{}, 1),
		claims:         claims,
	}
}

// wish sets the addresses of one family in the i-th claim. The newest wish
// replaces the one before, whether or not that came true.
func (k *keeper) wish(i int, f ipaddr.Family, addrs []netip.Addr, source string) {
	k.zone.mu.Lock()
	defer k.zone.mu.Unlock()
	c := &k.claims[i]
	same := slices.Equal(c.addrs[f], addrs)
	c.addrs[f], c.source[f] = addrs, source
	if !same && k.zone.owner() == k {
		k.zone.adopt(k.claims)
		k.nudge()
	}
}

func (k *keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// verify has the zone verified now, also where it would wait after a failure.
// The channel is closed at the end of a round that began after this call.
func (k *keeper) verify() <-chan struct{} {
	k.zone.mu.Lock()
	defer k.zone.mu.Unlock()
	if k.zone.owner() != k || !anyAddrs(k.zone.claims) {
		done := make(chan struct{})
		close(done)
		return done
	}
	if k.zone.asker == nil {
		k.zone.asker = make(chan struct{})
		k.nudge()
	}
	return k.zone.asker
}

// run keeps the zone until ctx ends.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		k.zone.mu.Lock()
		next, ok := k.zone.due(k)
		k.zone.mu.Unlock()
		timer.Stop()
		if ok {
			pause := time.Until(next)
			if pause <= 0 {
				k.takeTurn(ctx)
				continue
			}
			timer.Reset(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
			continue
		case <-timer.C:
			k.takeTurn(ctx)
		}
	}
}

// takeTurn does one round, once no other keeper and no call that was given
// up is busy with the zone.
func (k *keeper) takeTurn(ctx context.Context) {
	select {
	case k.zone.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-k.zone.turn }()
	if !k.zone.waitHung(ctx) {
		return
	}
	k.round(ctx)
}

// round makes the zone as wished, as far as it goes today.
func (k *keeper) round(ctx context.Context) {
	z := k.zone
	z.mu.Lock()
	if _, ok := z.due(k); !ok {
		z.mu.Unlock()
		return
	}
	claims := slices.Clone(z.claims)
	before := z.view
	now := time.Now()
	verified := z.asker
	z.asker = nil
	if verified != nil {
		defer close(verified)
	}
	mustRead := k.provider.getter != nil && (z.stale || verified != nil || z.failures > 0 ||
		z.todo && (now.Sub(z.verified) > freshFor || updatesOnly(claims)) ||
		!now.Before(z.verifyAt(k.verifyInterval)) ||
		len(z.unverified) > 0 && !now.Before(z.nextLook))
	mustLoad := k.provider.getter == nil && z.stale
	z.todo = false
	z.mu.Unlock()

	var readErr error
	switch {
	case mustRead:
		readErr = k.read(ctx, claims)
	case mustLoad:
		k.recall(ctx, claims)
	}
	if ctx.Err() != nil {
		k.again()
		return
	}

	w := k.newWriting(claims, readErr != nil)
	if !errors.Is(readErr, errAbandoned) {
		w.run(ctx)
	}
	if ctx.Err() != nil {
		k.again()
		return
	}
	if readErr != nil {
		readErr = k.explain(ctx, readErr)
	}
	for key, err := range w.errs {
		w.errs[key] = k.explain(ctx, err)
	}
	if ctx.Err() != nil {
		k.again()
		return
	}
	k.report(before, w)
	k.finish(errors.Join(readErr, w.readErr), w.errs, w.changes)
}

// again makes the next keeper of the zone start over, for this one was
// stopped in the middle.
func (k *keeper) again() {
	k.zone.mu.Lock()
	defer k.zone.mu.Unlock()
	k.zone.todo = true
	if heir := k.zone.owner(); heir != nil {
		heir.nudge()
	}
}

// call runs fn against the provider and notes a call that did not return.
func (k *keeper) call(ctx context.Context, write bool, fn func(context.Context) error) error {
	done, err := k.provider.call(ctx, write, fn)
	if errors.Is(err, errAbandoned) {
		k.zone.mu.Lock()
		k.zone.hung, k.zone.hungSince = done, time.Now()
		k.zone.stale = true
		k.zone.mu.Unlock()
		k.outlive(done)
	}
	return err
}

// outlive keeps the zone's state until a call that was given up has returned,
// also when no configuration is left that has the zone, so that one which has
// it again does not start a second call beside it.
func (k *keeper) outlive(done <-chan struct{}) {
	_, _, err := pool.LoadOrNew(k.key, func() (caddy.Destructor, error) { return k.zone, nil })
	if err != nil {
		return
	}
	go func() {
		<-done
		_, _ = pool.Delete(k.key)
	}()
}

// fetch returns what the provider holds of the claimed names.
func (k *keeper) fetch(ctx context.Context, claims []claim) (zoneView, error) {
	var view zoneView
	err := k.call(ctx, false, func(ctx context.Context) error {
		seen, err := k.provider.read(ctx, k.zone.name, func(name string) (string, bool) {
			return claimed(claims, name)
		})
		view = seen
		return err
	})
	if err != nil {
		return zoneView{}, fmt.Errorf("reading records: %w", err)
	}
	return view, nil
}

// read stores what the provider holds of the claimed names.
func (k *keeper) read(ctx context.Context, claims []claim) error {
	view, err := k.fetch(ctx, claims)
	if err != nil {
		return err
	}
	share(view, claims)
	appeared := k.zone.sawAll(view, time.Now())
	for _, c := range appeared {
		k.logger.Info("DNS record shows the change that was accepted before",
			zap.String("name", c.key.name), zap.String("type", c.key.family.RRType()),
			zap.Stringers("from", c.from), zap.Stringers("to", c.to),
			zap.String("source", c.source))
	}
	k.witness.recordsChanged(k.zone.name, k.provider.name, appeared)
	return nil
}

// share lets RRsets that are as wished use the wish's own slice, which at
// thousands of names is most of what a zone costs at rest.
func share(view zoneView, claims []claim) {
	for i := range claims {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			for key, set := range view.sets {
				if key.family == f && slices.Equal(set.addrs, claims[i].addrs[f]) {
					set.addrs = claims[i].addrs[f]
					view.sets[key] = set
				}
			}
		}
	}
}

// recall loads what a provider that cannot be read last accepted of what is
// claimed. The rest is forgotten: nobody knows what becomes of it.
func (k *keeper) recall(ctx context.Context, claims []claim) {
	view, err := k.memory.load(ctx, k.provider.name, k.zone.name)
	if err != nil {
		k.logger.Warn("cannot tell what was written before; writing once more", zap.Error(err))
	}
	all := len(view.sets)
	deleteKeys(view.sets, func(key rrKey) bool { return !isClaimed(claims, key) })
	if len(view.sets) < all {
		if err := k.memory.store(ctx, k.provider.name, k.zone.name, view); err != nil {
			k.logger.Warn("cannot forget records that are no longer managed", zap.Error(err))
		}
	}
	k.zone.mu.Lock()
	k.zone.view, k.zone.stale = view, false
	k.zone.mu.Unlock()
}

// report says what came true, what was left alone, and what is not yet to be
// seen.
func (k *keeper) report(before zoneView, w *writing) {
	for _, c := range w.confirmed {
		if c.onlyTTL {
			k.logger.Info("updated TTL of DNS record",
				zap.String("name", c.key.name), zap.String("type", c.key.family.RRType()),
				zap.Duration("ttl", c.ttl))
			continue
		}
		message := "updated DNS record"
		switch {
		case slices.Equal(before.sets[c.key].addrs, c.to):
			message = "repaired drift: the DNS record had been changed"
		case len(c.from) == 0:
			message = "created DNS record"
		}
		k.logger.Info(message,
			zap.String("name", c.key.name), zap.String("type", c.key.family.RRType()),
			zap.Stringers("from", c.from), zap.Stringers("to", c.to),
			zap.String("source", c.source))
	}
	k.witness.recordsChanged(k.zone.name, k.provider.name, w.confirmed)
	if len(w.waiting) > 0 {
		k.logger.Warn("the provider accepted changes but does not show them yet; looking again",
			zap.Strings("records", describe(w.waiting)), zap.Duration("in", firstLook))
	}

	z := k.zone
	z.mu.Lock()
	known := make(map[leftAlone]bool, len(z.left))
	for _, l := range z.left {
		known[l] = true
	}
	z.left = w.left
	z.mu.Unlock()
	for _, l := range w.left {
		if known[l] {
			continue
		}
		log := k.logger.Info
		if l.blocked {
			log = k.logger.Error
		}
		log("leaving DNS record alone: "+l.reason,
			zap.String("name", l.key.name), zap.String("type", l.key.family.RRType()))
	}
}

// finish decides when to come again.
func (k *keeper) finish(readErr error, errs map[rrKey]error, changes []change) {
	z := k.zone
	z.mu.Lock()
	defer z.mu.Unlock()
	clear(z.failed)
	for key, err := range errs {
		z.failed[key] = err.Error()
	}
	if len(z.unverified) > 0 && !time.Now().Before(z.nextLook) {
		z.nextLook = time.Now().Add(lookPause(z.looks))
		z.looks++
	}
	err := readErr
	if len(errs) > 0 {
		err = errors.Join(distinct(errs, changes), readErr)
	}
	if err == nil {
		if z.lastErr != "" {
			after := time.Since(z.failedAt).Round(time.Second)
			k.logger.Info("working again", zap.Duration("after", after))
			k.witness.recovered(z.name, k.provider.name, after)
		}
		z.failures, z.lastErr, z.hint = 0, "", nil
		if z.inSync() {
			z.synced = time.Now()
		}
		return
	}
	z.failures++
	pause := backoff(z.failures)
	z.nextTry = time.Now().Add(pause)
	if z.lastErr == "" {
		z.failedAt = time.Now()
	}
	same := withoutNumbers(err.Error()) == withoutNumbers(z.lastErr)
	z.lastErr = err.Error()
	z.failure, z.failureAt = z.lastErr, time.Now()
	if !same {
		k.witness.failed(z.name, k.provider.name, err, z.failures)
	}
	log := k.logger.Error
	if same && bits.OnesCount(uint(z.failures)) > 1 {
		log = k.logger.Debug
	}
	message := "updating DNS failed"
	if len(errs) == 0 {
		message = "reading DNS failed"
	}
	failed := slices.DeleteFunc(slices.Clone(changes), func(c change) bool { return errs[c.key] == nil })
	log(message+"; retrying in "+pause.Round(time.Second).String(),
		zap.Strings("records", describe(failed)), zap.Int("attempt", z.failures), zap.Error(err))
}

// distinct joins the errors, each message once, in the order of the changes.
func distinct(errs map[rrKey]error, changes []change) error {
	var out []error
	seen := make(map[string]bool)
	for _, c := range changes {
		if err := errs[c.key]; err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			out = append(out, err)
		}
	}
	return errors.Join(out...)
}

// numbers are what differs between errors that are the same: ports, times,
// and the IDs of requests.
var numbers = regexp.MustCompile(`[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*`)

// withoutNumbers makes errors comparable.
func withoutNumbers(s string) string { return numbers.ReplaceAllString(s, "") }
