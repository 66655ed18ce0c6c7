// Package dynamicdns is a Caddy app that keeps A and AAAA records pointed at
// this machine while its addresses change, through any libdns provider.
//
// This package is what Caddy sees: the app and its configuration, the admin
// endpoint, the command, metrics and events. What can be understood without
// Caddy is in the packages below; docs/DESIGN.md says how they fit together.
package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/heartbeat"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/natpmp"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// watchAddresses and hearGateway are variables for tests.
var (
	watchAddresses = netmon.Watch
	hearGateway    = natpmp.ListenToGateway
)

// stopTimeout bounds how long Stop waits for goroutines, all of which should
// return at once.
const stopTimeout = 5 * time.Second

func init() {
	caddy.RegisterModule(new(App))
}

// App keeps A and AAAA records pointing at this machine. It learns the
// machine's public addresses from IP sources and reconciles the records of
// the configured domains with them, through any libdns provider.
//
// The settings of Group at this level describe one provider with its domains,
// and are what the entries of `providers` fall back to.
type App struct {
	Group

	// Further providers, each with domains of its own. What an entry leaves
	// out, other than `domains` and `except`, is taken from the settings
	// above.
	Providers []*Group `json:"providers,omitempty"`

	// How often the IP sources are asked, besides the times at which the
	// system reports an address change. Default: 5m. Minimum: 1s.
	CheckInterval caddy.Duration `json:"check_interval,omitempty"`

	// How often what the providers hold is read and compared with what it
	// should be, so that changes made by others are found and repaired.
	// Default: 1h. Minimum: 1m.
	VerifyInterval caddy.Duration `json:"verify_interval,omitempty"`

	// Whether the system's address and route changes are watched, and what
	// the default gateway announces by NAT-PMP or PCP, so that a change is
	// noticed at once and not only after `check_interval`.
	// Default: true.
	Watch *bool `json:"watch,omitempty"`

	// How this Caddy shares names with others that use the same storage.
	// Default: it does not.
	Cluster *Cluster `json:"cluster,omitempty"`

	// Tell a monitoring service that all is well.
	Heartbeat *Heartbeat `json:"heartbeat,omitempty"`

	// written is where the parts of the configuration were written, where a
	// Caddyfile is known.
	written places.Map

	ctx    caddy.Context
	logger *zap.Logger
	pooled conf.Pooled
	// sites outlives configurations, to know what the one before took from
	// its sites.
	sites  *siteHosts
	groups []*group
	// clients are the zones of the DDNS server.
	clients clientZones
	// searching looks for the zones of names, and memory has where earlier
	// processes have found them.
	searching []*finder.Search
	memory    *finder.Memory
	// siteHosts are the hosts of the sites, if dynamic_domains is on anywhere.
	siteHosts []string
	// providerRaw is the provider's configuration, as it was written.
	providerRaw json.RawMessage
	// managed is another one once zones of further names are found.
	managed atomic.Pointer[managed]
	// feeding is held while what is found is handed on, or managed replaced.
	feeding sync.Mutex
	// left is set once the zones are given back.
	left bool
	// planning is set for a configuration that is only planned from.
	planning bool
	schedule *detect.Schedule
	observer *observe.Observer
	cancel   context.CancelFunc
	// runCtx lasts from Start to Stop.
	runCtx context.Context
	// runs are those that people asked for; all who ask at a time share one.
	runs    singleflight.Group
	running sync.WaitGroup
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision loads the providers and IP sources and checks all that can be
// checked without a network.
func (a *App) Provision(ctx caddy.Context) error {
	a.managed.Store(&managed{clients: &a.clients})
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.providerRaw = a.DNSProviderRaw
	if a.CheckInterval == 0 {
		a.CheckInterval = caddy.Duration(defaultCheckInterval)
	}
	if d := time.Duration(a.CheckInterval); d < minCheckInterval {
		return fmt.Errorf("check_interval %s is too short; write %s or more", d, minCheckInterval)
	}
	if a.VerifyInterval == 0 {
		a.VerifyInterval = caddy.Duration(defaultVerifyInterval)
	}
	if d := time.Duration(a.VerifyInterval); d < minVerifyInterval {
		return fmt.Errorf("verify_interval %s is too short; write %s or more", d, minVerifyInterval)
	}
	if err := observe.Register(ctx); err != nil {
		return err
	}
	var err error
	if a.observer, err = observe.New(ctx, &a.pooled, a.takeOver); err != nil {
		return err
	}
	shared, err := a.pooled.Hold(conf.Key{Kind: "hosts"}, func() caddy.Destructor { return new(siteHosts) })
	if err != nil {
		return err
	}
	a.sites = shared.(*siteHosts)
	if shared, err = a.pooled.Hold(conf.Key{Kind: "found zones", Config: conf.StorageKey(ctx.Storage())}, func() caddy.Destructor { return finder.NewMemory() }); err != nil {
		return err
	}
	a.memory = shared.(*finder.Memory)
	if a.Heartbeat != nil {
		if err := a.Heartbeat.provision(a.logger); err != nil {
			return err
		}
	}
	if a.Cluster != nil {
		if err := a.Cluster.provision(&a.pooled); err != nil {
			return err
		}
	}
	if a.Cluster != nil && len(a.Providers) == 0 && a.Group.nameless() {
		// It is for the DDNS server, which Start looks for.
		return nil
	}
	if a.groups, err = newLoader(ctx, &a.pooled, a.observer, a.written).load(&a.Group, a.Providers); err != nil {
		return err
	}
	return nil
}

// Start begins to watch addresses and to keep the zones. It does not wait for
// the network.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel, a.runCtx = cancel, ctx
	if err := a.wire(); err != nil {
		return err
	}
	names := a.current().names
	if err := checkServed(a.ctx, names); err != nil {
		return err
	}
	if _, ok := serverOf(a.ctx); !ok && len(a.groups) == 0 {
		return (&group{Group: &a.Group, written: a.written}).at("cluster", errors.New("there is nothing to share: no domains are configured, and no site has the handler dyndns; write domains, as in `domains {\n\texample.com @ www\n}`, or leave cluster out"))
	}
	if len(a.groups) > 0 && (a.Watch == nil || *a.Watch) {
		a.schedule.Events = watchAddresses(ctx, a.logger)
		a.schedule.Notices = true
		a.running.Go(func() { hearGateway(ctx, a.schedule.Kick, a.logger) })
	}
	if a.Heartbeat != nil {
		beat := a.Heartbeat.beat
		beat.State = func() heartbeat.State { return heartbeatState(a.Status(time.Now())) }
		a.schedule.Checked, a.observer.Trouble = beat.Poke, beat.Poke
		a.running.Go(func() { a.onceStarted(ctx, func() { beat.Run(ctx) }) })
	}
	if len(a.groups) > 0 {
		a.current().log(a.logger)
	}
	names.logContested(nil, a.logger)
	if a.Cluster != nil {
		a.Cluster.log(a.logger)
	}
	a.running.Go(func() { a.onceStarted(ctx, func() { a.find(ctx) }) })
	a.running.Go(func() {
		a.onceStarted(ctx, func() {
			a.sites.logGone(names, a.logger)
			a.schedule.Run(ctx)
		})
	})
	a.running.Go(func() { a.onceStarted(ctx, func() { a.current().recall(ctx, a.logger) }) })
	a.running.Go(func() { a.observer.Events.Run(ctx) })
	return nil
}

