package dynamicdns

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

// zoneOption is a line of the option `domains`.
type zoneOption struct {
	zone  caddyfile.Token
	names []caddyfile.Token
}

const errNoZones = "domains needs a block, with a line for each zone and its names; write `domains {\n\texample.com @ www\n}`"

// parseZones parses the block of the option `domains`, which may be empty.
func parseZones(d *caddyfile.Dispenser) ([]zoneOption, error) {
	if d.NextArg() {
		zone := d.Val()
		return nil, d.Errf("unexpected argument %q: domains takes a block; write `domains {\n\t%s\n}`", zone, strings.Join(append([]string{zone}, d.RemainingArgs()...), " "))
	}
	var zones []zoneOption
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		z := zoneOption{zone: d.Token()}
		if list := advice.List(append([]string{z.zone.Text}, args(d)...)); list != nil {
			return nil, d.Errf("names are separated by spaces alone; write `%s`", strings.Join(list, " "))
		}
		if unset := placeholders.UnsetFirst(z.zone.File, z.zone.Line); unset != nil {
			return nil, errorAt(z.zone, "%w", unset)
		}
		for d.NextArg() {
			z.names = append(z.names, d.Token())
		}
		if opensBlock(d) {
			return nil, d.Errf("the zone %q takes no block; write its names after it, as in `%s @ www`", z.zone.Text, z.zone.Text)
		}
		zones = append(zones, z)
	}
	return zones, nil
}

// namer makes the JSON form of `domains`, and checks the names as far as that
// is possible before placeholders are replaced.
type namer struct {
	dynamic bool
	// places tells where each name was written, and under the empty name
	// where the zone was whose hosts are taken from the sites.
	places map[string]string
}

// earlier notes the names of a group of an earlier block, which are where at
// says.
func (n *namer) earlier(g *Group, at func(path string) string) {
	place := func(path string) string {
		if place := at(path); place != "" {
			return "at " + place
		}
		return "in an earlier dynamic_dns block"
	}
	for zone, names := range g.Domains {
		path := fmt.Sprintf("[%q]", zone)
		if canonical, err := canonicalZone(zone); err == nil {
			zone = canonical
		}
		for i, name := range names {
			if canonical, err := canonicalName(name, zone); err == nil {
				n.places[canonical+" "+zone] = place(fmt.Sprintf("%s[%d]", path, i))
			}
		}
		if g.DynamicDomains != nil && *g.DynamicDomains {
			n.places[" "+zone] = place(path)
		}
	}
}

// domains returns the JSON form of the zones and names of a group, and where
// each is written, by the rest of its path.
func (n *namer) domains(zones []zoneOption) (domains map[string][]string, written places.Map, err error) {
	if zones == nil {
		return nil, nil, nil
	}
	domains = make(map[string][]string)
	written = make(places.Map)
	spelling := make(map[string]string)
	here := make(map[string]bool)
	for _, z := range zones {
		zone := z.zone.Text
		canonical, err := canonicalZone(zone)
		if err != nil {
			return nil, nil, errorAt(z.zone, "%w", err)
		}
		if first, ok := spelling[canonical]; ok {
			zone = first
		} else {
			if n.dynamic {
				if place, ok := n.places[" "+canonical]; ok {
					return nil, nil, errorAt(z.zone, "the hosts of the zone %q are taken from the sites already, %s; write it in one place", dnsname.Display(canonical), place)
				}
				n.places[" "+canonical] = "at " + position(z.zone)
			}
			spelling[canonical] = zone
			domains[zone] = []string{}
			written[fmt.Sprintf("[%q]", zone)] = position(z.zone)
		}
		names := z.names
		if len(names) == 0 && !n.dynamic {
			apex := z.zone
			apex.Text = "@"
			names = []caddyfile.Token{apex}
		}
		for _, name := range names {
			if name.Text == "" {
				name.Text = "@"
			}
			first, err := n.note(name, canonical, here)
			if err != nil {
				return nil, nil, err
			}
			if first {
				written[fmt.Sprintf("[%q][%d]", zone, len(domains[zone]))] = position(name)
				domains[zone] = append(domains[zone], name.Text)
			}
		}
	}
	return domains, written, nil
}

// note refuses a name that is none, or that another group has, and reports
// whether it is new to this group, whose names are here.
func (n *namer) note(name caddyfile.Token, zone string, here map[string]bool) (first bool, err error) {
	canonical, err := canonicalName(name.Text, zone)
	if err != nil {
		return false, errorAt(name, "%w", err)
	}
	key := canonical + " " + zone
	if here[key] {
		return false, nil
	}
	if place, ok := n.places[key]; ok {
		return false, errorAt(name, "the name %q of the zone %q is managed already, %s; write it in one place", canonical, dnsname.Display(zone), place)
	}
	here[key], n.places[key] = true, "at "+position(name)
	return true, nil
}

// canonicalZone is normalizeZone for what may have placeholders.
func canonicalZone(zone string) (string, error) {
	if placeholders.In(zone) {
		return zone, nil
	}
	return dnsname.Zone(zone)
}

// canonicalName is normalizeName for what may have placeholders.
func canonicalName(name, zone string) (string, error) {
	if placeholders.In(name + zone) {
		return name, nil
	}
	return dnsname.Name(name, zone)
}

// cutNames takes the blocks of the options `domains` and `devices` out of the
// segment of a provider. A provider may have an option of such a name which
// opens no block.
func cutNames(segment []caddyfile.Token) (rest []caddyfile.Token, blocks [][]caddyfile.Token) {
	depth, start := 0, -1
	for i, token := range segment {
		switch {
		case isBrace(token, "{"):
			depth++
		case isBrace(token, "}"):
			depth--
		case depth == 1 && start < 0 && (token.Text == "domains" || token.Text == "devices") && startsLine(segment, i) && i+1 < len(segment) && isBrace(segment[i+1], "{"):
			start = i
		}
		if start < 0 {
			rest = append(rest, token)
		} else if depth == 1 && i > start {
			blocks = append(blocks, segment[start:i+1])
			start = -1
		}
	}
	if n := len(rest); blocks != nil && n > 1 && isBrace(rest[n-2], "{") {
		rest = rest[:n-2] // nothing but names was in the provider's block
	}
	return rest, blocks
}
