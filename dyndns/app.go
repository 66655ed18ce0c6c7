package dyndns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

const (
	appName = "dyndns"
	// followEvery is how often the storage is asked what other processes have
	// taken in.
	followEvery = 2 * time.Second
	// verifyEvery is how often what the providers hold is read and compared.
	verifyEvery = time.Hour
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
	zones map[zone.Key]*keptZone
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
	// apps are those that keep zones, the newest last. The ledger's lock
	// guards them.
	apps []*App
}

// Destruct implements caddy.Destructor.
func (*shared) Destruct() error { return nil }

// taken reports whether a newer configuration than the app's keeps the zones.
func (s *shared) taken(a *App) (taken bool) {
	s.ledger.Under(func(iter.Seq[*ledger.Entry]) { taken = len(s.apps) > 0 && s.newest() != a })
	return taken
}

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
	a.ctx, a.logger = ctx, ctx.Logger()
	a.exact, a.below = make(map[string]*service), make(map[string]*service)
	a.zones = make(map[zone.Key]*keptZone)
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
		counts: newCounts(), seen: newSeen(),
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
	for key, z := range a.zones {
		z.backend.Memory.Storage = a.ctx.Storage()
		z.zone = zone.Shared.Acquire(key)
	}
	a.logServed()
	a.running.Go(func() { a.observer.Events.Run(ctx) })
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

// follow reads what is on record, and then what others put there.
func (a *App) follow(ctx context.Context) {
	complaint := ""
	for {
		complaint = a.complain(complaint, a.followOnce(ctx))
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) followOnce(ctx context.Context) error {
	s := a.shared
	storage := a.ctx.Storage()
	select {
	case <-s.ledger.Ready():
	default:
		err := s.ledger.Load(ctx, storage, func(*ledger.Entry) {})
		a.reclaim()
		if err != nil {
			return err
		}
	}
	return s.ledger.Follow(ctx, storage, func(e *ledger.Entry) {
		if newest := s.newest(); newest != nil {
			newest.set(e)
		}
	})
}

// complain logs what is the matter with the storage, once, and returns it.
func (a *App) complain(before string, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return before
	case errors.As(err, new(*ledger.DamagedError)):
		a.logger.Error("some of what is on record of the clients' hosts is damaged; those hosts are left alone until their clients come again", zap.Error(err))
		return before
	case err == nil && before != "":
		a.logger.Info("what is on record of the clients' hosts can be read again")
		return ""
	case err == nil:
		return ""
	case err.Error() != before:
		a.logger.Error("cannot read all that is on record of the clients' hosts; trying again", zap.Error(err))
	}
	return err.Error()
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
	for _, z := range a.zones {
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
