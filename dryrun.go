package dynamicdns

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Plan is what `GET /dynamic_dns/plan` answers: what would be written if the
// zones were to be made as wished now.
type Plan struct {
	// When this was so.
	Time time.Time `json:"time"`
	// The groups of domains with their addresses, in the order of the
	// configuration.
	Groups []GroupStatus `json:"groups"`
	// The zones, in the order of the configuration.
	Zones []ZonePlan `json:"zones"`
}

// ZonePlan is what would happen to a zone at a DNS provider.
type ZonePlan struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// Why there is no telling.
	Error string `json:"error,omitempty"`
	// The records that would be written.
	Changes []Change `json:"changes"`
	// The records that would be left as they are although they are not as
	// wished.
	LeftAlone []LeftAlone `json:"left_alone"`
}

// Change is the change of all addresses of one name and family.
type Change struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type string `json:"type"`
	// Why it changes.
	Reason string `json:"reason"`
	// The addresses before and after.
	From ipaddr.List `json:"from"`
	To   ipaddr.List `json:"to"`
	// The TTL after, in seconds.
	TTL float64 `json:"ttl"`
	// The IP source that gave the addresses.
	Source string `json:"source"`
}

// LeftAlone is a record that is not as wished and stays so.
type LeftAlone struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
	// Whether something is in the way, rather than that the configuration
	// asks for the restraint.
	Blocked bool `json:"blocked"`
}

func newChange(c change) Change {
	reason := "the addresses differ"
	switch {
	case c.onlyTTL:
		reason = "the TTL differs"
	case len(c.from) == 0:
		reason = "there is no such record"
	}
	return Change{
		Name: c.key.name, Type: c.key.family.RRType(), Reason: reason,
		From: c.from, To: c.to, TTL: c.ttl.Seconds(), Source: c.source,
	}
}

// dryRun reads all zones at once and says what would change.
func (a *App) dryRun(ctx context.Context) *Plan {
	p := &Plan{Groups: []GroupStatus{}, Zones: make([]ZonePlan, len(a.keepers))}
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
func (k *keeper) dryRun(ctx context.Context) ZonePlan {
	p := ZonePlan{
		Zone: dnsname.Display(k.zone.name), Provider: k.provider.name,
		Changes: []Change{}, LeftAlone: []LeftAlone{},
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
	p.fill(k.zone, claims, view)
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

// fill compares. The caller holds z.mu.
func (p *ZonePlan) fill(z *zone, claims []claim, view zoneView) {
	plan := makePlan(claims, view, z.asked)
	for _, c := range plan.changes {
		if accepted, ok := z.unverified[c.key]; ok && slices.Equal(accepted.to, c.to) && time.Since(accepted.at) < rewriteAfter {
			p.leave(c.key, "the provider accepted this, and does not show it yet", false)
			continue
		}
		p.Changes = append(p.Changes, newChange(c))
	}
	for _, l := range plan.leftAlone {
		p.leave(l.key, l.reason, l.blocked)
	}
	for i := range claims {
		for _, name := range claims[i].names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				key := rrKey{name, f}
				if reason := claims[i].unknown(f); reason != "" && claims[i].manages(f, len(view.sets[key].addrs) > 0) {
					p.leave(key, reason, false)
				}
			}
		}
	}
	slices.SortStableFunc(p.LeftAlone, func(a, b LeftAlone) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

// blocked reports whether something is in the way of a record.
func (p *ZonePlan) blocked() bool {
	return slices.ContainsFunc(p.LeftAlone, func(l LeftAlone) bool { return l.Blocked })
}

func (p *ZonePlan) leave(key rrKey, reason string, blocked bool) {
	p.LeftAlone = append(p.LeftAlone, LeftAlone{key.name, key.family.RRType(), reason, blocked})
}
