package dynamicdns

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

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

// Manages calls fn for each full name that is managed, those of sites apart.
func (a *App) Manages(fn func(host string)) {
	manages := func(name, zone string) { fn(strings.TrimSuffix(dnsname.Absolute(name, zone), ".")) }
	for _, g := range a.groups {
		for zone, names := range g.zones {
			for _, name := range names {
				manages(name, zone)
			}
		}
		for zone, devices := range g.devices {
			for name := range devices {
				manages(name, zone)
			}
		}
	}
}
