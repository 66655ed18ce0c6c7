package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// autoHTTPSServer is the server that automatic HTTPS adds for redirects. Its
// routes repeat hosts of sites.
const autoHTTPSServer = "remaining_auto_https_redirects"

// siteHosts remembers the hosts that dynamic_domains took from the sites, to
// log after a reload which are gone, and what the running configurations may
// come to manage. It outlives configurations.
type siteHosts struct {
	mu      sync.Mutex
	fqdns   map[string]bool
	awaited map[any]map[string]bool
}

// await notes the FQDNs that a configuration may come to manage.
func (h *siteHosts) await(configuration any, fqdns map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.awaited == nil {
		h.awaited = make(map[any]map[string]bool)
	}
	if h.awaited[configuration] = fqdns; len(fqdns) == 0 {
		delete(h.awaited, configuration)
	}
}

// awaits reports whether a running configuration may come to manage the FQDN.
func (h *siteHosts) awaits(fqdn string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fqdns := range h.awaited {
		if fqdns[fqdn] {
			return true
		}
	}
	return false
}

// Destruct implements caddy.Destructor.
func (*siteHosts) Destruct() error { return nil }

// naming is which names the groups have, as far as their zones are known.
type naming struct {
	// groups are copies that have the names.
	groups []*group
	// taken are the FQDNs that were taken from the sites, and kept all that
	// are managed, also those whose zone is not known.
	taken, kept map[string]bool
	// awaited are FQDNs that may come to be managed.
	awaited map[string]bool
	// outside are hosts of the sites that are in no zone of dynamic_domains.
	outside []string
	// contested says which hosts of the sites somebody else has.
	contested []string
}

// nameGroups gives the groups the names whose zones are known: those that are
// written in full, and for groups with dynamic_domains the hosts of the sites.
func nameGroups(groups []*group, sites []string, served func(host string) bool) *naming {
	n := &naming{taken: make(map[string]bool), kept: make(map[string]bool), awaited: make(map[string]bool)}
	// Names of sites are only taken where nobody has them.
	owned, zones := written(groups)
	for key := range owned {
		n.kept[key.fqdn] = true
	}
	for _, g := range groups {
		n.groups = append(n.groups, g.clone())
	}
	for i, g := range groups {
		for _, host := range g.hosts {
			if zone := g.zoneOf(host).Zone; zone != "" {
				name := dnsname.Relative(host, zone)
				n.groups[i].zones[zone] = append(n.groups[i].zones[zone], name)
			} else {
				n.awaited[host+"."] = true
			}
		}
	}
	for _, host := range sites {
		zone, _, _ := dnsname.Match(host, zones)
		if !n.takeListed(groups, host, zone, owned) && !n.takeFound(groups, host, zone, owned, served) {
			n.outside = append(n.outside, host)
		}
	}
	return n
}

// written returns the RRsets that are written in the configuration, and all of its
// zones: nobody sees records of a zone's names in a parent zone.
func written(groups []*group) (owned map[absoluteKey]bool, zones []string) {
	owned = make(map[absoluteKey]bool)
	for _, g := range groups {
		for zone, names := range g.zones {
			zones = append(zones, zone)
			for _, name := range names {
				for _, key := range g.rrsets(name, zone) {
					owned[key] = true
				}
			}
		}
		for f := range g.partly {
			for zone, names := range g.partly[f] {
				for _, name := range names {
					owned[absoluteKey{dnsname.Absolute(name, zone), ipaddr.Family(f)}] = true
				}
			}
		}
		for key, here := range g.deviceRRsets() {
			zones = append(zones, here.zone)
			owned[key] = true
		}
		for _, host := range g.hosts {
			for _, key := range g.rrsets("@", host+".") {
				owned[key] = true
			}
		}
	}
	return owned, zones
}

// offers returns the hosts of the sites that the group takes if the provider has
// their zones.
func (g *group) offers(groups []*group, sites []string) (offered []string) {
	if !g.open() {
		return nil
	}
	owned, zones := written(groups)
	for _, host := range sites {
		zone, _, _ := dnsname.Match(host, zones)
		taken := slices.ContainsFunc(groups, func(g *group) bool {
			_, listed := g.zones[zone]
			return listed && g.dynamicDomains()
		})
		free := slices.ContainsFunc(g.rrsets("@", host+"."), func(key absoluteKey) bool { return !owned[key] })
		// A name of one label is for this machine or its network.
		local := !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")
		if free && !taken && !local && !g.except[host] {
			offered = append(offered, host)
		}
	}
	return offered
}

