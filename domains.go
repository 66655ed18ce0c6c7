package dynamicdns

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// canonicalize brings the names into canonical form.
func (g *group) canonicalize() error {
	repl := caddy.NewReplacer()
	g.except = make(map[string]bool, len(g.Except))
	for _, raw := range g.Except {
		host, err := repl.ReplaceOrErr(raw, true, true)
		if err == nil {
			host, err = dnsname.Host(host)
		}
		if err != nil {
			return g.at("except", fmt.Errorf("%q: %w", raw, err))
		}
		g.except[host] = true
	}
	g.zones = make(map[string][]string, len(g.Domains))
	for _, rawZone := range slices.Sorted(maps.Keys(g.Domains)) {
		resolved, err := repl.ReplaceOrErr(rawZone, true, true)
		if err != nil {
			return g.at("domains", fmt.Errorf("zone %q: %w", rawZone, err))
		}
		zone, err := dnsname.Zone(resolved)
		if err != nil {
			return g.at("domains", err)
		}
		if _, ok := g.zones[zone]; ok {
			return g.at("domains", fmt.Errorf("zone %q is listed twice; put all its names in one entry", strings.TrimSuffix(zone, ".")))
		}
		rawNames := g.Domains[rawZone]
		if len(rawNames) == 0 && !g.dynamicDomains() {
			rawNames = []string{"@"}
		}
		names := make([]string, 0, len(rawNames))
		for _, rawName := range rawNames {
			resolved, err := repl.ReplaceOrErr(rawName, true, true)
			if err != nil {
				return g.at("domains", fmt.Errorf("zone %q: name %q: %w", rawZone, rawName, err))
			}
			name, err := dnsname.Name(resolved, zone)
			if err != nil {
				return g.at("domains", fmt.Errorf("zone %q: %w", rawZone, err))
			}
			names = append(names, name)
		}
		g.zones[zone] = names
	}
	return nil
}

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

// checkOverlap refuses configurations in which two places would fight over an
// RRset.
func checkOverlap(groups []*group) error {
	places := make(map[absoluteKey]string)
	sites := make(map[absoluteKey]string)
	for _, g := range groups {
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

// nameSet are names of one zone in one group, of which the same families are
// managed, so that all hold the same addresses.
type nameSet struct {
	group    *group
	zone     string
	names    []string
	families [ipaddr.Families]bool
}

// nameSets returns the names of the group, those of dynamic_domains too, in
// a stable order.
func (g *group) nameSets() []*nameSet {
	var sets []*nameSet
	add := func(zones map[string][]string, enabled [ipaddr.Families]bool) {
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			if names := slices.Sorted(slices.Values(zones[zone])); len(names) > 0 {
				sets = append(sets, &nameSet{g, zone, slices.Clip(names), enabled})
			}
		}
	}
	add(g.zones, [ipaddr.Families]bool{ipaddr.V4: g.enabled(ipaddr.V4), ipaddr.V6: g.enabled(ipaddr.V6)})
	add(g.partly[ipaddr.V4], [ipaddr.Families]bool{ipaddr.V4: true})
	add(g.partly[ipaddr.V6], [ipaddr.Families]bool{ipaddr.V6: true})
	return sets
}
