package dynamicdns

import (
	"context"
	"slices"

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
func searches(groups []*group, sites []string, changed func(), logger *zap.Logger) []*finder.Search {
	var all []*finder.Search
	byKey := make(map[string]*finder.Search)
	for _, g := range groups {
		if g.known == nil {
			continue
		}
		s := byKey[g.providerKey]
		if s == nil {
			s = &finder.Search{
				Known: g.known, Name: g.provider.Name, Provider: g.provider, NoSuchZone: zone.NoSuch,
				Locate:  func(ctx context.Context, host string) (string, error) { return locateZone(ctx, logger, host) },
				Changed: changed, Chance: jitter(-1 - len(all)),
				Logger: logger.With(zap.String("provider", g.provider.Name)),
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
	for _, g := range groups {
		g.offered = g.offers(groups, sites)
		for _, host := range g.offered {
			if hosts := &g.search.Hosts; !slices.Contains(hosts.Needed, host) && !slices.Contains(hosts.Offered, host) {
				hosts.Offered = append(hosts.Offered, host)
			}
		}
	}
	return all
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
