package dynamicdns

import (
	"math/rand/v2"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// jitter gives each round of a schedule its random numbers. Tests make it
// repeatable.
var jitter = func(int) func() float64 { return rand.Float64 }

// managed is what a configuration has of its zones.
type managed struct {
	// names are those that it was made of.
	names *naming
	zones []*managedZone
	// mu guards the holders of the zones.
	mu sync.Mutex
	// left is set once the zones are given back.
	left bool
	// released is set once they may end.
	released bool
	// member is this instance's part in a cluster, or nil. rejoin makes it one
	// by this configuration again.
	member *cluster.Member
	rejoin func()
	// clients are the zones of the DDNS server that the member shares.
	clients *clientZones

	ledgers *conf.Ledgers
	// awaited reports whether a running configuration may come to manage an
	// FQDN, and served whether clients may update a host.
	awaited, served func(name string) bool
	// withdrawing is set once something is withdrawn although the configuration
	// has ended, and ending is done when that is.
	withdrawing bool
	ending      sync.WaitGroup
}

// clientZones are the zones of the DDNS server that a member shares. Some are
// found while it runs.
type clientZones struct {
	mu    sync.Mutex
	zones []cluster.Zone
}

func (c *clientZones) add(z cluster.Zone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.zones = append(c.zones, z)
}

func (c *clientZones) all() []cluster.Zone {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.zones)
}

// managedZone is what a configuration has of one zone at one provider.
type managedZone struct {
	zone    *zone.Zone
	backend *zone.Backend
	sets    []*nameSet
	holder  *zone.Holder
	// member is that of managed.
	member *cluster.Member
	// unsubscribe ends the notice of changes by others.
	unsubscribe func()
}

// zoneID is what instances that share a zone call it.
func (z *managedZone) zoneID() lease.ZoneID {
	return lease.ZoneID{Zone: z.zone.Name, Provider: z.backend.Provider.Name}
}

// wire takes the zones of the groups. common is what the backends of all zones
// have in common.
func (m *managed) wire(common zone.Backend) {
	byKey := make(map[zone.Key]*managedZone)
	for _, g := range m.names.groups {
		for _, set := range g.nameSets() {
			key := zone.Key{Config: g.providerKey, Module: g.provider.Name, Zone: set.zone}
			z := byKey[key]
			if z == nil {
				backend := common
				backend.Provider, backend.Memory.Config = g.provider, g.providerKey[:8]
				z = &managedZone{zone: zone.Shared.Acquire(key), backend: &backend, member: m.member}
				if z.member != nil {
					backend.May = func() bool { return z.member.Writes(z.zoneID()) }
				}
				byKey[key] = z
				m.zones = append(m.zones, z)
			}
			z.sets = append(z.sets, set)
			if g.search != nil {
				z.backend.Observer = &observe.Doubting{Observer: common.Observer, Search: g.search}
			}
		}
	}
}

// detectors are those of the groups that have names, or may come to have some.
func detectors(groups []*group) []*detect.Detector {
	var all []*detect.Detector
	for _, g := range groups {
		if (g.awaits() || len(g.nameSets()) > 0) && !slices.Contains(all, g.detector) {
			all = append(all, g.detector)
		}
	}
	return all
}

// feed has the zones hold what a detector found.
func (m *managed) feed(d *detect.Detector, f ipaddr.Family, found detect.Found) {
	for _, z := range m.zones {
		if slices.ContainsFunc(z.sets, func(s *nameSet) bool { return s.group.detector == d }) {
			z.set(d, f, found)
		}
	}
}

// log says once per start what is managed.
func (m *managed) log(logger *zap.Logger) {
	var names []string
	count := 0
	for _, z := range m.zones {
		names = append(names, dnsname.Display(z.zone.Name))
		for _, set := range z.sets {
			count += len(set.names)
		}
	}
	slices.Sort(names)
	logger.Info("managing DNS records", zap.Strings("zones", slices.Compact(names)), zap.Int("names", count))
}

// set has the zone hold what comes of what a detector found of one family. It is
// set at once, so that names and devices are written together.
func (z *managedZone) set(d *detect.Detector, f ipaddr.Family, found detect.Found) {
	for _, set := range z.sets {
		if set.group.detector == d && set.families[f] {
			set.logRefused(found, z.backend.Logger)
		}
	}
	if z.member != nil {
		z.member.Poke()
		return
	}
	z.holder.SetEach(func(yield func(plan.Key, *plan.Desired) bool) {
		for _, set := range z.sets {
			if set.group.detector != d || !set.families[f] || !set.knows(found) {
				continue
			}
			for name, desired := range set.desired(found) {
				if !yield(plan.Key{Name: name, Family: f}, desired) {
					return
				}
			}
		}
	})
}

// desired is all that the zone should hold, as far as is known now.
func (z *managedZone) desired() map[plan.Key]*plan.Desired {
	if z.member != nil {
		return z.member.Desired(z.zoneID())
	}
	all := make(map[plan.Key]*plan.Desired)
	for _, set := range z.sets {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if set.families[f] {
				for name, d := range set.desired(set.group.detector.Known.Family(f)) {
					all[plan.Key{Name: name, Family: f}] = d
				}
			}
		}
	}
	return all
}

// eachName calls fn for all names of the configuration.
func (z *managedZone) eachName(fn func(name string)) {
	for _, set := range z.sets {
		for _, name := range set.names {
			fn(name)
		}
	}
}

// eachName calls fn for all names, and their zones.
func (m *managed) eachName(fn func(z *managedZone, name string)) {
	for _, z := range m.zones {
		z.eachName(func(name string) { fn(z, name) })
	}
}

// each calls fn for all RRsets of the configuration.
func (z *managedZone) each(fn func(*nameSet, plan.Key)) {
	for _, set := range z.sets {
		for _, name := range set.names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if set.families[f] {
					fn(set, plan.Key{Name: name, Family: f})
				}
			}
		}
	}
}

// expect creates the series of a group before anything happens: to Prometheus
// a series that appears with the value one has not increased.
func expect(c *observe.Counts, g *group) {
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !g.finds(f) {
			continue
		}
		for _, src := range g.detector.Sources {
			c.Checks.WithLabelValues(src.Name, f.String(), string(detect.ResultOK))
		}
		for zone := range g.zones {
			c.Changes.WithLabelValues(dnsname.Display(zone), g.provider.Name, f.RRType())
		}
	}
	for zone := range g.devices {
		c.Changes.WithLabelValues(dnsname.Display(zone), g.provider.Name, ipaddr.V6.RRType())
	}
}
