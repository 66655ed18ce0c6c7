package dynamicdns

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// absoluteKey identifies an RRset whatever its zone.
type absoluteKey struct {
	fqdn   string
	family ipaddr.Family
}

// rrsets returns the RRsets that the group keeps at a name.
func (g *group) rrsets(name, zone string) []absoluteKey {
	var keys []absoluteKey
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if g.enabled(f) {
			keys = append(keys, absoluteKey{dnsname.Absolute(name, zone), f})
		}
	}
	return keys
}

// checkOverlap refuses an RRset that two places of the configuration would
// fight over.
func (a *App) checkOverlap() error {
	places := make(map[absoluteKey]string)
	sites := make(map[absoluteKey]string)
	for _, g := range a.groups {
		for _, zone := range slices.Sorted(maps.Keys(g.zones)) {
			names := g.zones[zone]
			place := fmt.Sprintf("%s under zone %q", g.entry("domains"), strings.TrimSuffix(zone, "."))
			for _, name := range names {
				for _, key := range g.rrsets(name, zone) {
					if other, ok := places[key]; ok {
						return fmt.Errorf("the name %q is managed twice: in %s and in %s; leave it in one of them", strings.TrimSuffix(key.fqdn, "."), other, place)
					}
					places[key] = place
				}
			}
			if !g.dynamicDomains() {
				continue
			}
			for _, key := range g.rrsets("@", zone) {
				if other, ok := sites[key]; ok {
					return fmt.Errorf("the hosts of the sites are managed twice: in %s and in %s, both with dynamic_domains; leave the zone in one of them", other, place)
				}
				sites[key] = place
			}
		}
	}
	return nil
}
