package dyndns

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Plan reads zones and says what would change. of chooses the zones; read is
// called when one begins to be read, and what it returns when it has been.
func (a *App) Plan(ctx context.Context, of func(*zone.Zone) bool, read func() (done func())) []status.ZonePlan {
	var zones []*keptZone
	for _, z := range a.sorted() {
		if of(z.zone) {
			zones = append(zones, z)
		}
	}
	plans := make([]status.ZonePlan, len(zones))
	var wg sync.WaitGroup
	for i, z := range zones {
		wg.Go(func() {
			defer read()()
			plans[i] = a.dryRun(ctx, z)
		})
	}
	wg.Wait()
	return plans
}

func (a *App) dryRun(ctx context.Context, z *keptZone) status.ZonePlan {
	if !a.writes(z) {
		reason := "no instance writes the zone at the moment"
		if part := z.member.Zone(z.id); part.Writer != "" {
			reason = fmt.Sprintf("the instance %q writes the zone, so ask there", part.Writer)
		}
		return show.NoPlan(z.name, z.backend.Provider, reason)
	}
	observed, known, err := z.zone.DryRun(ctx)
	if err != nil {
		return show.NoPlan(z.name, z.backend.Provider, err.Error())
	}
	return show.Plan(z.name, z.backend.Provider, observed, known, func(plan.Key, []netip.Addr) string { return "" })
}

// HoldReadOnly takes the zones of an app that is not started, with what is on
// record, and never writes them. Cleanup gives them back.
func (a *App) HoldReadOnly(ctx context.Context) error {
	unread, err := a.takeReadOnly(ctx)
	if err != nil {
		return err
	}
	if unread != nil {
		a.logger.Warn("some of what is on record of the clients' hosts is damaged or cannot be read; those hosts are left alone", zap.Error(unread))
	}
	a.attach()
	return nil
}

// takeReadOnly takes the zones where hosts are by what is on record, and leaves
// them alone. It returns what is the matter with single hosts, too.
func (a *App) takeReadOnly(ctx context.Context) (unread, err error) {
	a.cancel = func() {}
	unread = a.shared.ledger.Load(ctx, a.storage, func(*ledger.Entry) {})
	if !ledger.Partly(unread) {
		return nil, fmt.Errorf("reading what is on record of the clients' hosts: %w", unread)
	}
	var found sync.WaitGroup
	for _, s := range a.searches {
		found.Go(func() { s.Once(ctx) })
	}
	found.Wait()
	a.acquire(true)
	return unread, nil
}

// Examine tells of the zones of an app that is not started, and of the addresses
// that are on record of hosts in them, each with its name in the zone. nowhere is
// called for a host on record whose zone is not known. Nobody else is asked.
// The error may be of single hosts, once it has told of all others. Cleanup gives
// back what it holds.
func (a *App) Examine(ctx context.Context, place func(zone string, p *provider.Provider, name string, f ipaddr.Family, addrs []netip.Addr), nowhere func(host string, p *provider.Provider, reason error)) error {
	unread, err := a.takeReadOnly(ctx)
	if err != nil {
		return err
	}
	for _, z := range a.sorted() {
		place(z.name, z.backend.Provider, "", 0, nil)
	}
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for e := range entries {
			z, name, desired := a.desired(e)
			if z == nil {
				if s := a.find(e.Host); s != nil {
					nowhere(e.Host, s.provider, a.whyNowhere(e.Host))
				}
				continue
			}
			for f, d := range desired {
				if d != nil && d.State == plan.Set {
					place(z.name, z.backend.Provider, name, ipaddr.Family(f), d.Addrs)
				}
			}
		}
	})
	return unread
}
