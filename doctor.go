package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/probe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// pathOf and routerModules are variables for tests.
var (
	pathOf        = probe.Path
	routerModules = []string{"natpmp", "upnp"}
)

// diagnoseTimeout leaves some of the command's 30 seconds for what comes
// before.
const diagnoseTimeout = 25 * time.Second

// diagnose loads the configuration and looks at all that it depends on.
func diagnose(fl caddycmd.Flags) (*status.Diagnosis, error) {
	ctx, cancel := context.WithTimeout(context.Background(), diagnoseTimeout)
	defer cancel()
	finder, err := probe.Resolver(fl.String("resolver"))
	if err != nil {
		return nil, err
	}
	facts := &doctor.Facts{Now: time.Now()}
	app, err := examined(ctx, fl, facts)
	switch {
	case errors.Is(err, errNothing), errors.Is(err, errNoNames):
		return nil, err
	case err != nil:
		facts.Refused = show.OneLine(err.Error())
	default:
		defer app.giveBack()
		if err := app.examine(ctx, finder, facts); err != nil {
			return nil, err
		}
	}
	return status.NewDiagnosis(facts.Now, doctor.Judge(facts)), nil
}

// examined returns the app that is to be looked at, not started, and asks the
// running Caddy for its status.
func examined(ctx context.Context, fl caddycmd.Flags, facts *doctor.Facts) (app *App, err error) {
	facts.Admin, err = caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		facts.Admin = caddy.DefaultAdminListen
	}
	facts.Running, facts.Silence = runningStatus(ctx, facts.Admin)
	if err != nil {
		return nil, err
	}
	raw, err := configToExamine(ctx, fl, facts)
	if err != nil {
		return nil, err
	}
	return provisionOnly(raw)
}

var errNothing = errors.New("there is no configuration to look at")

// runningStatus asks the running Caddy, if there is one.
func runningStatus(ctx context.Context, admin string) (*status.Status, string) {
	var s status.Status
	err := askAdmin(ctx, admin, adminBase+"status", &s)
	switch {
	case err == nil:
		return &s, ""
	case unanswered(err):
		return nil, "" // nobody is there
	case strings.Contains(err.Error(), "HTTP 404"):
		return nil, "dynamic_dns is not in its configuration, or not in its build"
	}
	return nil, show.OneLine(err.Error())
}

// unanswered reports whether an error of Caddy's client says that none answers,
// rather than something else: it has no type.
func unanswered(err error) bool { return strings.HasPrefix(err.Error(), "performing request:") }

// askAdmin asks the admin endpoint, which takes no context.
func askAdmin(ctx context.Context, admin, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	asked := make(chan error, 1)
	var body []byte
	go func() {
		resp, err := caddycmd.AdminAPIRequest(admin, http.MethodGet, path, http.Header{}, nil)
		if err == nil {
			defer resp.Body.Close()
			body, err = io.ReadAll(resp.Body)
		}
		asked <- err
	}()
	select {
	case err := <-asked:
		if err != nil {
			return err
		}
		return json.Unmarshal(body, into)
	case <-ctx.Done():
		return errors.New("no answer in time")
	}
}

// configToExamine is that of the file, or the running one, or the Caddyfile of
// this directory.
func configToExamine(ctx context.Context, fl caddycmd.Flags, facts *doctor.Facts) ([]byte, error) {
	var raw json.RawMessage
	if fl.String("config") == "" && facts.Running != nil && askAdmin(ctx, facts.Admin, "/config/", &raw) == nil {
		facts.Variable = placeholders.UnsetIn(string(raw))
		return raw, nil
	}
	raw, _, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
	if err == nil && len(raw) == 0 {
		err = fmt.Errorf("%w: no Caddy with dynamic_dns answers at %s, and there is no Caddyfile here; write --config and the file, or --address", errNothing, facts.Admin)
	}
	return raw, err
}

// giveBack gives back what an app holds that was looked at.
func (a *App) giveBack() {
	if server, ok := serverOf(a.ctx); ok {
		_ = server.Cleanup()
	}
	if len(a.groups) > 0 {
		_ = a.Cleanup()
	}
}

