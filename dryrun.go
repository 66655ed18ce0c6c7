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
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/probe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// dryRun reads all zones at once and says what would change. tell, which may be
// nil, is told how far it has come.
func (a *App) dryRun(ctx context.Context, tell func(string)) *status.Plan {
	zones := a.current().zones
	p := &status.Plan{Groups: []status.GroupStatus{}, Zones: make([]status.ZonePlan, len(zones))}
	own := make(map[*zone.Zone]bool)
	for _, z := range zones {
		own[z.zone] = true
	}
	read := counter(tell)
	var served []status.ZonePlan
	var wg sync.WaitGroup
	if server, ok := serverOf(a.ctx); ok {
		wg.Go(func() { served = server.Plan(ctx, func(z *zone.Zone) bool { return !own[z] }, read) })
	}
	for i, z := range zones {
		wg.Go(func() {
			defer read()()
			p.Zones[i] = z.dryRun(ctx)
		})
	}
	wg.Wait()
	p.Time = show.Stamp(time.Now())
	p.Zones = append(p.Zones, served...)
	for _, g := range a.groups {
		p.Groups = append(p.Groups, g.status())
	}
	return p
}

// planServer says what would change in the zones of a configuration that has
// dyndns handlers alone.
func planServer(ctx context.Context, server server, tell func(string)) *status.Plan {
	zones := server.Plan(ctx, func(*zone.Zone) bool { return true }, counter(tell))
	return &status.Plan{Time: show.Stamp(time.Now()), Groups: []status.GroupStatus{}, Zones: zones}
}

// counter counts zones that are being read, and those that have been.
func counter(tell func(string)) (read func() (done func())) {
	if tell == nil {
		return func() func() { return func() {} }
	}
	var mu sync.Mutex
	var begun, done int
	count := func(n *int) {
		mu.Lock()
		defer mu.Unlock()
		*n++
		tell(fmt.Sprintf("reading zones, %d of %d done", done, begun))
	}
	return func() func() {
		count(&begun)
		return func() { count(&done) }
	}
}

// dryRun reads the zone and says what would change, of what clients have told
// of it, too.
func (z *managedZone) dryRun(ctx context.Context) status.ZonePlan {
	if !slices.ContainsFunc(z.sets, (*nameSet).anyAddress) {
		return show.NoPlan(z.zone.Name, z.backend.Provider, "no address is known")
	}
	observed, known, err := z.zone.DryRun(ctx)
	if err != nil {
		return show.NoPlan(z.zone.Name, z.backend.Provider, err.Error())
	}
	return show.Plan(z.zone.Name, z.backend.Provider, observed, known, func(key plan.Key, there []netip.Addr) (reason string) {
		z.each(func(set *nameSet, own plan.Key) {
			if own == key && set.concerns(there) {
				reason = set.whyUnknown(key, false)
			}
		})
		return reason
	})
}

func doctorCommand() *cobra.Command {
	cmd := subcommand("doctor", "Says why it does not work, and what to change", `
Asks each IP source, the router, the DNS provider, and public DNS, says of each
answer whether it is as it should be, and what to change where it is not. It
writes nothing, and takes at most 30 seconds.

It looks at the configuration that the running Caddy has; with --config, or
where none runs, at that file's or the Caddyfile's of this directory. For what
the configuration takes from the environment, run it in that of Caddy.

The exit status is 0 if all is well, 2 if something is wrong, and 1 if that
cannot be told.`, runDoctor)
	cmd.Example = "  caddy dynamic-dns doctor\n  caddy dynamic-dns doctor --config /etc/caddy/Caddyfile"
	cmd.Flags().String("resolver", "", "The DNS resolver to ask, instead of the system's")
	return cmd
}

func runDoctor(c *console, fl caddycmd.Flags) (int, error) {
	var d *status.Diagnosis
	err := c.wait("asking IP sources, the provider and DNS", func() (err error) {
		d, err = diagnose(fl)
		return err
	})
	if err == nil {
		err = c.show(d, d.Text)
	}
	switch {
	case err != nil:
		return exitUnknown, err
	case d.Verdict == status.VerdictWrong:
		return exitNotInSync, nil
	case d.Verdict == status.VerdictUnknown:
		return exitUnknown, errors.New("not all could be told")
	}
	return exitInSync, nil
}

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
	case errors.Is(err, errNothing):
		return nil, err
	case err != nil:
		facts.Refused = show.OneLine(err.Error())
	default:
		defer func() { _ = app.Cleanup() }()
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
	case strings.HasPrefix(err.Error(), "performing request:"):
		return nil, "" // nobody is there
	}
	return nil, show.OneLine(err.Error())
}

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
	subject.Routers = a.routers(subject.Groups)
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
	probe.Look(ctx, subject, &probe.World{Path: pathOf, Finder: finder, Listen: probe.Listen}, facts)
	for i := range facts.Zones {
		z := &facts.Zones[i]
		for j := range z.Records {
			r, set := &z.Records[j], sets[i][j]
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
