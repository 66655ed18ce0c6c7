package dynamicdns

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// dryRun reads all zones at once and says what would change.
func (a *App) dryRun(ctx context.Context) *status.Plan {
	p := &status.Plan{Groups: []status.GroupStatus{}, Zones: make([]status.ZonePlan, len(a.managed.zones))}
	var wg sync.WaitGroup
	for i, z := range a.managed.zones {
		wg.Go(func() { p.Zones[i] = z.dryRun(ctx) })
	}
	wg.Wait()
	p.Time = show.Stamp(time.Now())
	for _, g := range a.groups {
		p.Groups = append(p.Groups, g.status())
	}
	return p
}

// dryRun reads the zone and says what would change.
func (z *managedZone) dryRun(ctx context.Context) status.ZonePlan {
	p := status.ZonePlan{
		Zone: dnsname.Display(z.zone.Name), Provider: z.backend.Provider.Name,
		Changes: []status.Change{}, LeftAlone: []status.LeftAlone{},
	}
	if !slices.ContainsFunc(z.sets, (*nameSet).anyAddress) {
		p.Error = "no address is known"
		return p
	}
	observed, known, err := z.zone.DryRun(ctx)
	if err != nil {
		p.Error = show.OneLine(err.Error())
		return p
	}
	z.compare(&p, observed, known)
	return p
}

// compare plans from what is there, but leaves out what the provider has accepted
// and does not show yet.
func (z *managedZone) compare(p *status.ZonePlan, observed plan.Observed, known reconcile.Snapshot) {
	desired := func(yield func(plan.Key, *plan.Desired) bool) {
		for _, r := range known.Records {
			if !yield(r.Key, r.Desired) {
				return
			}
		}
	}
	accepted := make(map[plan.Key]*reconcile.Record)
	for i := range known.Records {
		if r := &known.Records[i]; len(r.Accepted) > 0 || r.Asked > 0 {
			accepted[r.Key] = r
		}
	}
	planned := plan.Make(desired, observed)
	for _, c := range planned.Changes {
		switch r := accepted[c.Key]; {
		case r != nil && slices.Equal(r.Accepted, c.To):
			leave(p, c.Key, "the provider accepted this, and does not show it yet", false)
		case r != nil && c.OnlyTTL && r.Asked == c.TTL:
		default:
			p.Changes = append(p.Changes, show.Change(c))
		}
	}
	for _, l := range planned.LeftAlone {
		leave(p, l.Key, l.Reason, l.Blocked)
	}
	for _, r := range known.Records {
		if r.Desired.State == plan.Unknown {
			z.leaveUnknown(p, r.Key, observed.Sets[r.Key].Addrs)
		}
	}
	slices.SortStableFunc(p.LeftAlone, func(a, b status.LeftAlone) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

func (z *managedZone) leaveUnknown(p *status.ZonePlan, key plan.Key, there []netip.Addr) {
	z.each(func(set *nameSet, own plan.Key) {
		if own == key && set.concerns(there) {
			leave(p, key, set.whyUnknown(key, false), false)
		}
	})
}

func leave(p *status.ZonePlan, key plan.Key, reason string, blocked bool) {
	p.LeftAlone = append(p.LeftAlone, status.LeftAlone{Name: key.Name, Type: key.Family.RRType(), Reason: reason, Blocked: blocked})
}
