package dynamicdns

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
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

// parseHosts parses the option `hosts`.
func parseHosts(d *caddyfile.Dispenser) (hosts []caddyfile.Token, err error) {
	for d.NextArg() {
		if !placeholders.In(d.Val()) {
			if _, err := fullName("hosts", d.Val()); err != nil {
				return nil, d.WrapErr(fmt.Errorf("hosts: %w", err))
			}
		}
		hosts = append(hosts, d.Token())
	}
	if hosts == nil {
		return nil, d.Err("hosts needs names in full, such as `hosts www.example.com`")
	}
	return hosts, nil
}

// hosts returns the JSON form of the names in full of a group, and where each is
// written, by the rest of its path.
func (n *namer) hosts(tokens []caddyfile.Token) (hosts []string, written places.Map, err error) {
	written = make(places.Map)
	here := make(map[string]bool)
	for _, token := range tokens {
		name := token.Text
		if !placeholders.In(name) {
			if name, err = fullName("hosts", name); err != nil {
				return nil, nil, errorAt(token, "hosts: %w", err)
			}
		}
		if here[name] {
			continue
		}
		here[name] = true
		written[fmt.Sprintf("[%d]", len(hosts))] = position(token)
		hosts = append(hosts, token.Text)
	}
	return hosts, written, nil
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

// cutNames takes the options `domains`, `devices` and `hosts` out of the segment
// of a provider.
func cutNames(segment []caddyfile.Token) (rest []caddyfile.Token, options [][]caddyfile.Token) {
	depth := 0
	for i := 0; i < len(segment); i++ {
		if end := namesEnd(segment, i, depth); end > 0 {
			options = append(options, segment[i:end])
			i = end - 1
			continue
		}
		switch {
		case isBrace(segment[i], "{"):
			depth++
		case isBrace(segment[i], "}"):
			depth--
		}
		rest = append(rest, segment[i])
	}
	if n := len(rest); options != nil && n > 1 && isBrace(rest[n-2], "{") {
		rest = rest[:n-2] // nothing but names was in the provider's block
	}
	return rest, options
}

// namesEnd returns where an option ends that begins at a token of a provider's
// segment and has names for us, or 0 if none does. A provider may have an option
// of such a name in another form: `domains` and `devices` open a block at once,
// and `hosts` opens none.
func namesEnd(segment []caddyfile.Token, i, depth int) int {
	name := segment[i].Text
	if depth != 1 || name != "domains" && name != "devices" && name != "hosts" || !startsLine(segment, i) {
		return 0
	}
	end := i + 1
	for end < len(segment) && !startsLine(segment, end) && !isBrace(segment[end], "{") {
		end++
	}
	opens := end < len(segment) && !startsLine(segment, end)
	switch {
	case name == "hosts" && !opens:
		return end
	case name == "hosts" || !opens || end > i+1:
		return 0
	}
	for nested := 0; end < len(segment); end++ {
		if isBrace(segment[end], "{") {
			nested++
		} else if isBrace(segment[end], "}") {
			if nested--; nested == 0 {
				return end + 1
			}
		}
	}
	return end
}

// deviceOption is a line of the option `devices`.
type deviceOption struct {
	zone, name caddyfile.Token
	ids        []caddyfile.Token
}

// parsePrefixLength parses the option `prefix_length`.
func parsePrefixLength(d *caddyfile.Dispenser) (int, error) {
	if !d.NextArg() {
		return 0, d.Err("prefix_length needs a number of bits, such as 64")
	}
	n, err := strconv.Atoi(d.Val())
	if err != nil {
		return 0, d.Errf("prefix_length %q is not a number; write one from 1 to 127, such as 64", d.Val())
	}
	if err := ipaddr.CheckPrefixLength(n); err != nil {
		return 0, d.WrapErr(fmt.Errorf("prefix_length %w", err))
	}
	return n, nil
}

// parseDevices parses the block of the option `devices`.
func parseDevices(d *caddyfile.Dispenser) ([]deviceOption, error) {
	const form = "a line with zone, name and host IDs for each machine"
	if d.NextArg() {
		return nil, d.Errf("unexpected argument %q: devices takes a block, with %s, as in `devices {\n\texample.com nas ::21b:21ff:fe3c:4d5e\n}`", d.Val(), form)
	}
	var devices []deviceOption
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := deviceOption{zone: d.Token()}
		if !d.NextArg() {
			return nil, d.Errf("the zone %q has no device after it; write %s, such as `%s nas ::21b:21ff:fe3c:4d5e`", o.zone.Text, form, o.zone.Text)
		}
		o.name = d.Token()
		for d.NextArg() {
			o.ids = append(o.ids, d.Token())
		}
		if _, err := ipaddr.ParseHostID(o.name.Text, 64); o.ids == nil && err == nil {
			return nil, errorAt(o.name, "the machine %s has no name; write one between the zone and the host ID, such as `example.com nas %[1]s`", o.name.Text)
		}
		if o.ids == nil {
			return nil, errorAt(o.name, "the device %q: %w", o.name.Text, errNoHostID)
		}
		if opensBlock(d) {
			return nil, d.Errf("the device %q takes no block; write its host IDs after it", o.name.Text)
		}
		devices = append(devices, o)
	}
	if devices == nil {
		return nil, d.Errf("devices needs a block, with %s, as in `devices {\n\texample.com nas ::21b:21ff:fe3c:4d5e\n}`", form)
	}
	return devices, nil
}

// devicesByZone returns the JSON form of `devices`, and where each is written,
// by the rest of its path.
func devicesByZone(options []deviceOption) (devices map[string]map[string][]string, written places.Map, err error) {
	if options == nil {
		return nil, nil, nil
	}
	devices = make(map[string]map[string][]string)
	written = make(places.Map)
	spelling := make(map[string]string)
	first := make(map[string]caddyfile.Token)
	for _, o := range options {
		canonical, err := canonicalZone(o.zone.Text)
		if err != nil {
			return nil, nil, errorAt(o.zone, "%w", err)
		}
		zone, ok := spelling[canonical]
		if !ok {
			zone = o.zone.Text
			spelling[canonical], devices[zone] = zone, make(map[string][]string)
			written[fmt.Sprintf("[%q]", zone)] = position(o.zone)
		}
		name, err := canonicalName(o.name.Text, canonical)
		if err != nil {
			return nil, nil, errorAt(o.name, "%w", err)
		}
		if token, again := first[name+" "+canonical]; again {
			return nil, nil, errorAt(o.name, "the device %q of the zone %q is listed already, at %s; write all its host IDs in one line", name, dnsname.Display(canonical), position(token))
		}
		first[name+" "+canonical] = o.name
		written[fmt.Sprintf("[%q][%q]", zone, o.name.Text)] = position(o.name)
		for _, id := range o.ids {
			devices[zone][o.name.Text] = append(devices[zone][o.name.Text], id.Text)
		}
	}
	return devices, written, nil
}

// checkDevices refuses host IDs that can be seen to be wrong before placeholders
// are replaced.
func checkDevices(devices []deviceOption, prefixLength int) error {
	for _, o := range devices {
		for _, id := range o.ids {
			if placeholders.In(id.Text) {
				continue
			}
			if _, err := ipaddr.ParseHostID(id.Text, prefixLength); err != nil {
				return errorAt(id, "%w", err)
			}
		}
	}
	return nil
}
