package dynamicdns

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
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