// find has the zones of names looked for, and takes part in the cluster: not before
// it is known what this instance had when it was stopped, or the others would take
// that away.
func (a *App) find(ctx context.Context) {
	a.foundZones()
	for _, s := range a.searching {
		a.running.Go(func() { s.Run(ctx) })
	}
	if a.Cluster != nil {
		a.Cluster.member.Run(ctx)
	}
}

// foundZones has the app manage the names whose zones are known by now, and
// remember them.
func (a *App) foundZones() {
	a.memory.Exchange(a.runCtx, a.ctx.Storage(), a.instance, a.searching, a.logger)
	a.rename()
}

// instance names this app among those that use the storage.
func (a *App) instance() string {
	if a.Cluster != nil {
		return "dynamic_dns-" + a.Cluster.member.Name
	}
	return "dynamic_dns-" + conf.Instance()
}

// current is what is managed now.
func (a *App) current() *managed { return a.managed.Load() }

// wire takes the zones of the groups, and makes the schedule of the checks and
// what looks for further zones. It must not run before Start: the http app may
// provision this one, and would get it half done.
func (a *App) wire() error {
	if err := a.readSites(); err != nil {
		return err
	}
	checkExcept(a.groups, a.siteHosts, a.logger)
	a.searching = searches(a.groups, a.siteHosts, a.foundZones, a.logger)
	names := nameGroups(a.groups, a.siteHosts, a.served)
	if len(names.outside) > 0 {
		a.logger.Debug("hosts in no zone of dynamic_domains", zap.Strings("hosts", names.outside))
	}
	m, err := a.manage(names)
	a.managed.Store(m)
	a.schedule = detect.NewSchedule(detectors(names.groups), time.Duration(a.CheckInterval), a.feed, a.logger)
	a.schedule.Randomize(jitter)
	return err
}

