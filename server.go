package dynamicdns

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

// DNSProvider is the configuration of the provider that dyndns handlers use
// which name none.
func (a *App) DNSProvider() json.RawMessage { return a.providerRaw }

// ZoneNames are the zones that dyndns handlers use which name none.
func (a *App) ZoneNames() []string {
	zones := make(map[string]bool)
	for _, g := range a.groups {
		for zone := range g.zones {
			zones[dnsname.Display(zone)] = true
		}
		for zone := range g.devices {
			zones[dnsname.Display(zone)] = true
		}
	}
	return slices.Sorted(maps.Keys(zones))
}

// Share has one instance at a time write a zone in which clients have hosts,
// and returns this one's part, or nil if it is on its own.
func (a *App) Share(z cluster.Zone) *cluster.Member {
	if a.Cluster == nil {
		return nil
	}
	a.clients.add(z)
	a.Cluster.member.Poke()
	return a.Cluster.member
}

// Manages calls fn for each full name that is managed, those of sites apart.
func (a *App) Manages(fn func(host string)) {
	manages := func(name, zone string) { fn(strings.TrimSuffix(dnsname.Absolute(name, zone), ".")) }
	for _, g := range a.groups {
		for zone, names := range g.zones {
			for _, name := range names {
				manages(name, zone)
			}
		}
		for _, host := range g.hosts {
			fn(host)
		}
		for zone, devices := range g.devices {
			for name := range devices {
				manages(name, zone)
			}
		}
	}
}

// Keeps reports whether the host is managed, be it that of a site.
func (a *App) Keeps(host string) (kept bool) {
	a.current().eachName(func(z *managedZone, name string) {
		kept = kept || dnsname.Absolute(name, z.zone.Name) == host+"."
	})
	return kept || slices.ContainsFunc(a.groups, func(g *group) bool { return slices.Contains(g.hosts, host) })
}
