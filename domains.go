package dynamicdns

import (
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
)

// canonicalize brings the names into canonical form.
func (g *group) canonicalize() error {
	g.except = make(map[string]bool, len(g.Except))
	hosts, err := placeholders.Words(g.Except)
	if err != nil {
		return g.at("except", err)
	}
	for _, raw := range hosts {
		host, err := dnsname.Host(raw)
		if err != nil {
			return g.at("except", fmt.Errorf("%q: %w", raw, err))
		}
		g.except[host] = true
	}
	g.zones = make(map[string][]string, len(g.Domains))
	g.places = make(map[string]string)
	for _, rawZone := range slices.Sorted(maps.Keys(g.Domains)) {
		path := fmt.Sprintf("domains[%q]", rawZone)
		resolved, err := placeholders.Resolve(rawZone)
		if err != nil {
			return g.at(path, err)
		}
		zone, err := dnsname.Zone(resolved)
		if err != nil {
			return g.at(path, err)
		}
		rawNames := g.Domains[rawZone]
		if len(rawNames) == 0 && !g.dynamicDomains() {
			rawNames = []string{"@"}
		}
		g.places[" "+zone] = g.written.At(g.entry(path))
		names := g.zones[zone] // of another spelling
		for i, rawName := range rawNames {
			path := fmt.Sprintf("%s[%d]", path, i)
			words, err := placeholders.Words([]string{rawName})
			if err != nil {
				return g.at(path, err)
			}
			for _, word := range words {
				name, err := dnsname.Name(word, zone)
				if err != nil {
					return g.at(path, err)
				}
				if !slices.Contains(names, name) {
					names = append(names, name)
					g.places[name+" "+zone] = g.written.At(g.entry(path))
				}
			}
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

// place is where a group has a name.
type place struct {
	group      *group
	name, zone string
}

func (p place) String() string {
	if place := p.group.places[p.name+" "+p.zone]; place != "" {
		return fmt.Sprintf("the zone %q at %s", dnsname.Display(p.zone), place)
	}
	return fmt.Sprintf("%s under zone %q", p.group.entry("domains"), dnsname.Display(p.zone))
}

// settleOverlap refuses configurations in which two places would fight over
// an RRset. Where these are two zones of one provider, one a part of the other,
// the longer one has the name: records of it in the other are seen by nobody.
func settleOverlap(groups []*group, logger *zap.Logger) error {
	owners := make(map[absoluteKey]place)
	sites := make(map[absoluteKey]place)
	warned := make(map[place]bool)
	for _, g := range groups {
		for _, zone := range slices.Sorted(maps.Keys(g.zones)) {
			for _, name := range slices.Clone(g.zones[zone]) {
				here := place{g, name, zone}
				for _, key := range g.rrsets(name, zone) {
					owner, other := here, owners[key]
					if other.group != nil {
						if other.zone == zone || other.group.providerKey != g.providerKey {
							return fmt.Errorf("the name %q is managed twice: in %s and in %s; leave it in one of them", dnsname.Display(key.fqdn), other, here)
						}
						if len(zone) < len(other.zone) {
							owner, other = other, here
						}
						other.group.yield(other.name, other.zone, key.family)
						if !warned[other] {
							warned[other] = true
							logger.Warn("a name is in two zones of the provider, of which the longer one has it; leave it out of the other",
								zap.String("name", dnsname.Display(key.fqdn)), zap.Stringer("managed", owner), zap.Stringer("left_out", other))
						}
					}
					owners[key] = owner
				}
			}
			if !g.dynamicDomains() {
				continue
			}
			here := place{g, "", zone}
			for _, key := range g.rrsets("@", zone) {
				if other, ok := sites[key]; ok {
					return fmt.Errorf("the hosts of the sites are managed twice: in %s and in %s, both with dynamic_domains; leave the zone in one of them", other, here)
				}
				sites[key] = here
			}
		}
	}
	return nil
}

// yield leaves the family of a name to another group.
func (g *group) yield(name, zone string, family ipaddr.Family) {
	not := func(names []string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	if !slices.Contains(g.zones[zone], name) {
		g.partly[family][zone] = not(g.partly[family][zone])
		return
	}
	g.zones[zone] = not(g.zones[zone])
	for _, key := range g.rrsets(name, zone) {
		if key.family != family {
			g.addPartly(name, zone, key.family)
		}
	}
}

// addPartly adds a name of which only the one family is managed here.
func (g *group) addPartly(name, zone string, family ipaddr.Family) {
	if g.partly[family] == nil {
		g.partly[family] = make(map[string][]string)
	}
	g.partly[family][zone] = append(g.partly[family][zone], name)
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
