package dynamicdns

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func newChange(c change) status.Change {
	reason := "the addresses differ"
	switch {
	case c.onlyTTL:
		reason = "the TTL differs"
	case len(c.from) == 0:
		reason = "there is no such record"
	}
	return status.Change{
		Name: c.key.name, Type: c.key.family.RRType(), Reason: reason,
		From: c.from, To: c.to, TTL: c.ttl.Seconds(), Source: c.source,
	}
}

// dryRun reads all zones at once and says what would change.
func (a *App) dryRun(ctx context.Context) *status.Plan {
	p := &status.Plan{Groups: []status.GroupStatus{}, Zones: make([]status.ZonePlan, len(a.keepers))}
	var wg sync.WaitGroup
	for i, k := range a.keepers {
		wg.Go(func() { p.Zones[i] = k.dryRun(ctx) })
	}
	wg.Wait()
	p.Time = stamp(time.Now())
	for _, g := range a.groups {
		p.Groups = append(p.Groups, g.status())
	}
	return p
}

// dryRun reads the zone, in turn with the rounds, and leaves what the keeper
// knows as it is: a difference that is seen here must still be news to it.
func (k *keeper) dryRun(ctx context.Context) status.ZonePlan {
	p := status.ZonePlan{
		Zone: dnsname.Display(k.zone.name), Provider: k.provider.name,
		Changes: []status.Change{}, LeftAlone: []status.LeftAlone{},
	}
	select {
	case k.zone.turn <- struct{}{}:
	case <-ctx.Done():
		p.Error = "the zone is still being read or written"
		return p
	}
	defer func() { <-k.zone.turn }()
	if !k.zone.waitHung(ctx) {
		p.Error = "the provider has not returned from an earlier call"
		return p
	}
	k.zone.mu.Lock()
	claims := slices.Clone(k.wishes())
	k.zone.mu.Unlock()
	if !anyAddrs(claims) {
		p.Error = "no address is known"
		return p
	}
	view, err := k.look(ctx, claims)
	if err != nil {
		p.Error = oneLine(err.Error())
		return p
	}
	k.zone.mu.Lock()
	defer k.zone.mu.Unlock()
	fillPlan(&p, k.zone, claims, view)
	return p
}

// look returns what the provider holds now or, where it cannot be read, what
// it accepted.
func (k *keeper) look(ctx context.Context, claims []claim) (zoneView, error) {
	if k.provider.getter != nil {
		return k.fetch(ctx, claims)
	}
	k.zone.mu.Lock()
	view, stale := k.zone.view, k.zone.stale
	k.zone.mu.Unlock()
	if !stale {
		return view, nil
	}
	return k.memory.load(ctx, k.provider.name, k.zone.name)
}

// fillPlan compares. The caller holds z.mu.
func fillPlan(p *status.ZonePlan, z *zone, claims []claim, view zoneView) {
	plan := makePlan(claims, view, z.asked)
	for _, c := range plan.changes {
		if accepted, ok := z.unverified[c.key]; ok && slices.Equal(accepted.to, c.to) && time.Since(accepted.at) < rewriteAfter {
			leave(p, c.key, "the provider accepted this, and does not show it yet", false)
			continue
		}
		p.Changes = append(p.Changes, newChange(c))
	}
	for _, l := range plan.leftAlone {
		leave(p, l.key, l.reason, l.blocked)
	}
	for i := range claims {
		for _, name := range claims[i].names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				key := rrKey{name, f}
				if reason := claims[i].unknown(f); reason != "" && claims[i].manages(f, len(view.sets[key].addrs) > 0) {
					leave(p, key, reason, false)
				}
			}
		}
	}
	slices.SortStableFunc(p.LeftAlone, func(a, b status.LeftAlone) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

func leave(p *status.ZonePlan, key rrKey, reason string, blocked bool) {
	p.LeftAlone = append(p.LeftAlone, status.LeftAlone{Name: key.name, Type: key.family.RRType(), Reason: reason, Blocked: blocked})
}
