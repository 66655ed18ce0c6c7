// Package natpmp is the IP source that asks the router by NAT-PMP or PCP.
package natpmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/natpmp"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(new(NATPMP))
}

// silence is for how long a router that does not speak PCP over IPv6 is not
// asked again.
const silence = time.Hour

// NATPMP is an IP source that asks the router for its external address by
// NAT-PMP (RFC 6886), or by PCP (RFC 6887) where the router speaks nothing else.
// It asks for at most 4 seconds.
//
// The address that is known stays until the router has said another one three
// times in a row, which takes milliseconds.
//
// With `watch`, an announcement of the router starts a check at once. What is
// announced is not believed: it is asked for.
type NATPMP struct {
	// The address of the router, such as `192.168.1.1`, which is asked about
	// its own address family. A link-local one needs its zone, as in
	// `fe80::1%eth0`. Placeholders are resolved. Default: the default gateway
	// of each address family. Over IPv6 that is asked by PCP; if it does not
	// answer, the source knows no IPv6 address.
	Gateway string `json:"gateway,omitempty"`

	configured netip.Addr
	logger     *zap.Logger
	// These ask the network and the system.
	external4 func(ctx context.Context, router netip.Addr) (netip.Addr, error)
	external6 func(ctx context.Context, local, router netip.Addr) (netip.Addr, error)
	gateway   func(ipaddr.Family) (netip.Addr, error)
	local6    func(known []netip.Addr) netip.Addr

	mu sync.Mutex
	// speaks is the router that has answered over IPv6, and silent one that has
	// not.
	speaks netip.Addr
	silent struct {
		router netip.Addr
		since  time.Time
	}
}

// CaddyModule returns the Caddy module information.
func (*NATPMP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.natpmp",
		New: func() caddy.Module { return new(NATPMP) },
	}
}

// Provision sets up the source.
func (n *NATPMP) Provision(ctx caddy.Context) error {
	n.logger = ctx.Logger()
	client := new(natpmp.Client)
	n.external4, n.external6 = client.IPv4, client.IPv6
	n.gateway, n.local6 = netmon.Gateway, local6
	router, err := placeholders.Resolve(n.Gateway)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if router != "" {
		n.configured, err = parseRouter(router)
	}
	return err
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	natpmp [<gateway>]
func (n *NATPMP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		n.Gateway = d.Val()
		if n.Gateway == "" {
			return d.Err("the gateway is empty; leave it out to ask the default gateway")
		}
		if !placeholders.In(n.Gateway) {
			if _, err := parseRouter(n.Gateway); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: natpmp takes one gateway; repeat ip_source for further ones", d.Val())
	}
	for d.NextBlock(0) {
		return d.Errf("unrecognized subdirective %q: natpmp has no options", d.Val())
	}
	return nil
}

func parseRouter(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("the gateway %q is not an IP address; write it like natpmp 192.168.1.1, or leave it out to ask the default gateway", s)
	case addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast():
		return netip.Addr{}, fmt.Errorf("the gateway %s is not an address that a router has; write it like natpmp 192.168.1.1", s)
	case addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		return netip.Addr{}, fmt.Errorf("the gateway %s is link-local and needs its interface; write it like natpmp %s%%eth0", s, s)
	}
	return addr.Unmap(), nil
}

// GetIPs asks the router.
func (n *NATPMP) GetIPs(ctx context.Context, settings ipsources.IPSettings) (addrs []netip.Addr, err error) {
	var errs []error
	for _, ask := range []struct {
		enabled bool
		address func(context.Context, []netip.Addr) (netip.Addr, error)
	}{
		{settings.IPVersions.V4Enabled(), n.address4},
		{settings.IPVersions.V6Enabled(), n.address6},
	} {
		if !ask.enabled {
			continue
		}
		addr, err := quorum.Confirm(settings.Known, settings.Accepts, func() (netip.Addr, error) { return ask.address(ctx, settings.Known) })
		switch {
		case errors.Is(err, errUnasked):
		case errors.Is(err, quorum.ErrWavers):
			errs = append(errs, &ipsources.SoonError{After: 5 * time.Second, Err: fmt.Errorf("asking the router: %w", err)})
		case err != nil:
			errs = append(errs, err)
		default:
			addrs = append(addrs, addr)
		}
	}
	return addrs, errors.Join(errs...)
}

