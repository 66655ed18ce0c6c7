package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/events"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// answerTimeout is how long a dry run or a check may take.
const answerTimeout = 30 * time.Second

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

// planFromConfig loads a configuration without starting it, asks the IP
// sources and reads the zones. tell is told what is being done.
func planFromConfig(file, adapter string, tell func(string)) (*status.Plan, error) {
	config, err := provisionFile(file, adapter)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	server, served := serverOf(config)
	if served {
		defer func() { _ = server.Cleanup() }()
	}
	app, err := config.AppIfConfigured("dynamic_dns")
	switch {
	case err == nil:
		a := app.(*App)
		defer func() { _ = a.Cleanup() }()
		return a.planOnce(ctx, tell)
	case !served:
		return nil, errNoNames
	}
	if err := server.HoldReadOnly(ctx); err != nil {
		return nil, err
	}
	return planServer(ctx, server, tell), nil
}

// notifyFromConfig sends a message to all recipients of a configuration.
func notifyFromConfig(file, adapter string) (*status.NotifyTest, error) {
	config, err := provisionFile(file, adapter)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return events.TestNotify(ctx, config)
}

// provisionFile loads the configuration of a file, and starts nothing.
func provisionFile(file, adapter string) (caddy.Context, error) {
	raw, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return caddy.Context{}, err
	}
	return provisionConfig(raw)
}

// provisionConfig loads a configuration, and starts nothing.
func provisionConfig(raw []byte) (caddy.Context, error) {
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(raw), &config); err != nil {
		return caddy.Context{}, fmt.Errorf("decoding config: %w", err)
	}
	// Its log files are the running Caddy's.
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "WARN", EncoderRaw: json.RawMessage(`{"format":"console"}`)}},
	}}
	return caddy.ProvisionContext(&config)
}

// errNoNames is the error where a configuration has nothing of ours.
var errNoNames = errors.New("the configuration has neither dynamic_dns nor a dyndns handler; write a dynamic_dns block into the global options (JSON: apps.dynamic_dns)")

// provisionOnly loads the app of a configuration, and starts nothing. Where
// there are dyndns handlers alone, it is one without names.
func provisionOnly(raw []byte) (*App, error) {
	ctx, err := provisionConfig(raw)
	if err != nil {
		return nil, err
	}
	value, err := ctx.AppIfConfigured("dynamic_dns")
	if err == nil {
		return value.(*App), nil
	}
	if _, ok := serverOf(ctx); ok {
		return &App{ctx: ctx}, nil
	}
	return nil, errNoNames
}

// planOnce makes a plan for an app that is not started.
func (a *App) planOnce(ctx context.Context, tell func(string)) (*status.Plan, error) {
	a.planning = true
	if _, err := a.findOnce(ctx); err != nil {
		return nil, err
	}
	if err := a.wire(); err != nil {
		return nil, err
	}
	a.takeOver()
	defer func() { a.current().detach(a.logger) }()
	tell("asking the IP sources")
	a.schedule.CheckOnce(ctx)
	if a.Cluster != nil {
		a.Cluster.member.Look(ctx)
	}
	if server, ok := serverOf(a.ctx); ok {
		if err := server.HoldReadOnly(ctx); err != nil {
			return nil, err
		}
	}
	return a.dryRun(ctx, tell), nil
}

// findOnce returns which names the groups have, once their zones were looked for.
func (a *App) findOnce(ctx context.Context) (*naming, error) {
	if err := a.readSites(); err != nil {
		return nil, err
	}
	var found sync.WaitGroup
	for _, s := range searches(a.groups, a.siteHosts, func() {}, a.logger) {
		found.Go(func() { s.Once(ctx) })
	}
	found.Wait()
	return nameGroups(a.groups, a.siteHosts, a.served), nil
}
