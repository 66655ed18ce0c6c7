package dynamicdns

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// server is the app of the dyndns handlers, as far as this one is concerned.
type server interface {
	// Serves reports whether clients may update the host.
	Serves(host string) bool
	// ServerStatus is what is known of the clients, and of the zones that
	// their hosts are in.
	ServerStatus(now time.Time) ([]status.ClientStatus, []status.ZoneStatus)
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

// DNSProvider is the configuration of the provider that dyndns handlers use
// which name none.
func (a *App) DNSProvider() json.RawMessage { return a.providerRaw }

// ZoneNames are the zones that dyndns handlers use which name none.
func (a *App) ZoneNames() []string {
	zones := make(map[string]bool)
	for _, g := range a.groups {
		for zone := range g.zones {
			zones[dnsname.Display(zone)] = true
		}
	}
	return slices.Sorted(maps.Keys(zones))
}

// Manages calls fn for each full name that is managed, those of sites apart.
func (a *App) Manages(fn func(host string)) {
	for _, g := range a.groups {
		for zone, names := range g.zones {
			for _, name := range names {
				fn(strings.TrimSuffix(dnsname.Absolute(name, zone), "."))
			}
		}
	}
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

// withServer adds what is known of the clients to the status.
func withServer(s *status.Status) *status.Status {
	if server, ok := serverOf(caddy.ActiveContext()); ok {
		var zones []status.ZoneStatus
		s.Clients, zones = server.ServerStatus(s.Time)
		for _, z := range zones {
			s.InSync = status.BothInSync(s.InSync, z.InSync)
			s.Zones = append(s.Zones, z)
		}
	}
	return s
}

// currentStatus is the status of the configuration that is running, which may
// have dyndns handlers alone.
func currentStatus(now time.Time) (*status.Status, error) {
	app, err := activeApp()
	if err == nil {
		return withServer(app.status(now)), nil
	}
	if _, ok := serverOf(caddy.ActiveContext()); !ok {
		return nil, err
	}
	return withServer(&status.Status{
		Time: show.Stamp(now), VerifyInterval: defaultVerifyInterval.Seconds(),
		Groups: []status.GroupStatus{}, Zones: []status.ZoneStatus{}, InSync: new(true),
	}), nil
}

// Measure implements observe.Measurer.
func (a *App) Measure() (*observe.Counts, *status.Status) {
	return a.observer.Counts, withServer(a.status(time.Now()))
}

var _ observe.Measurer = (*App)(nil)