// errUnasked says that the source does not know the family.
var errUnasked = errors.New("there is no router to ask")

func (n *NATPMP) address4(ctx context.Context, _ []netip.Addr) (netip.Addr, error) {
	router, err := n.router(ipaddr.V4)
	switch {
	case err != nil:
		return netip.Addr{}, err
	case router.IsValid():
		return n.external4(ctx, router)
	case n.configured.IsValid():
		return netip.Addr{}, errUnasked
	}
	return netip.Addr{}, &ipsources.NoFamilyError{Err: errors.New("this machine has no default gateway over IPv4")}
}

func (n *NATPMP) address6(ctx context.Context, known []netip.Addr) (netip.Addr, error) {
	router, err := n.router(ipaddr.V6)
	if err != nil || !router.IsValid() || n.isSilent(router) {
		return netip.Addr{}, errUnasked
	}
	local := n.local6(known)
	if !local.IsValid() {
		return netip.Addr{}, errUnasked
	}
	addr, err := n.external6(ctx, local, router)
	if errors.Is(err, natpmp.ErrSilent) && n.neverSpoke(router) {
		n.logger.Debug("the router does not speak PCP over IPv6; not asking it again for a while",
			zap.Stringer("router", router), zap.Duration("for", silence))
		return netip.Addr{}, errUnasked
	}
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.speaks = router
	}
	return addr, err
}

// router returns the router to ask about a family. It is the zero Addr if there
// is none.
func (n *NATPMP) router(f ipaddr.Family) (netip.Addr, error) {
	if n.configured.IsValid() {
		if ipaddr.FamilyOf(n.configured) != f {
			return netip.Addr{}, nil
		}
		return n.configured, nil
	}
	router, err := n.gateway(f)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("finding the default gateway; where that cannot be told, write it like natpmp 192.168.1.1: %w", err)
	}
	return router, nil
}

// local6 returns the address of this machine that PCP is to be asked about,
// which without NAT is the answer: one that is known if there is one, and
// none that is temporary.
func local6(known []netip.Addr) netip.Addr {
	name, err := netmon.DefaultRoute(ipaddr.V6)
	if err != nil || name == "" {
		return netip.Addr{}
	}
	all, err := netmon.Addrs(name)
	if err != nil {
		return netip.Addr{}
	}
	return choose6(all, known)
}

func choose6(all []netmon.Addr, known []netip.Addr) (chosen netip.Addr) {
	for _, a := range all {
		switch {
		case ipaddr.FamilyOf(a.Addr) != ipaddr.V6 || a.Defect() != "" || !a.IsGlobalUnicast():
		case slices.Contains(known, a.Addr):
			return a.Addr
		case !chosen.IsValid() || chosen.IsPrivate() && !a.IsPrivate():
			chosen = a.Addr
		}
	}
	return chosen
}

func (n *NATPMP) isSilent(router netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.silent.router == router && time.Since(n.silent.since) < silence
}

// neverSpoke notes that the router does not answer, unless it was configured or
// has answered before and just has a bad time.
func (n *NATPMP) neverSpoke(router netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.configured.IsValid() || n.speaks == router {
		return false
	}
	n.silent.router, n.silent.since = router, time.Now()
	return true
}

// Notify listens to what the router announces.
func (n *NATPMP) Notify(ctx context.Context, changed func()) {
	natpmp.Listen(ctx, func() netip.Addr {
		router, err := n.router(ipaddr.V4)
		if err != nil {
			n.logger.Debug("a router announces, and the default gateway is not known", zap.Error(err))
		}
		return router
	}, changed, n.logger)
}

// Local says that nobody is asked but the router.
func (*NATPMP) Local() {}

// ExplainRefusal says why the router would report an address that nobody can
// reach.
func (*NATPMP) ExplainRefusal(netip.Addr) string {
	return "double NAT: the router itself is behind NAT"
}

var (
	_ ipsources.IPSource    = (*NATPMP)(nil)
	_ ipsources.Notifier    = (*NATPMP)(nil)
	_ ipsources.Explainer   = (*NATPMP)(nil)
	_ ipsources.Local       = (*NATPMP)(nil)
	_ caddy.Provisioner     = (*NATPMP)(nil)
	_ caddyfile.Unmarshaler = (*NATPMP)(nil)
)
