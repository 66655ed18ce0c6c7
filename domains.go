package dynamicdns

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
)

// canonicalizeHosts brings the names that are written in full into canonical
// form. One that is given twice counts once.
func (g *group) canonicalizeHosts() error {
	g.hostPlaces, g.located = make(map[string]string), make(map[string]string)
	for i, raw := range g.Hosts {
		path := fmt.Sprintf("hosts[%d]", i)
		words, err := placeholders.Words([]string{raw})
		if err != nil {
			return g.at(path, err)
		}
		for _, word := range words {
			host, err := fullName("hosts", word)
			if err != nil {
				return g.at(path, placeholders.Behind(raw, err))
			}
			if !slices.Contains(g.hosts, host) {
				g.hosts = append(g.hosts, host)
				g.hostPlaces[host] = g.written.At(g.entry(path))
			}
		}
	}
	return nil
}

// fullName returns the canonical form of a name that is written in full.
func fullName(option, raw string) (string, error) {
	host, err := dnsname.Host(raw)
	switch {
	case raw == "@" || err == nil && !strings.Contains(host, "."):
		return "", fmt.Errorf("host %q is no full name; write it with its zone, as in `%s %s`", raw, option, dnsname.Display(dnsname.Absolute(strings.TrimSuffix(raw, "."), "example.com.")))
	}
	return host, err
}

// locate finds the zones of hosts that are in a zone of the configuration, of
// the same account.
func locate(groups []*group) {
	for _, g := range groups {
		var zones []string
		for _, other := range groups {
			if other.provider.SharesAccount(g.provider) {
				zones = slices.AppendSeq(slices.AppendSeq(zones, maps.Keys(other.zones)), maps.Keys(other.devices))
			}
		}
		for _, host := range g.hosts {
			if zone, _, ok := dnsname.Match(host, zones); ok {
				g.located[host] = zone
			}
		}
	}
}

// zoneOf returns what is known of the zone of a name that is written in full.
func (g *group) zoneOf(host string) finder.Answer {
	if zone := g.located[host]; zone != "" {
		return finder.Answer{Zone: zone}
	}
	return g.known.Answer(host)
}

// awaits reports whether the group may have names whose zones are to be found.
func (g *group) awaits() bool { return len(g.hosts) > 0 || len(g.offered) > 0 }

// canonicalize brings the names into canonical form.
func (g *group) canonicalize() error {
	g.except = make(map[string]bool, len(g.Except))
	hosts, err := placeholders.Words(g.Except)
	if err != nil {
		return g.at("except", err)
	}
	for _, raw := range hosts {
		host, err := fullName("except", raw)
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
					return g.at(path, placeholders.Behind(rawName, err))
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
