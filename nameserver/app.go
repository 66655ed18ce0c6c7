// Package nameserver provides an authoritative DNS server as a Caddy app, and
// the provider `dns.providers.nameserver` through which its zones are changed.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
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

	// How many UDP answers per second the clients of one network (/24 or /56)
	// get, so that nobody is flooded with answers to queries that were sent
	// in their name. Every second answer above that is sent truncated, which
	// makes real clients ask again over TCP; the others are dropped. Clients
	// that present a DNS cookie (RFC 7873) and this machine itself are not
	// limited. Default: 100. A negative number means no limit.
	MaxQPSPerClient int `json:"max_qps_per_client,omitempty"`

	// Keys by which zone transfers can be allowed (RFC 8945), by their names.
	TSIGKeys map[string]*TSIGKey `json:"tsig_keys,omitempty"`

	logger  *zap.Logger
	storage certmagic.Storage
	handler *handler
	listen  []caddy.NetworkAddress
	inUse   []*zoneInUse
	sockets []socketInUse
	cancel  context.CancelFunc
	running sync.WaitGroup
	stopped bool
}

// TSIGKey is a secret that is shared with another name server.
type TSIGKey struct {
	// The algorithm: `hmac-sha256`, `hmac-sha384`, `hmac-sha512`,
	// `hmac-sha224` or `hmac-sha1`. Default: `hmac-sha256`.
	Algorithm string `json:"algorithm,omitempty"`

	// The secret in base64, as `tsig-keygen` prints it. Placeholders are
	// resolved.
	Secret string `json:"secret,omitempty"`
}

// listenNetworks are the networks that a listen address may name.
var listenNetworks = []string{"udp", "udp4", "udp6", "tcp", "tcp4", "tcp6", "fd", "fdgram"}

type zoneInUse struct {
	*zone
	key    zoneKey
	decl   *declaration
	policy *transferPolicy
	loaded chan struct{}
	failed string // the last error, so that it is logged once
}

type socketInUse struct {
	*socket
	key string
}

const (
	// pollInterval is how often zone files are looked at for changes.
	pollInterval = 2 * time.Second

	// storageTimeout bounds how long that may take.
	storageTimeout = 30 * time.Second

	// loadTimeout bounds how long Start waits for the zones.
	loadTimeout = 5 * time.Second

	// stopTimeout bounds how long Stop waits for what runs.
	stopTimeout = 5 * time.Second

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
	if err := a.provisionListen(repl); err != nil {
		return err
	}
	keys, err := a.provisionKeys(repl)
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
		if err := a.provisionZone(repl, name, z); err != nil {
			return fmt.Errorf("zone %s: %w", name, err)
		}
	}
	return nil
}

func (a *App) provisionListen(repl *caddy.Replacer) error {
	addrs := a.Listen
	if len(addrs) == 0 {
		addrs = []string{":53"}
	}
	seen := make(map[string]bool)
	for _, addr := range addrs {
		addr, err := repl.ReplaceOrErr(addr, true, true)
		if err != nil {
			return fmt.Errorf("listen address: %w", err)
		}
		parsed, err := caddy.ParseNetworkAddressWithDefaults(addr, "", 53)
		if err != nil {
			return fmt.Errorf("listen address %q: %w: write an address and a port, like 127.0.0.1:1053 or [2001:db8::1]:53", addr, err)
		}
		networks := []string{parsed.Network}
		switch {
		case parsed.Network == "":
			networks = []string{"udp", "tcp"}
		case parsed.IsUnixNetwork():
			return fmt.Errorf("listen address %q: DNS does not use unix sockets", addr)
		case !slices.Contains(listenNetworks, parsed.Network):
			return fmt.Errorf("listen address %q: DNS does not use the network %q: leave it out, or write one of %s",
				addr, parsed.Network, strings.Join(listenNetworks, ", "))
		}
		switch {
		case parsed.IsFdNetwork():
		case parsed.PortRangeSize() != 1:
			return fmt.Errorf("listen address %q: write one port, not a range", addr)
		case parsed.StartPort == 0:
			return fmt.Errorf("listen address %q: write a port that clients can know, like 53 or 1053", addr)
		}
		for _, network := range networks {
			parsed.Network = network
			if key := network + "/" + parsed.JoinHostPort(0); seen[key] {
				return fmt.Errorf("listen address %q is listed twice", addr)
			} else {
				seen[key] = true
			}
			a.listen = append(a.listen, parsed)
		}
	}
	return nil
}

func newLimiterFor(qps int) *limiter {
	switch {
	case qps < 0:
		return nil
	case qps == 0:
		qps = defaultQPSPerClient
	}
	return newLimiter(qps)
}

func (a *App) provisionZone(repl *caddy.Replacer, name string, z *Zone) error {
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
	decl, err := z.declare(repl, origin)
	if err != nil {
		return err
	}
	policy, err := z.transferPolicy(repl, a.handler.keys)
	if err != nil {
		return err
	}
	live, key := useZone(a.storage, origin)
	live.declare(decl)
	a.inUse = append(a.inUse, &zoneInUse{zone: live, key: key, decl: decl, policy: policy, loaded: make(chan struct{})})
	a.handler.zones[origin] = live
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
	for _, z := range a.inUse {
		z.activate(z.decl)
	}
	for _, z := range a.inUse {
		a.running.Go(func() { a.keep(ctx, z) })
	}
	a.awaitZones(ctx)
	for _, s := range a.sockets {
		s.push(a.handler)
	}
	for _, z := range a.inUse {
		if len(z.policy.notify) > 0 {
			a.running.Go(func() { a.notify(ctx, z) })
		}
		a.announce(z)
	}
	return nil
}

// awaitZones waits for the zones to be read, but not for ever. One that cannot
// be read does not keep Caddy from starting: its queries are answered with
// SERVFAIL, and it is tried again.
func (a *App) awaitZones(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	for _, z := range a.inUse {
		select {
		case <-z.loaded:
		case <-ctx.Done():
			a.logger.Error("the storage does not answer; starting without the zone for now", zap.String("zone", z.name))
		}
	}
}

// keep reads a zone, then takes up what others write to its file, and writes
// what is not there yet.
func (a *App) keep(ctx context.Context, z *zoneInUse) {
	lctx, cancel := context.WithTimeout(ctx, loadTimeout)
	_, err := z.get(lctx, a.storage)
	cancel()
	if ctx.Err() != nil {
		return
	}
	a.report(z, err)
	close(z.loaded)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		sctx, cancel := context.WithTimeout(ctx, storageTimeout)
		err := z.sync(sctx, a.storage)
		cancel()
		if ctx.Err() != nil {
			return
		}
		a.report(z, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) report(z *zoneInUse, err error) {
	msg := ""
	if err != nil {
		msg = err.Error()
	}
	switch {
	case msg == z.failed:
	case msg == "":
		a.logger.Info("zone is up to date again", zap.String("zone", z.name))
	case z.served.Load() == nil:
		a.logger.Error("zone cannot be served; its queries are answered with SERVFAIL", zap.String("zone", z.name), zap.Error(err))
	default:
		a.logger.Error("zone is not up to date; what was served before stays in use", zap.String("zone", z.name), zap.Error(err))
	}
	z.failed = msg
}

// announce logs what is served, with a command to see it.
func (a *App) announce(z *zoneInUse) {
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
	for _, z := range a.inUse {
		z.withdraw(z.decl)
		_, derr := zones.Delete(z.key)
		err = errors.Join(err, derr)
	}
	a.inUse = nil
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
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
