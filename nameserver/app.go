// Package nameserver provides an authoritative DNS server as a Caddy app, and
// the provider `dns.providers.nameserver` through which its zones are changed.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is an authoritative DNS name server. It serves zones from Caddy's
// storage, where they are kept as master files (RFC 1035) that people can read
// and edit, and that several Caddies on one storage share. Zones are changed
// through the DNS provider `nameserver`, such as by dynamic DNS or by the ACME
// DNS challenge.
//
// For the world to find a zone, its parent zone must delegate it to this
// machine with NS records for the zone's name, and with addresses for those
// name servers that lie in the zone.
type App struct {
	// The addresses to listen on, for both UDP and TCP: an address and a
	// port, either of which may be left out. Behind a network name, such as
	// in `udp/:53` or `fdgram/3`, there is that network alone. Default: `:53`.
	Listen []string `json:"listen,omitempty"`

	// The zones to serve, by their names. Names may be given in Unicode.
	Zones map[string]*Zone `json:"zones,omitempty"`

	// How many UDP answers per second of one kind, for one name, the clients
	// of one network (/24 or /56) get, so that nobody is flooded with answers
	// to queries that were sent in their name. For names that do not exist, or
	// that a wildcard answers for, it is for all of a zone together. Every second answer above that is sent truncated, which
	// makes real clients ask again over TCP; the others are dropped. Clients
	// that present a DNS cookie (RFC 7873) and this machine itself are not
	// limited. Default: 100. A negative number means no limit.
	MaxQPSPerClient int `json:"max_qps_per_client,omitempty"`

	// Keys by which zone transfers can be allowed (RFC 8945), by their names.
	TSIGKeys map[string]*TSIGKey `json:"tsig_keys,omitempty"`

	// The name of this Caddy among those that share its storage: letters,
	// digits, dots, hyphens and underscores. It marks the records of this
	// configuration in the zone files, so that those of others stay. Change it
	// only together with the marks. Default: the first part of the instance ID
	// that Caddy keeps in its data directory.
	Name string `json:"name,omitempty"`

	// Whether to leave the servers of the parent zones alone. Otherwise they
	// are asked, a minute after the start and then daily, whether they
	// delegate the zones as they should, and the log and the status say which
	// records have to be written there. Where this machine has no resolver in
	// /etc/resolv.conf, and for names that are reserved, like example.test,
	// nothing is asked.
	SkipDelegationCheck bool `json:"skip_delegation_check,omitempty"`

	logger  *zap.Logger
	storage certmagic.Storage
	handler *handler
	listen  []caddy.NetworkAddress
	keepers []*keeper
	finder  *delegation.Finder // nil: the delegation is not checked
	sockets []socketInUse
	cancel  context.CancelFunc
	running sync.WaitGroup
	stopped bool
}

type socketInUse struct {
	*socket
	key string
}

const (
	// refreshTimeout bounds how long Caddy waits, once it has started, for
	// what the configuration says to be served.
	refreshTimeout = time.Second

	defaultQPSPerClient = 100
)

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "nameserver",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the app.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.storage = ctx.Storage()
	if len(a.Zones) == 0 {
		return errors.New("nameserver has no zone to serve: add `zone home.example.com`, with the name that is delegated to this machine")
	}
	repl := caddy.NewReplacer()
	var err error
	if a.listen, err = listenAddresses(repl, a.Listen); err != nil {
		return err
	}
	owner, err := a.owner(repl)
	if err != nil {
		return err
	}
	keys, err := resolveKeys(repl, a.TSIGKeys)
	if err != nil {
		return err
	}
	a.handler = &handler{
		zones:     make(catalog),
		transfers: make(map[string]*transferPolicy),
		keys:      keys,
		limit:     newLimiterFor(a.MaxQPSPerClient),
		now:       time.Now,
		logger:    a.logger,
	}
	for name, z := range a.Zones {
		if err := a.provisionZone(repl, owner, name, z); err != nil {
			return fmt.Errorf("zone %s: %w", name, err)
		}
	}
	a.handler.wire = newWireCatalog(a.handler.zones)
	if !a.SkipDelegationCheck {
		a.finder = newFinder()
	}
	if err := registerMetrics(ctx, a.keepers); err != nil {
		return err
	}
	return a.awaitStarted(ctx)
}

// awaitStarted subscribes to the event that tells that all apps have started:
// before that, another one may fail, and this configuration never run.
func (a *App) awaitStarted(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", (*startedHandler)(a))
}

// startedHandler lets the configuration rule once Caddy has started.
type startedHandler App

// Handle implements caddyevents.Handler.
func (h *startedHandler) Handle(context.Context, caddy.Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	for _, k := range h.keepers {
		k.start(ctx)
	}
	return nil
}

// owner returns what names this Caddy in zone files.
func (a *App) owner(repl *caddy.Replacer) (func() string, error) {
	if a.Name == "" {
		return instanceName, nil
	}
	name, err := repl.ReplaceOrErr(a.Name, true, true)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if !zonedata.IsOwner(name) {
		return nil, fmt.Errorf("name %q: write letters, digits, dots, hyphens and underscores, at most 63, like web1", name)
	}
	return func() string { return name }, nil
}