// takeListed adds a host of the sites to the groups that have its zone and
// dynamic_domains. It reports whether there are any.
func (n *naming) takeListed(groups []*group, host, zone string, owned map[absoluteKey]bool) (inside bool) {
	for i, g := range groups {
		if _, listed := g.zones[zone]; !listed || !g.dynamicDomains() {
			continue
		}
		inside = true
		if !g.except[host] {
			n.take(n.groups[i], host, zone, owned)
		}
	}
	return inside
}

// takeFound adds a host of the sites to the groups with dynamic_domains and no
// zones whose provider has its zone: of several zones the longest, and nothing
// above a zone of the configuration. What an earlier group has is left to that.
// It reports whether there are such groups.
func (n *naming) takeFound(groups []*group, host, above string, owned map[absoluteKey]bool, served func(string) bool) (open bool) {
	longest, asked := above, true
	for _, g := range groups {
		if open = open || g.open(); !g.open() || g.except[host] {
			continue
		}
		a := g.known.Answer(host)
		if _, offered := slices.BinarySearch(g.offered, host); offered && a.Unasked() {
			asked = false
		}
		if len(a.Zone) > len(longest) {
			longest = a.Zone
		}
		if a.Unsettled() {
			n.awaited[host+"."] = true
		}
	}
	if !asked {
		// What one provider has may be another's once that has answered.
		return open
	}
	had := make(map[absoluteKey]*group)
	for i, g := range groups {
		if !g.open() || g.except[host] || g.known.Answer(host).Zone != longest || longest == "" {
			continue
		}
		if served(host) {
			n.contest(fmt.Sprintf("%s: a user of dyndns may update it; write `except %s` in the dynamic_dns block, or leave it out of the user's hosts", host, host))
			return open
		}
		for _, key := range g.rrsets("@", host+".") {
			switch other := had[key]; {
			case other != nil:
				n.contest(fmt.Sprintf("%s: the provider %s has its zone, too, and the records are kept at %s; write `except %s` beside one of them", host, g.provider.Name, other.provider.Name, host))
			case !owned[key]:
				had[key] = g
			}
		}
		n.take(n.groups[i], host, longest, owned)
		for key := range had {
			owned[key] = true
		}
	}
	return open
}

// contest notes that somebody else has a host, once.
func (n *naming) contest(what string) {
	if !slices.Contains(n.contested, what) {
		n.contested = append(n.contested, what)
	}
}

// take adds the host of a site to a group, for the families that nobody has.
func (n *naming) take(g *group, host, zone string, owned map[absoluteKey]bool) {
	name := dnsname.Relative(host, zone)
	n.taken[host+"."], n.kept[host+"."] = true, true
	all := g.rrsets(name, zone)
	free := slices.DeleteFunc(slices.Clone(all), func(key absoluteKey) bool { return owned[key] })
	if len(free) == len(all) {
		g.zones[zone] = append(g.zones[zone], name)
		return
	}
	for _, key := range free {
		g.addPartly(name, zone, key.family)
	}
}

// clone returns a copy of the group that may get further names.
func (g *group) clone() *group {
	c := *g
	copyOf := func(zones map[string][]string) map[string][]string {
		copied := make(map[string][]string, len(zones))
		for zone, names := range zones {
			copied[zone] = slices.Clone(names)
		}
		return copied
	}
	c.zones = copyOf(g.zones)
	for f := range g.partly {
		c.partly[f] = copyOf(g.partly[f])
	}
	return &c
}

// same reports whether the groups have the same names.
func (n *naming) same(other *naming) bool {
	return slices.EqualFunc(n.groups, other.groups, func(a, b *group) bool {
		return reflect.DeepEqual(a.zones, b.zones) && reflect.DeepEqual(a.partly, b.partly)
	}) && maps.Equal(n.awaited, other.awaited)
}

// logContested says which hosts of the sites are left to others, unless that was
// said before.
func (n *naming) logContested(before *naming, logger *zap.Logger) {
	for _, what := range n.contested {
		if before == nil || !slices.Contains(before.contested, what) {
			logger.Warn("a host of the sites is managed elsewhere", zap.String("host", what))
		}
	}
}

// logGone logs which hosts were managed before a reload and no longer are. Call
// it once the configuration runs: one that fails changes nothing.
func (h *siteHosts) logGone(now *naming, logger *zap.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var gone []string
	for fqdn := range h.fqdns {
		if !now.kept[fqdn] && !now.awaited[fqdn] {
			gone = append(gone, strings.TrimSuffix(fqdn, "."))
		}
	}
	fqdns := maps.Clone(now.taken)
	for fqdn := range h.fqdns {
		if now.awaited[fqdn] {
			fqdns[fqdn] = true
		}
	}
	h.fqdns = fqdns
	if len(gone) > 0 {
		slices.Sort(gone)
		logger.Info("hosts are no longer taken from the sites; where withdraw is off, their DNS records stay as they are", zap.Strings("hosts", gone))
	}
}

