package dynamicdns

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// zones are the zones of all configurations.
var zones zone.Registry

// jitter gives each round of a schedule its random numbers. Tests put in what
// can be repeated.
var jitter = func(int) func() float64 { return rand.Float64 }

// managedZone is what the configuration has of a zone at one provider.
type managedZone struct {
	zone    *zone.Zone
	backend *zone.Backend
	claims  []*claim
	holder  *zone.Holder
}

// claim is what one group has of a zone: names of which the same families are
// managed, and which all hold the same addresses.
type claim struct {
	group    *group
	names    []string
	families [ipaddr.Families]bool
}

// wire takes the zones of the groups, and makes the schedule that feeds them.
func (a *App) wire() *detect.Schedule {
	managed := make(map[zone.Key]*managedZone)
	readers := make(map[*detect.Detector][]func(ipaddr.Family, detect.Found))
	var detectors []*detect.Detector
	for _, g := range a.groups {
		a.observer.counts.expect(g)
		for _, s := range g.nameSets() {
			if !slices.Contains(detectors, g.detector) {
				detectors = append(detectors, g.detector)
			}
			key := zone.Key{Config: g.providerKey, Module: g.provider.Name, Zone: s.zone}
			z := managed[key]
			if z == nil {
				z = &managedZone{zone: zones.Acquire(key), backend: &zone.Backend{
					Provider: g.provider, Memory: zone.Memory{Storage: a.ctx.Storage(), Config: g.providerKey[:8]},
					VerifyEvery: time.Duration(a.VerifyInterval), Observer: a.observer, Logger: a.logger,
				}}
				managed[key] = z
				a.zones = append(a.zones, z)
			}
			c := &claim{g, s.names, s.families}
			z.claims = append(z.claims, c)
			readers[g.detector] = append(readers[g.detector], func(f ipaddr.Family, found detect.Found) { z.set(c, f, found) })
		}
	}
	tell := func(d *detect.Detector, f ipaddr.Family, found detect.Found) {
		for _, read := range readers[d] {
			read(f, found)
		}
	}
	s := detect.NewSchedule(detectors, time.Duration(a.CheckInterval), tell, a.logger)
	s.Randomize(jitter)
	return s
}

// attach takes the zones over from the configuration before, unless the app
// was stopped meanwhile.
func (a *App) attach() {
	a.attaching.Lock()
	defer a.attaching.Unlock()
	if a.left {
		return
	}
	for _, z := range a.zones {
		z.holder = z.zone.Attach(z.backend, z.desired(), func(h *zone.Holder) { h.Claim(z.desired()) })
	}
}

// detach gives the zones back to the configuration that had them before, if
// that goes on running.
func (a *App) detach() {
	a.attaching.Lock()
	defer a.attaching.Unlock()
	a.left = true
	for _, z := range a.zones {
		if z.holder != nil {
			z.holder.Release()
		}
	}
}

// desired is all that the zone should hold, as far as is known now.
func (z *managedZone) desired() map[plan.Key]*plan.Desired {
	all := make(map[plan.Key]*plan.Desired)
	for _, c := range z.claims {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if c.families[f] {
				d := c.desired(c.group.detector.Known.Family(f))
				for _, name := range c.names {
					all[plan.Key{Name: name, Family: f}] = d
				}
			}
		}
	}
	return all
}

// set changes the addresses of one family.
func (z *managedZone) set(c *claim, f ipaddr.Family, found detect.Found) {
	if !c.families[f] || len(found.Addrs) == 0 {
		return
	}
	keys := make([]plan.Key, len(c.names))
	for i, name := range c.names {
		keys[i] = plan.Key{Name: name, Family: f}
	}
	z.holder.Set(c.desired(found), keys...)
}

func (c *claim) desired(found detect.Found) *plan.Desired {
	d := &plan.Desired{TTL: time.Duration(c.group.TTL), UpdateOnly: c.group.updateOnly(), Class: plan.Own}
	if len(found.Addrs) > 0 {
		d.State, d.Addrs, d.Source = plan.Set, found.Addrs, found.Source
	}
	return d
}

// logManaged says once per start what is managed.
func (a *App) logManaged() {
	var names []string
	count := 0
	for _, z := range a.zones {
		names = append(names, dnsname.Display(z.zone.Name))
		for _, c := range z.claims {
			count += len(c.names)
		}
	}
	slices.Sort(names)
	a.logger.Info("managing DNS records", zap.Strings("zones", slices.Compact(names)), zap.Int("names", count))
}

// nameSet are names of one zone of which the same families are managed.
type nameSet struct {
	zone     string
	names    []string
	families [ipaddr.Families]bool
}

// nameSets returns the names of the group, those of dynamic_domains too, in
// a stable order.
func (g *group) nameSets() []nameSet {
	var sets []nameSet
	add := func(zones map[string][]string, enabled [ipaddr.Families]bool) {
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			if names := slices.Sorted(slices.Values(zones[zone])); len(names) > 0 {
				sets = append(sets, nameSet{zone, slices.Clip(names), enabled})
			}
		}
	}
	add(g.zones, [ipaddr.Families]bool{ipaddr.V4: g.enabled(ipaddr.V4), ipaddr.V6: g.enabled(ipaddr.V6)})
	add(g.partly[ipaddr.V4], [ipaddr.Families]bool{ipaddr.V4: true})
	add(g.partly[ipaddr.V6], [ipaddr.Families]bool{ipaddr.V6: true})
	return sets
}
