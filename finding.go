package dynamicdns

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// locateZone finds the zone of a host in DNS. It is a variable for tests.
var locateZone = func(ctx context.Context, logger *zap.Logger, host string) (string, error) {
	return finder.SOA(ctx, logger, host, nil)
}

// searches returns what looks for the zones of the groups' hosts, and of those of
// the sites, one for each provider. changed is called when answers may be others.
func (a *App) searches(changed func()) []*finder.Search {
	var all []*finder.Search
	byKey := make(map[string]*finder.Search)
	for _, g := range a.groups {
		if g.known == nil {
			continue
		}
		s := byKey[g.providerKey]
		if s == nil {
			s = &finder.Search{
				Known: g.known, Provider: g.provider, NoSuchZone: zone.NoSuch,
				Locate:  func(ctx context.Context, host string) (string, error) { return locateZone(ctx, a.logger, host) },
				Changed: changed, Chance: jitter(-1 - len(all)),
				Logger: a.logger.With(zap.String("provider", g.provider.Name)),
			}
			byKey[g.providerKey] = s
			all = append(all, s)
		}
		for _, host := range g.hosts {
			if g.located[host] == "" {
				s.Hosts.Needed = append(s.Hosts.Needed, host)
			}
		}
		g.search = s
	}
	for _, g := range a.groups {
		g.offered = g.offers(a.groups, a.siteHosts)
		for _, host := range g.offered {
			if hosts := &g.search.Hosts; !slices.Contains(hosts.Needed, host) && !slices.Contains(hosts.Offered, host) {
				hosts.Offered = append(hosts.Offered, host)
			}
		}
	}
	return all
}

// findOnce returns which names the groups have, once their zones were looked for.
func (a *App) findOnce(ctx context.Context) (*naming, error) {
	if err := a.readSites(); err != nil {
		return nil, err
	}
	var found sync.WaitGroup
	for _, s := range a.searches(func() {}) {
		found.Go(func() { s.Once(ctx) })
	}
	found.Wait()
	return nameGroups(a.groups, a.siteHosts, a.served), nil
}

// rename has the app manage the names whose zones are known by now. It is done as
// a reload would do it, so that what is under way is not lost.
func (a *App) rename() {
	a.feeding.Lock()
	before := a.current()
	names := nameGroups(a.groups, a.siteHosts, a.served)
	if a.left || names.same(before.names) {
		a.feeding.Unlock()
		return
	}
	next, err := a.manage(names)
	if err != nil {
		a.feeding.Unlock()
		next.release()
		a.logger.Error("cannot take names whose zone was found", zap.Error(err))
		return
	}
	a.managed.Store(next)
	a.takeOver()
	a.feeding.Unlock()
	before.detach(a.logger)
	before.release()
	next.logFound(before, a.logger)
	names.logContested(before.names, a.logger)
	a.sites.logGone(names, a.logger)
	if a.Cluster != nil {
		a.Cluster.member.Poke()
	}
	next.recall(a.runCtx, a.logger)
}

// served reports whether a user of dyndns may update the host.
func (a *App) served(host string) bool {
	server, ok := serverOf(a.ctx)
	return ok && server.Serves(host)
}

// logFound says which names are managed now and were not before.
func (m *managed) logFound(before *managed, logger *zap.Logger) {
	had := make(map[string]bool)
	before.eachName(func(z *managedZone, name string) { had[dnsname.Absolute(name, z.zone.Name)] = true })
	for _, z := range m.zones {
		var found []string
		z.eachName(func(name string) {
			if fqdn := dnsname.Absolute(name, z.zone.Name); !had[fqdn] {
				found = append(found, dnsname.Display(fqdn))
			}
		})
		if len(found) > 0 {
			logger.Info("found the zone of names, which are managed from now on", zap.String("zone", dnsname.Display(z.zone.Name)),
				zap.String("provider", z.backend.Provider.Name), zap.Strings("names", found))
		}
	}
}
