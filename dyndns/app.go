package dyndns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

const (
	appName = "dyndns"
	// verifyEvery is how often what the providers hold is read and compared.
	verifyEvery = time.Hour
	// checkTimeout is how long a check may take that somebody asked for.
	checkTimeout = 30 * time.Second
	// stopTimeout bounds how long Stop waits for goroutines, all of which
	// should return at once.
	stopTimeout = 5 * time.Second
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is what the handlers of a configuration have in common. It is there
// where there is a handler, and has no settings.
type App struct {
	ctx       caddy.Context
	storage   certmagic.Storage
	logger    *zap.Logger
	pooled    conf.Pooled
	providers *conf.Providers
	observer  *observe.Observer
	shared    *shared
	// exact are the services of hosts by full name, and below those of any
	// one label below a name.
	exact, below map[string]*service
	// users are the names of all users, sorted.
	users []string
	// zones are those that are kept, to which further ones are added where they
	// are found.
	zones   map[zone.Key]*keptZone
	zonesMu sync.RWMutex
	// searches look for zones, by the provider's configuration, and placed is
	// where they have found hosts to be.
	searches map[string]*finder.Search
	placed   map[string]zone.Key
	// attached is closed once this configuration keeps its zones.
	attached chan struct{}
	// mu guards the holders of the zones, and left, which is set once they
	// are given back.
	mu   sync.Mutex
	left bool
	// services are those of the handlers, other is the dynamic_dns app, or nil.
	services []*service
	other    dynamicDNS
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// shared outlives configurations.
type shared struct {
	ledger *ledger.Ledger
	guard  *auth.Guard
	counts *counts
	seen   *seen
	*follower
	// apps are those that keep zones, the newest last. The ledger's lock
	// guards them.
	apps []*App
}

// Destruct implements caddy.Destructor.
func (*shared) Destruct() error { return nil }

// newest returns the app that keeps the zones, or nil.
func (s *shared) newest() *App {
	if len(s.apps) == 0 {
		return nil
	}
	return s.apps[len(s.apps)-1]
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  appName,
		New: func() caddy.Module { return new(App) },
	}
}

// Provision takes what outlives configurations.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger, a.storage = ctx, ctx.Logger(), bounded{ctx.Storage()}
	a.exact, a.below = make(map[string]*service), make(map[string]*service)
	a.zones = make(map[zone.Key]*keptZone)
	a.searches = make(map[string]*finder.Search)
	a.attached = make(chan struct{})
	value, err := a.pooled.Hold(conf.Key{Kind: "dyndns", Config: conf.StorageKey(ctx.Storage())}, newShared)
	if err != nil {
		return err
	}
	a.shared = value.(*shared)
	if a.observer, err = observe.New(ctx, &a.pooled, a.attach); err != nil {
		return err
	}
	a.providers = conf.NewProviders(ctx, &a.pooled, a.observer)
	if err := observe.Register(ctx); err != nil {
		return err
	}
	return a.shared.counts.register(ctx)
}

// newWriter names this process among those that share a storage.
func newWriter() string { return fmt.Sprintf("%016x", rand.Uint64()) }

func newShared() caddy.Destructor {
	return &shared{
		ledger: ledger.New(newWriter()), guard: auth.NewGuard(time.Now),
		counts: newCounts(), seen: newSeen(), follower: newFollower(),
	}
}

// dynamicDNS is the dynamic_dns app, as far as this one is concerned.
type dynamicDNS interface {
	// DNSProvider is the provider that others may use, if there is one.
	DNSProvider() json.RawMessage
	// ZoneNames are the zones in which the app manages names.
	ZoneNames() []string
	// Manages calls fn for each full name that the app manages.
	Manages(fn func(host string))
	// Keeps reports whether the app manages the host, be it that of a site.
	// It is known once the app has started.
	Keeps(host string) bool
	// Share has one instance at a time write a zone in which clients have
	// hosts, and returns this one's part, or nil if it is on its own.
	Share(cluster.Zone) *cluster.Member
}

// dynamicDNS returns the dynamic_dns app, or nil.
func (a *App) dynamicDNS() (dynamicDNS, error) {
	app, err := a.ctx.AppIfConfigured("dynamic_dns")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	other, ok := app.(dynamicDNS)
	if !ok {
		return nil, fmt.Errorf("the app dynamic_dns (%T) is another than this module knows; build both from one version", app)
	}
	return other, nil
}

// Start takes the zones. It does not wait for the network or the storage.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel = cancel
	a.acquire(false)
	a.logServed()
	a.running.Go(func() { a.observer.Events.Run(ctx) })
	for _, s := range a.searches {
		a.running.Go(func() {
			select {
			case <-a.observer.Events.Started():
				s.Run(ctx)
			case <-ctx.Done():
			}
		})
	}
	// Stop does not wait for it: a storage may hang.
	go func() {
		select {
		case <-a.observer.Events.Started():
			a.follow(ctx)
		case <-ctx.Done():
		}
	}()
	return nil
}

// acquire takes the zones that are known, those that were found before a reload
// among them.
func (a *App) acquire(readOnly bool) {
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		a.placed = a.found(entries)
	})
	for _, key := range a.placed {
		if a.zones[key] == nil {
			a.zones[key] = a.newKept(key)
		}
	}
	for key, z := range a.zones {
		z.backend.ReadOnly, z.backend.Memory.Storage = readOnly, a.storage
		z.zone = zone.Shared.Acquire(key)
	}
}

// kept are the zones that are kept.
func (a *App) kept() []*keptZone {
	a.zonesMu.RLock()
	defer a.zonesMu.RUnlock()
	return slices.Collect(maps.Values(a.zones))
}

func (a *App) keptAt(key zone.Key) *keptZone {
	a.zonesMu.RLock()
	defer a.zonesMu.RUnlock()
	return a.zones[key]
}

func (a *App) keep(key zone.Key, z *keptZone) {
	a.zonesMu.Lock()
	defer a.zonesMu.Unlock()
	a.zones[key] = z
}

// Stop ends what Start began. A request that is under way is answered by what
// outlives the configuration.
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

func (a *App) leave() {
	if a.cancel == nil {
		return
	}
	a.cancel()
	a.cancel = nil
	a.detach()
}

// Cleanup releases what outlives the configuration. It also stops the app,
// because Caddy does not call Stop when it gives up a configuration late.
func (a *App) Cleanup() error {
	a.leave()
	for _, z := range a.kept() {
		// The zone stays, for a request may still be asking for it.
		if z.zone != nil && !z.released {
			zone.Shared.Release(z.zone)
			z.released = true
		}
	}
	a.pooled.Release()
	return nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