// readSites learns which hosts the sites have, if that matters.
func (a *App) readSites() (err error) {
	if slices.ContainsFunc(a.groups, (*group).dynamicDomains) {
		a.siteHosts, err = hostsOfSites(a.ctx)
	}
	return err
}

// manage takes the zones of the groups with these names.
func (a *App) manage(names *naming) (*managed, error) {
	m := &managed{names: names, clients: &a.clients, awaited: a.sites.awaits, served: a.served}
	a.sites.await(a, names.awaited)
	for _, g := range names.groups {
		expect(a.observer.Counts, g)
	}
	if a.Cluster != nil {
		m.member, m.rejoin = a.Cluster.member, a.join
	}
	m.wire(zone.Backend{
		Memory:      zone.Memory{Storage: a.ctx.Storage()},
		VerifyEvery: time.Duration(a.VerifyInterval),
		Observer:    a.observer,
		Logger:      a.logger,
		ReadOnly:    a.planning,
	})
	return m, m.keepLedgers(conf.NewLedgers("dynamic_dns", a.Cluster != nil, a.ctx.Storage()))
}

// rename has the app manage the names whose zones are known by now. It is done as
// a reload would do it, so that what is under way is not lost.
func (a *App) rename() {
	a.feeding.Lock()
	before := a.current()
	names := nameGroups(a.groups, a.siteHosts, a.served)
	if a.left || names.same(before.names) {
		a.feeding.Unlock()
		return
	}
	next, err := a.manage(names)
	if err != nil {
		a.feeding.Unlock()
		next.release()
		a.logger.Error("cannot take names whose zone was found", zap.Error(err))
		return
	}
	a.managed.Store(next)
	a.takeOver()
	a.feeding.Unlock()
	before.detach(a.logger)
	before.release()
	next.logFound(before, a.logger)
	names.logContested(before.names, a.logger)
	a.sites.logGone(names, a.logger)
	if a.Cluster != nil {
		a.Cluster.member.Poke()
	}
	next.recall(a.runCtx, a.logger)
}

// served reports whether a user of dyndns may update the host.
func (a *App) served(host string) bool {
	server, ok := serverOf(a.ctx)
	return ok && server.Serves(host)
}

// feed has the zones hold what a detector found.
func (a *App) feed(d *detect.Detector, f ipaddr.Family, found detect.Found) {
	a.feeding.Lock()
	defer a.feeding.Unlock()
	// What is found late is not to take the place of what is withdrawn.
	if !a.left {
		a.current().feed(d, f, found)
	}
}