// examine looks at all that the app depends on, and says what its records
// should hold.
func (a *App) examine(ctx context.Context, finder *delegation.Finder, facts *doctor.Facts) error {
	finding, cancel := context.WithTimeout(ctx, diagnoseTimeout/3)
	defer cancel()
	names, err := a.findOnce(finding)
	if err != nil {
		return err
	}
	for _, g := range a.groups {
		s := g.status()
		for _, n := range s.Lacking() {
			facts.Homeless = append(facts.Homeless, doctor.Homeless{Name: n.Name, Provider: g.provider.Name, Reason: n.Reason})
		}
	}
	subject := &probe.Subject{Ports: a.ports()}
	index := make(map[*detect.Detector]int)
	for _, g := range a.groups {
		if _, ok := index[g.detector]; ok {
			continue
		}
		index[g.detector] = len(subject.Groups)
		one := probe.Group{Name: g.name(), Families: g.detector.Families}
		for _, src := range g.detector.Sources {
			_, configured := src.IPSource.(ipsources.Configured)
			one.Sources = append(one.Sources, probe.Source{
				IPSource: src.IPSource, Name: src.Name,
				Refuse: func(addr netip.Addr) string { return g.detector.Filter.Refuse(addr, configured) },
			})
		}
		subject.Groups = append(subject.Groups, one)
	}
	if len(subject.Groups) > 0 {
		subject.Routers = a.routers(subject.Groups)
	}
	type place struct{ provider, zone string }
	zones := make(map[place]int)
	var sets [][]*nameSet // of each zone's records
	for _, g := range names.groups {
		for _, set := range g.nameSets() {
			at, ok := zones[place{g.providerKey, set.zone}]
			if !ok {
				at = len(subject.Zones)
				zones[place{g.providerKey, set.zone}] = at
				subject.Zones, sets = append(subject.Zones, probe.Zone{Name: set.zone, Provider: g.provider}), append(sets, nil)
			}
			for _, name := range set.names {
				for f := ipaddr.V4; f < ipaddr.Families; f++ {
					if set.families[f] {
						subject.Zones[at].Records = append(subject.Zones[at].Records, doctor.Record{
							Name: name, FQDN: dnsname.Display(dnsname.Absolute(name, set.zone)), Family: f, UpdateOnly: g.updateOnly(),
						})
						sets[at] = append(sets[at], set)
					}
				}
			}
		}
	}
	a.examineServer(finding, subject, facts)
	probe.Look(ctx, subject, &probe.World{Path: pathOf, Finder: finder, Listen: probe.Listen}, facts)
	for i := range facts.Zones {
		z := &facts.Zones[i]
		for j := range z.Records {
			r := &z.Records[j]
			if r.Desired != nil {
				continue // it is on record
			}
			set := sets[i][j]
			if a.Cluster == nil {
				r.Desired = set.desiredOf(r.Name, found(&facts.Groups[index[set.group.detector]], r.Family))
			}
			if r.Desired == nil {
				r.Desired = facts.RunningDesired(z, r)
			}
		}
	}
	return nil
}

// examineServer adds the zones of the dyndns handlers, and what is on record of
// their clients' hosts.
func (a *App) examineServer(ctx context.Context, subject *probe.Subject, facts *doctor.Facts) {
	server, ok := serverOf(a.ctx)
	if !ok {
		return
	}
	err := server.Examine(ctx, func(zone string, p *provider.Provider, name string, f ipaddr.Family, addrs []netip.Addr) {
		at := slices.IndexFunc(subject.Zones, func(z probe.Zone) bool { return z.Name == zone && z.Provider.SharesAccount(p) })
		if at < 0 {
			at = len(subject.Zones)
			subject.Zones = append(subject.Zones, probe.Zone{Name: zone, Provider: p})
		}
		if len(addrs) > 0 {
			subject.Zones[at].Records = append(subject.Zones[at].Records, doctor.Record{
				Name: name, FQDN: dnsname.Display(dnsname.Absolute(name, zone)), Family: f, Desired: ipaddr.Sort(addrs),
			})
		}
	}, func(host string, p *provider.Provider, reason error) {
		facts.Homeless = append(facts.Homeless, doctor.Homeless{Name: host, Provider: p.Name, Reason: show.OneLine(reason.Error())})
	})
	if err != nil {
		facts.Unread = show.OneLine(err.Error())
	}
}

// found is what the sources have just answered, as if a check had found it.
func found(g *doctor.Group, f ipaddr.Family) detect.Found {
	from := g.Find(f)
	out := detect.Found{Addrs: from.Addrs, Source: from.Source}
	if f == ipaddr.V6 {
		out.Network.Source = from.Source
		for _, addr := range from.Addrs {
			out.Network.Prefixes = append(out.Network.Prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return out
}

// desiredOf is what one name should hold.
func (s *nameSet) desiredOf(name string, found detect.Found) []netip.Addr {
	for n, d := range s.desired(found) {
		if n == name {
			return d.Addrs
		}
	}
	return nil
}

// routers are the sources by which the default gateway is asked, other than
// those of the configuration.
func (a *App) routers(groups []probe.Group) (routers []probe.Source) {
	for _, name := range routerModules {
		if slices.ContainsFunc(groups, func(g probe.Group) bool {
			return g.Families[ipaddr.V4] && slices.ContainsFunc(g.Sources, func(s probe.Source) bool { return s.Name == name })
		}) {
			continue
		}
		module, err := a.ctx.LoadModuleByID("dynamic_dns.ip_sources."+name, nil)
		if src, ok := module.(ipsources.IPSource); ok && err == nil {
			routers = append(routers, probe.Source{IPSource: src, Name: name, Refuse: ipaddr.SpecialPurpose})
		}
	}
	return routers
}

// ports are where the built-in name server listens, if it is configured.
func (a *App) ports() (ports []doctor.Port) {
	app, err := a.ctx.AppIfConfigured("nameserver")
	server, ok := app.(interface {
		Serves() (listen, zones []string)
	})
	if err != nil || !ok {
		return nil
	}
	listen, zones := server.Serves()
	for _, at := range listen {
		if !strings.HasPrefix(at, "fd") {
			ports = append(ports, doctor.Port{Listen: at, Zones: zones})
		}
	}
	return ports
}