// checkExcept warns of hosts that are left out and that no site has.
func checkExcept(groups []*group, sites []string, logger *zap.Logger) {
	for _, g := range groups {
		for _, host := range slices.Sorted(maps.Keys(g.except)) {
			if slices.Contains(sites, host) {
				continue
			}
			advice := ""
			if i := slices.IndexFunc(sites, func(site string) bool { return strings.HasPrefix(site, host+".") }); i >= 0 {
				advice = fmt.Sprintf("; write its full name, as in `except %s`", sites[i])
			}
			logger.Warn("no site has a host that is to be left out"+advice, zap.String("host", host), zap.String("option", g.option("except")))
		}
	}
}

// hostsOfSites returns the hosts of all sites, sorted and each once, in
// lower-case ASCII.
func hostsOfSites(ctx caddy.Context) ([]string, error) {
	app, err := ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	httpApp, ok := app.(*caddyhttp.App)
	if !ok {
		return nil, nil
	}
	hosts := make(map[string]bool)
	repl := caddy.NewReplacer()
	add := func(host string) {
		resolved, err := repl.ReplaceOrErr(host, true, true)
		if err == nil {
			resolved, err = dnsname.Host(resolved)
		}
		if err != nil {
			ctx.Logger().Debug("host of a site is no DNS name", zap.String("host", host), zap.Error(err))
			return
		}
		hosts[resolved] = true
	}
	for name, server := range httpApp.Servers {
		if name != autoHTTPSServer {
			eachHost(server.Routes, add)
			for _, route := range server.NamedRoutes {
				eachHost(caddyhttp.RouteList{*route}, add)
			}
		}
	}
	return slices.Sorted(maps.Keys(hosts)), nil
}

// eachHost calls add for the hosts that the routes match, nested ones too.
// Automatic HTTPS adds routes of its own, whose matchers are no pointers.
func eachHost(routes caddyhttp.RouteList, add func(string)) {
	for _, route := range routes {
		for _, set := range route.MatcherSets {
			for _, matcher := range set {
				if match, ok := matcher.(*caddyhttp.MatchHost); ok {
					for _, host := range *match {
						add(host)
					}
				}
			}
		}
		for _, handler := range route.Handlers {
			if sub, ok := handler.(*caddyhttp.Subroute); ok {
				eachHost(sub.Routes, add)
			}
		}
	}
}

// server is the app of the dyndns handlers, as far as this one is concerned.
type server interface {
	// Serves reports whether clients may update the host.
	Serves(host string) bool
	// AddStatus adds to a status what is known of the clients, and of the zones
	// that their hosts are in. of returns the zone of the status that is the
	// same, or nil.
	AddStatus(s *status.Status, of func(*zone.Zone) *status.ZoneStatus)
	// Status is what the admin endpoint answers where there is no app but that.
	Status(now time.Time) *status.Status
	// Plan reads those zones and says what would change. of chooses the zones;
	// read is called when one begins to be read, and what it returns when it
	// has been.
	Plan(ctx context.Context, of func(*zone.Zone) bool, read func() (done func())) []status.ZonePlan
	// HoldReadOnly takes the zones of an app that is not started, with what is
	// on record, and never writes them.
	HoldReadOnly(ctx context.Context) error
	// Examine tells of these zones and of the addresses on record in them, of an
	// app that is not started. It calls place for each zone first, and nowhere for
	// a host whose zone is not known.
	Examine(ctx context.Context, place func(zone string, p *provider.Provider, name string, f ipaddr.Family, addrs []netip.Addr), nowhere func(host string, p *provider.Provider, reason error)) error
	// Cleanup gives back what it holds.
	Cleanup() error
	// Verify has these zones read now. The channels are closed when that is
	// done.
	Verify() []<-chan struct{}
}

// serverOf returns the app of a configuration's dyndns handlers, if there is
// one.
func serverOf(ctx caddy.Context) (server, bool) {
	app, err := ctx.AppIfConfigured("dyndns")
	if err != nil {
		return nil, false
	}
	s, ok := app.(server)
	return s, ok
}

// checkServed refuses hosts of sites that clients update, too.
func checkServed(ctx caddy.Context, names *naming) error {
	server, ok := serverOf(ctx)
	if !ok {
		return nil
	}
	for _, fqdn := range slices.Sorted(maps.Keys(names.taken)) {
		if host := strings.TrimSuffix(fqdn, "."); server.Serves(host) {
			return fmt.Errorf("the host %q is managed twice: dynamic_domains takes it from a site, and a user of dyndns may update it; write `except %s` in the dynamic_dns block, or leave it out of the user's hosts", host, host)
		}
	}
	return nil
}
