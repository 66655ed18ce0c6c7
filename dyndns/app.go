package dyndns

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

const (
	appName = "dyndns"
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
	pooled    conf.Pooled
	providers *conf.Providers
	cancel    context.CancelFunc
	running   sync.WaitGroup
	// users are the names of all users, sorted.
	users []string
	// owners are the first users of hosts, by full name, and of any one label
	// below x by `.x`.
	owners map[string]string
	keeper
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
	a.owners = make(map[string]string)
	a.zones = make(map[zone.Key]*keptZone)
	a.searches = make(map[string]*finder.Search)
	a.attached = make(chan struct{})
	value, err := a.pooled.Hold(conf.Key{Kind: "dyndns", Config: conf.StorageKey(ctx.Storage())}, newShared)
	if err != nil {
		return err
	}
	a.shared = value.(*shared)
	if value, err = a.pooled.Hold(conf.Key{Kind: "dyndns found", Config: conf.StorageKey(ctx.Storage())}, func() caddy.Destructor { return finder.NewMemory() }); err != nil {
		return err
	}
	a.memory = value.(*finder.Memory)
	if a.observer, err = observe.New(ctx, &a.pooled, a.attach); err != nil {
		return err
	}
	a.providers = conf.NewProviders(ctx, &a.pooled, a.observer)
	if err := observe.Register(ctx); err != nil {
		return err
	}
	return a.shared.counts.register(ctx)
}

// Start takes the zones. It does not wait for the network or the storage.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel = cancel
	a.acquire(false)
	a.logServed()
	a.running.Go(func() { a.observer.Events.Run(ctx) })
	a.runCtx = ctx
	a.running.Go(func() {
		select {
		case <-a.observer.Events.Started():
		case <-ctx.Done():
			return
		}
		a.foundZones()
		for _, s := range a.searches {
			a.running.Go(func() { s.Run(ctx) })
		}
	})
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

// logServed says once per start what is served.
func (a *App) logServed() {
	var names []string
	for _, z := range a.kept() {
		names = append(names, dnsname.Display(z.name))
	}
	slices.Sort(names)
	a.logger.Info("taking updates of DNS records", zap.Strings("zones", slices.Compact(names)),
		zap.Int("hosts", len(a.exact)), zap.Strings("below", slices.Sorted(maps.Keys(a.below))))
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