// takeOver takes the zones over from the configuration before.
func (a *App) takeOver() {
	if a.Cluster != nil {
		a.join()
		a.observer.Timeline.Name(a.Cluster.member.Name)
	}
	a.current().attach()
}

// onceStarted calls run once all apps have started. Until then another app may
// fail, and a configuration that never ran must not have written anything.
func (a *App) onceStarted(ctx context.Context, run func()) {
	select {
	case <-a.observer.Events.Started():
		if ctx.Err() == nil {
			run()
		}
	case <-ctx.Done():
	}
}

// Stop ends what Start began. A write that is under way is left to finish:
// the zone outlives the configuration, waits for it, and then reads.
func (a *App) Stop() error {
	a.leave()
	done := make(chan struct{})
	go func() {
		a.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(stopTimeout):
		a.logger.Error("still busy after being stopped", zap.Duration("waited", stopTimeout))
	}
	if a.Cluster != nil {
		a.Cluster.part(&a.pooled)
	}
	return nil
}

// leave ends the goroutines, and gives the zones back to the configuration
// that had them before, if that goes on running.
func (a *App) leave() {
	if a.cancel == nil {
		return
	}
	a.cancel()
	a.cancel = nil
	a.feeding.Lock()
	a.left = true
	a.feeding.Unlock()
	a.sites.await(a, nil)
	a.current().detach(a.logger)
}

// Cleanup releases what outlives the configuration. It also stops the app,
// because Caddy does not call Stop when it gives up a configuration late.
func (a *App) Cleanup() error {
	a.leave()
	a.current().release()
	a.pooled.Release()
	return nil
}

// join makes the instance a member by the configuration's settings. It is done
// once Caddy has started, and again where a later configuration gives up.
func (a *App) join() {
	a.Cluster.member.Configure(cluster.Settings{
		Storage:  a.ctx.Storage(),
		Share:    a.Cluster.share,
		Lease:    time.Duration(a.Cluster.Lease),
		Sets:     func() []lease.Set { return a.current().shared() },
		Report:   func(id lease.ZoneID) (*bool, time.Duration) { return a.current().report(id) },
		Changed:  func() { a.current().republish() },
		Begin:    func(id lease.ZoneID) func() { return a.current().begin(id) },
		Observer: a.observer,
		Logger:   a.logger,
	})
}

// Status is what the admin endpoint answers.
func (a *App) Status(now time.Time) *status.Status {
	m := a.current()
	s := withServer(a.statusOf(m, now), m.zones)
	s.Timeline = a.observer.Timeline.Events()
	return s
}

func (a *App) statusOf(m *managed, now time.Time) *status.Status {
	s := &status.Status{
		Time:           show.Stamp(now),
		NextCheck:      show.Stamp(a.schedule.Next()),
		CheckInterval:  time.Duration(a.CheckInterval).Seconds(),
		VerifyInterval: time.Duration(a.VerifyInterval).Seconds(),
		Groups:         []status.GroupStatus{},
		Zones:          []status.ZoneStatus{},
		InSync:         new(true),
	}
	for _, g := range a.groups {
		gs := g.status()
		for _, f := range gs.Missing() {
			s.InSync, s.Reason = nil, f.Doubt(s.Time)
		}
		s.Groups = append(s.Groups, gs)
	}
	for i := range s.Groups {
		for _, n := range s.Groups[i].Lacking() {
			if n.State == status.StateFailing {
				s.InSync = new(false)
			} else if s.InSync = status.BothInSync(s.InSync, nil); s.Reason == "" {
				s.Reason = "the zone of " + n.Name + " is not known yet"
			}
		}
	}
	if a.Cluster != nil {
		s.Cluster = a.Cluster.status()
	}
	for _, managed := range m.zones {
		z := managed.status(now)
		s.InSync = status.BothInSync(s.InSync, z.InSync)
		s.Zones = append(s.Zones, z)
	}
	if s.InSync != nil {
		s.Reason = ""
	}
	return s
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
