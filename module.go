package dynamicdns

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// watchAddresses is a variable so that tests can say what happens.
var watchAddresses = netmon.Watch

const (
	defaultCheckInterval  = 5 * time.Minute
	minCheckInterval      = time.Second
	defaultVerifyInterval = time.Hour
	minVerifyInterval     = time.Minute
	// stopTimeout bounds how long Stop waits for goroutines, all of which
	// should return at once.
	stopTimeout = 5 * time.Second
)

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

	// Whether the system's address and route changes are watched, so that
	// a change is noticed at once and not only after `check_interval`.
	// Default: true.
	Watch *bool `json:"watch,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger
	groups []*group
	held   []poolKey
	zones  []*managedZone
	// attaching guards the zones' holders; left means that they are given up.
	attaching sync.Mutex
	left      bool
	schedule  *detect.Schedule
	observer  *observer
	cancel    context.CancelFunc
	// runCtx lasts from Start to Stop.
	runCtx context.Context
	// runs are those that people asked for; all who ask at a time share one.
	runs    singleflight.Group
	running sync.WaitGroup
}

// Group is a set of domains at one DNS provider, with the settings that
// decide what their records hold.
type Group struct {
	// The sources of this machine's addresses, in order of preference. Each
	// address family is taken from the first source that has an acceptable
	// address for it. Default: `simple_http` with its default endpoints.
	IPSourcesRaw []json.RawMessage `json:"ip_sources,omitempty" caddy:"namespace=dynamic_dns.ip_sources inline_key=source"`

	// The DNS provider that holds the zones. Any `dns.providers.*` module
	// can be used that can set records, or append and delete them.
	DNSProviderRaw json.RawMessage `json:"dns_provider,omitempty" caddy:"namespace=dns.providers inline_key=name"`

	// The names to manage, by zone. Names are relative to their zone: "@" is
	// the zone itself, "*" its wildcard. A zone with no names means "@",
	// except with `dynamic_domains`, where it names a zone to take hosts
	// from. Placeholders are resolved.
	Domains map[string][]string `json:"domains,omitempty"`

	// Only change RRsets that exist; never create one. The provider must be
	// able to read records.
	UpdateOnly *bool `json:"update_only,omitempty"`

	// Also manage every host of the http app's sites that lies in one of the
	// zones of `domains`, unless a longer zone is listed in any other entry.
	// Names that are written in `domains` come first.
	DynamicDomains *bool `json:"dynamic_domains,omitempty"`

	// Hosts that `dynamic_domains` leaves out.
	Except []string `json:"except,omitempty"`

	// The address families to publish. Default: both.
	Versions *ipsources.IPVersions `json:"versions,omitempty"`

	// CIDR ranges of the only addresses that may be published. They may name
	// special-purpose ranges (RFC 6890), such as private ones, which are
	// refused otherwise.
	Include []string `json:"include,omitempty"`

	// CIDR ranges of addresses that are never published. Where an address is
	// in ranges of both lists, the more specific range decides, and `exclude`
	// on a tie.
	Exclude []string `json:"exclude,omitempty"`

	// The TTL of the records. Default: an existing record keeps its own, and
	// a new one gets 5m. It goes along with changes; a TTL that alone differs
	// is written once, for some providers raise it to a minimum of theirs.
	TTL caddy.Duration `json:"ttl,omitempty"`
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
	a.ctx = ctx
	a.logger = ctx.Logger()
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
	if err := a.observe(ctx); err != nil {
		return err
	}
	return a.provisionGroups()
}

// Start begins to watch addresses and to keep the zones. It waits for
// nothing, least of all for the network.
func (a *App) Start() error {
	sayGone, err := a.addDynamicDomains()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel, a.runCtx = cancel, ctx
	s := a.wire()
	a.schedule = s
	if a.Watch == nil || *a.Watch {
		s.Events = watchAddresses(ctx, a.logger)
	}
	a.logManaged()
	a.running.Go(func() { a.onceStarted(ctx, s.Run) })
	a.running.Go(func() { sayGone(ctx) })
	a.running.Go(func() { a.observer.events.run(ctx) })
	return nil
}

// onceStarted calls run when all apps have started. Before that, another one
// may still fail, and a configuration that never ran must have written nothing.
func (a *App) onceStarted(ctx context.Context, run func(context.Context)) {
	select {
	case <-a.observer.events.started:
		run(ctx)
	case <-ctx.Done():
	}
}

// Stop ends what Start began. A write that is under way is left to finish,
// for the next configuration's keeper waits for it and then reads the zone.
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
	a.detach()
}

// Cleanup gives back the state that outlives a configuration. Where Caddy
// gave a configuration up after its apps had started, Stop was not called.
func (a *App) Cleanup() error {
	a.leave()
	for _, z := range a.zones {
		zones.Release(z.zone)
	}
	a.zones = nil
	for _, key := range a.held {
		_, _ = pool.Delete(key)
	}
	a.held = nil
	return nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
