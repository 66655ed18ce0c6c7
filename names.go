package dynamicdns

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
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

// place is where a group has a name.
type place struct {
	group      *group
	name, zone string
	// device is set if it is the name of another machine, and host if it is
	// written in full.
	device bool
	host   string
}

func (p place) String() string {
	if p.host != "" {
		if place := p.group.hostPlaces[p.host]; place != "" {
			return "hosts at " + place
		}
		return p.group.entry("hosts")
	}
	places, option := p.group.places, "domains"
	if p.device {
		places, option = p.group.devicePlaces, "devices"
	}
	if place := places[p.name+" "+p.zone]; place != "" {
		return fmt.Sprintf("the zone %q at %s", dnsname.Display(p.zone), place)
	}
	return fmt.Sprintf("%s under zone %q", p.group.entry(option), dnsname.Display(p.zone))
}

// deviceRRsets returns the RRsets of the group's devices, and where each is, in a
// stable order.
func (g *group) deviceRRsets() iter.Seq2[absoluteKey, place] {
	return func(yield func(absoluteKey, place) bool) {
		for _, zone := range slices.Sorted(maps.Keys(g.devices)) {
			for _, name := range slices.Sorted(maps.Keys(g.devices[zone])) {
				if !yield(absoluteKey{dnsname.Absolute(name, zone), ipaddr.V6}, place{group: g, name: name, zone: zone, device: true}) {
					return
				}
			}
		}
	}
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
				here := place{group: g, name: name, zone: zone}
				for _, key := range g.rrsets(name, zone) {
					owner, other := here, owners[key]
					if other.group != nil {
						if other.zone == zone || !other.group.provider.SharesAccount(g.provider) {
							return managedTwice(key, other, here)
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
			here := place{group: g, zone: zone}
			for _, key := range g.rrsets("@", zone) {
				if other, ok := sites[key]; ok {
					return fmt.Errorf("the hosts of the sites are managed twice: in %s and in %s, both with dynamic_domains; leave the zone in one of them", other, here)
				}
				sites[key] = here
			}
		}
	}
	for _, g := range groups {
		for key, here := range g.deviceRRsets() {
			if other := owners[key]; other.group != nil {
				return managedTwice(key, other, here)
			}
			owners[key] = here
		}
	}
	for _, g := range groups {
		for _, host := range slices.Clone(g.hosts) {
			here := place{group: g, host: host}
			for _, key := range g.rrsets("@", host+".") {
				switch other := owners[key]; {
				case other.group == g && !other.device:
					// It is written in domains as well.
					g.hosts = slices.DeleteFunc(g.hosts, func(h string) bool { return h == host })
				case other.group != nil:
					return managedTwice(key, other, here)
				default:
					owners[key] = here
				}
			}
		}
	}
	return checkOpen(groups)
}

func managedTwice(key absoluteKey, other, here place) error {
	return fmt.Errorf("the name %q is managed twice: in %s and in %s; leave it in one of them", dnsname.Display(key.fqdn), other, here)
}

// checkOpen refuses groups of one account of which each takes all hosts of the
// sites.
func checkOpen(groups []*group) error {
	takes := make(map[ipaddr.Family][]*group)
	for _, g := range groups {
		if !g.open() {
			continue
		}
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if !g.enabled(f) {
				continue
			}
			for _, other := range takes[f] {
				if other.provider.SharesAccount(g.provider) {
					return fmt.Errorf("the hosts of the sites are managed twice: %s and %s are both on without domains, with one account at the provider; leave one out, or write domains beside it", other.option("dynamic_domains"), g.option("dynamic_domains"))
				}
			}
			takes[f] = append(takes[f], g)
		}
	}
	return nil
}

// option names an option of the group, with its place where that is known.
func (g *group) option(name string) string {
	if place := g.written.At(g.entry(name)); place != "" {
		return name + " at " + place
	}
	return g.entry(name)
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
	// ids are host IDs by name, if these are names of other machines.
	ids map[string][]ipaddr.HostID
}

// nameSets returns the names of the group, those of dynamic_domains too, in
// a stable order.
func (g *group) nameSets() []*nameSet {
	var sets []*nameSet
	add := func(zones map[string][]string, enabled [ipaddr.Families]bool) {
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			if names := slices.Sorted(slices.Values(zones[zone])); len(names) > 0 {
				sets = append(sets, &nameSet{group: g, zone: zone, names: slices.Clip(names), families: enabled})
			}
		}
	}
	add(g.zones, [ipaddr.Families]bool{ipaddr.V4: g.enabled(ipaddr.V4), ipaddr.V6: g.enabled(ipaddr.V6)})
	add(g.partly[ipaddr.V4], [ipaddr.Families]bool{ipaddr.V4: true})
	add(g.partly[ipaddr.V6], [ipaddr.Families]bool{ipaddr.V6: true})
	for _, zone := range slices.Sorted(maps.Keys(g.devices)) {
		sets = append(sets, &nameSet{
			group: g, zone: zone, names: slices.Sorted(maps.Keys(g.devices[zone])),
			families: [ipaddr.Families]bool{ipaddr.V6: true}, ids: g.devices[zone],
		})
	}
	return sets
}

// knows reports whether what was found says what the names should hold.
func (s *nameSet) knows(found detect.Found) bool {
	if s.ids != nil {
		return found.Network.Known()
	}
	return len(found.Addrs) > 0
}

// anyAddress reports whether an address of any family is known.
func (s *nameSet) anyAddress() bool {
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if s.families[f] && s.knows(s.group.detector.Known.Family(f)) {
			return true
		}
	}
	return false
}

// concerns reports whether an RRset of which no address is known is worth a
// word: where the machine has none of that family, just what is there already.
func (s *nameSet) concerns(observed []netip.Addr) bool { return len(observed) > 0 || !s.anyAddress() }

// desired is what each name should hold while the addresses are as found.
func (s *nameSet) desired(found detect.Found) iter.Seq2[string, *plan.Desired] {
	own := s.hold(found.Addrs, found.Source)
	return func(yield func(string, *plan.Desired) bool) {
		for _, name := range s.names {
			d := own
			if s.ids != nil {
				addrs, _ := s.group.deviceAddrs(s.ids[name], found.Network)
				d = s.hold(addrs, found.Network.Source)
			}
			if !yield(name, d) {
				return
			}
		}
	}
}

// hold is what a name should hold that has these addresses.
func (s *nameSet) hold(addrs []netip.Addr, source string) *plan.Desired {
	d := &plan.Desired{TTL: time.Duration(s.group.TTL), UpdateOnly: s.group.updateOnly(), Withdraw: s.group.withdraw(), Class: plan.Own}
	if len(addrs) > 0 {
		d.State, d.Addrs, d.Source = plan.Set, addrs, source
	}
	return d
}

// logRefused logs which devices have addresses that may not be published.
func (s *nameSet) logRefused(found detect.Found, logger *zap.Logger) {
	if s.ids == nil {
		return
	}
	for _, name := range s.names {
		if _, refused := s.group.deviceAddrs(s.ids[name], found.Network); refused != "" {
			logger.Warn("not publishing an address of a device", zap.String("zone", dnsname.Display(s.zone)),
				zap.String("name", name), zap.String("reason", refused))
		}
	}
}
