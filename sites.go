package dynamicdns

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// autoHTTPSServer is the server that automatic HTTPS adds for redirects. Its
// routes repeat hosts of sites.
const autoHTTPSServer = "remaining_auto_https_redirects"

// siteHosts remembers the hosts that dynamic_domains took from the sites, to
// log after a reload which are gone. It outlives configurations.
type siteHosts struct {
	mu    sync.Mutex
	fqdns map[string]bool
}

// Destruct implements caddy.Destructor.
func (*siteHosts) Destruct() error { return nil }

// takenSites are the FQDNs that were taken from the sites, and all that are
// managed.
type takenSites struct {
	taken, kept map[string]bool
}

// takeSites adds the hosts of the http app's sites to the groups with
// dynamic_domains. It must not run before Start: the http app may provision
// this one, and would get it half done.
func takeSites(ctx caddy.Context, groups []*group) (takenSites, error) {
	var hosts []string
	if slices.ContainsFunc(groups, (*group).dynamicDomains) {
		var err error
		if hosts, err = hostsOfSites(ctx); err != nil {
			return takenSites{}, err
		}
	}
	var zones []string
	explicit := make(map[absoluteKey]bool)
	kept := make(map[string]bool)
	for _, g := range groups {
		for zone, names := range g.zones {
			// All zones count: nobody sees records of a zone's names in a
			// parent zone.
			zones = append(zones, zone)
			for _, name := range names {
				kept[dnsname.Absolute(name, zone)] = true
				for _, key := range g.rrsets(name, zone) {
					explicit[key] = true
				}
			}
		}
		for key, here := range g.deviceRRsets() {
			zones = append(zones, here.zone)
			kept[key.fqdn], explicit[key] = true, true
		}
	}
	taken := make(map[string]bool)
	var outside []string
	for _, host := range hosts {
		zone, name, _ := dnsname.Match(host, zones)
		fqdn := dnsname.Absolute(name, zone)
		inside := false
		for _, g := range groups {
			names, listed := g.zones[zone]
			if !listed || !g.dynamicDomains() {
				continue
			}
			inside = true
			if g.except[host] {
				continue
			}
			taken[fqdn], kept[fqdn] = true, true
			g.take(name, zone, names, explicit)
		}
		if !inside {
			outside = append(outside, host)
		}
	}
	if len(outside) > 0 {
		ctx.Logger().Debug("hosts in no zone of dynamic_domains", zap.Strings("hosts", outside))
	}
	return takenSites{taken, kept}, nil
}

// take adds the name of a site for the families for which the configuration
// does not list it explicitly.
func (g *group) take(name, zone string, names []string, explicit map[absoluteKey]bool) {
	all := g.rrsets(name, zone)
	free := slices.DeleteFunc(slices.Clone(all), func(key absoluteKey) bool { return explicit[key] })
	if len(free) == len(all) {
		g.zones[zone] = append(names, name)
		return
	}
	for _, key := range free {
		g.addPartly(name, zone, key.family)
	}
}

// logGone logs which hosts were managed before a reload and no longer are. Call
// it once the configuration runs: one that fails changes nothing.
func (h *siteHosts) logGone(now takenSites, logger *zap.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var gone []string
	for fqdn := range h.fqdns {
		if !now.kept[fqdn] {
			gone = append(gone, strings.TrimSuffix(fqdn, "."))
		}
	}
	h.fqdns = now.taken
	if len(gone) > 0 {
		slices.Sort(gone)
		logger.Info("hosts are no longer taken from the sites; where withdraw is off, their DNS records stay as they are", zap.Strings("hosts", gone))
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
	// ServerStatus is what is known of the clients, and of the zones that
	// their hosts are in.
	ServerStatus(now time.Time) ([]status.ClientStatus, []status.ZoneStatus)
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
func checkServed(ctx caddy.Context, taken takenSites) error {
	server, ok := serverOf(ctx)
	if !ok {
		return nil
	}
	for _, fqdn := range slices.Sorted(maps.Keys(taken.taken)) {
		if host := strings.TrimSuffix(fqdn, "."); server.Serves(host) {
			return fmt.Errorf("the host %q is managed twice: dynamic_domains takes it from a site, and a user of dyndns may update it; write `except %s` in the dynamic_dns block, or leave it out of the user's hosts", host, host)
		}
	}
	return nil
}