// instanceName is not asked for before it is used, for Caddy may have to make
// its instance ID first.
var instanceName = sync.OnceValue(func() string {
	id, err := caddy.InstanceID()
	if err != nil {
		caddy.Log().Named("nameserver").Warn("this Caddy has no instance ID; give it a name with the option name if others share its storage", zap.Error(err))
		return "caddy"
	}
	name, _, _ := strings.Cut(id.String(), "-")
	return name
})

func newLimiterFor(qps int) *limiter {
	switch {
	case qps < 0:
		return nil
	case qps == 0:
		qps = defaultQPSPerClient
	}
	return newLimiter(qps)
}

func (a *App) provisionZone(repl *caddy.Replacer, owner func() string, name string, z *Zone) error {
	if z == nil {
		z = new(Zone)
	}
	origin, err := configuredZoneName(repl, name)
	if err != nil {
		return err
	}
	if a.handler.zones[origin] != nil {
		return errors.New("the zone is configured twice")
	}
	decl, err := z.declare(repl, origin, owner)
	if err != nil {
		return err
	}
	policy, err := z.transferPolicy(repl, a.handler.keys)
	if err != nil {
		return err
	}
	for _, r := range z.Records {
		warnOfTarget(a.logger, origin, r.Name, r.Type, repl.ReplaceAll(r.Data, ""))
	}
	k := newKeeper(a.storage, a.logger, decl, policy, origin)
	a.keepers = append(a.keepers, k)
	a.handler.zones[origin] = k.zone
	a.handler.transfers[origin] = policy
	return nil
}

// Start loads the zones and begins to serve them.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, addr := range a.listen {
		s, key, err := useSocket(ctx, addr)
		if err != nil {
			return err
		}
		a.sockets = append(a.sockets, socketInUse{s, key})
	}
	for _, k := range a.keepers {
		a.running.Go(func() { k.keep(ctx) })
	}
	a.awaitZones(ctx)
	for _, s := range a.sockets {
		s.push(a.handler)
	}
	for _, k := range a.keepers {
		if len(k.policy.notify) > 0 {
			a.running.Go(func() { notifyAll(ctx, k, a.handler.keys) })
		}
		if a.finder != nil && !delegation.IsReserved(k.name) {
			a.running.Go(func() { k.watchParent(ctx, a.finder) })
		}
		a.announce(k)
	}
	return nil
}

// awaitZones waits for the zones to be read, but not for ever. One that cannot
// be read does not keep Caddy from starting: its queries are answered with
// SERVFAIL, and it is tried again.
func (a *App) awaitZones(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	for _, z := range a.keepers {
		select {
		case <-z.loaded:
		case <-ctx.Done():
			a.logger.Error("the storage does not answer; starting without the zone for now", zap.String("zone", z.name))
		}
	}
}

// checkParents asks the parents' servers now.
func (a *App) checkParents(ctx context.Context) {
	var checking sync.WaitGroup
	for _, k := range a.keepers {
		checking.Go(func() { k.checkParent(ctx, a.finder) })
	}
	checking.Wait()
}

// announce logs what is served, with a command to see it.
func (a *App) announce(z *keeper) {
	addr := a.listen[0]
	if addr.IsFdNetwork() {
		a.logger.Info("serving zone", zap.String("zone", z.name), zap.Stringer("listen", addr))
		return
	}
	host := addr.Host
	if isWildcard(host) {
		host = "127.0.0.1"
	}
	name := strings.TrimSuffix(z.name, ".")
	try := fmt.Sprintf("dig @%s %s", host, name)
	if addr.StartPort != 53 {
		try = fmt.Sprintf("dig @%s -p %d %s", host, addr.StartPort, name)
	}
	a.logger.Info("serving zone", zap.String("zone", name), zap.String("listen", addr.JoinHostPort(0)), zap.String("try", try))
}

// Stop stops serving, unless a newer configuration serves on.
func (a *App) Stop() error {
	return a.end()
}

// Cleanup releases what Provision and a failed Start have acquired.
func (a *App) Cleanup() error {
	err := a.end()
	for _, z := range a.keepers {
		err = errors.Join(err, z.giveBack())
	}
	a.keepers = nil
	return err
}

func (a *App) end() error {
	if a.cancel != nil {
		a.cancel()
	}
	var err error
	for _, s := range a.sockets {
		s.remove(a.handler)
		_, derr := sockets.Delete(s.key)
		err = errors.Join(err, derr)
	}
	a.sockets = nil
	if a.stopped {
		return err // what runs was waited for
	}
	a.stopped = true
	ended := make(chan struct{})
	go func() {
		a.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(stopTimeout):
		a.logger.Warn("the storage does not answer; leaving it behind")
	}
	return err
}

var (
	_ caddy.App           = (*App)(nil)
	_ caddy.Provisioner   = (*App)(nil)
	_ caddy.CleanerUpper  = (*App)(nil)
	_ caddyevents.Handler = (*startedHandler)(nil)
)
