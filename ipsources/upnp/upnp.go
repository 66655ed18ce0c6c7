// Package upnp is the IP source that asks the router by UPnP.
package upnp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(new(UPnP))
}

const (
	discoveryTimeout = 5 * time.Second

	// maxAnswers bounds the work for a router that answers with ever new
	// devices.
	maxAnswers = 8
)

// UPnP is an IP source that asks the router for its external IPv4 address. The
// router must be an Internet Gateway Device (version 1 or 2). It is searched for
// once, for at most 5 seconds, and from then on asked directly until it fails to
// answer.
//
// Only the default gateway is believed, or the device that is configured. Its
// description and its services must be at the same host, in a network that this
// machine is directly connected to, and must not redirect elsewhere. The address
// that is known stays until the router has said another one three times in a
// row, which takes milliseconds.
//
// With `watch`, the router's events (GENA) are subscribed to where it has them,
// and start a check at once.
type UPnP struct {
	// The URL of the router's device description, to ask that router without
	// searching for it, such as `http://192.168.1.1:5000/rootDesc.xml`. It must
	// lead to an address in a network that this machine is directly connected
	// to. Placeholders are resolved. Default: the default gateway is searched
	// for a description.
	Endpoint string `json:"endpoint,omitempty"`

	logger   *zap.Logger
	endpoint *url.URL
	// These ask the system and the network.
	gateway func() (netip.Addr, error)
	onLink  func(netip.Addr) bool
	search  func(ctx context.Context, gateway netip.Addr) <-chan ssdpAnswer

	// finding holds a token while the router is looked for.
	finding chan struct{}
	mu      sync.Mutex
	found   *foundRouter
}

// CaddyModule returns the Caddy module information.
func (*UPnP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.upnp",
		New: func() caddy.Module { return new(UPnP) },
	}
}

// Provision sets up the source.
func (u *UPnP) Provision(ctx caddy.Context) error {
	u.logger = ctx.Logger()
	u.gateway = func() (netip.Addr, error) { return netmon.Gateway(ipaddr.V4) }
	u.onLink, u.search = netmon.OnLink, search
	u.finding = make(chan struct{}, 1)
	endpoint, err := placeholders.Resolve(u.Endpoint)
	if err != nil {
		return fmt.Errorf("device URL: %w", err)
	}
	if endpoint != "" {
		u.endpoint, err = parseDeviceURL(endpoint)
		if err != nil {
			return fmt.Errorf("device URL: %w", err)
		}
	}
	return nil
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	upnp [<device URL>]
func (u *UPnP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		u.Endpoint = d.Val()
		if u.Endpoint == "" {
			return d.Err("the device URL is empty; leave it out to look for the router")
		}
		if !placeholders.In(u.Endpoint) {
			if _, err := parseDeviceURL(u.Endpoint); err != nil {
				return d.WrapErr(fmt.Errorf("device URL: %w", err))
			}
		}
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: upnp takes one device URL; repeat ip_source for further routers", d.Val())
	}
	for d.NextBlock(0) {
		return d.Errf("unrecognized subdirective %q: upnp has no options", d.Val())
	}
	return nil
}

// GetIPs returns the router's external IPv4 address. It knows no IPv6 address.
func (u *UPnP) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	if !settings.IPVersions.V4Enabled() {
		return nil, nil
	}
	ip, err := quorum.Confirm(settings.Known, settings.Accepts, func() (netip.Addr, error) { return u.ask(ctx) })
	if errors.Is(err, quorum.ErrWavers) {
		err = &ipsources.SoonError{After: 5 * time.Second, Err: fmt.Errorf("asking the router: %w", err)}
	}
	if err != nil {
		return nil, err
	}
	return []netip.Addr{ip}, nil
}

// Local says that nobody is asked but the router.
func (*UPnP) Local() {}

// ExplainRefusal says why the router would report an address that nobody can
// reach.
func (*UPnP) ExplainRefusal(netip.Addr) string {
	return "double NAT: the router itself is behind NAT"
}

// ask asks the router for its address. One that does not answer as before is
// looked for again.
func (u *UPnP) ask(ctx context.Context) (netip.Addr, error) {
	r, before, err := u.find(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	ip, err := r.externalIP(ctx)
	if err == nil || errors.Is(err, igd.ErrNoAddress) || ctx.Err() != nil {
		return ip, err
	}
	u.forget(r)
	if !before {
		return netip.Addr{}, err
	}
	u.logger.Debug("the router does not answer as before; looking for it again",
		zap.Stringer("router", r.location), zap.Error(err))
	if r, _, err = u.find(ctx); err != nil {
		return netip.Addr{}, err
	}
	return r.externalIP(ctx)
}

// find returns the router, and whether it was known before.
func (u *UPnP) find(ctx context.Context) (r *foundRouter, before bool, err error) {
	select {
	case u.finding <- struct{}{}:
		defer func() { <-u.finding }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	var gateway netip.Addr
	if u.endpoint == nil {
		gateway, err = u.gateway()
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("finding the default gateway; where that cannot be told, write the device URL, like upnp http://192.168.1.1:5000/rootDesc.xml: %w", err)
		case !gateway.IsValid():
			return nil, false, &ipsources.NoFamilyError{Err: errors.New("this machine has no default gateway over IPv4")}
		}
	}
	u.mu.Lock()
	r = u.found
	u.mu.Unlock()
	if r != nil && r.gateway == gateway {
		return r, true, nil
	}
	if u.endpoint != nil {
		r, err = open(ctx, u.endpoint, u.onLink)
	} else {
		r, err = u.discover(ctx, gateway)
	}
	if err != nil {
		return nil, false, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.found = r
	return r, false, nil
}

// discover searches for the description of the gateway.
func (u *UPnP) discover(ctx context.Context, gateway netip.Addr) (*foundRouter, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	var (
		unanswered = fmt.Errorf("the default gateway %s does not answer; UPnP may have to be switched on there", gateway)
		err        = unanswered
		seen       = make(map[ssdpAnswer]bool)
	)
	for answer := range u.search(ctx, gateway) {
		if answer.from != gateway {
			// However many there are, none keeps the gateway from being heard.
			if err == unanswered {
				err = &ipsources.DetailedError{Err: unanswered, Details: answer.stranger()}
				u.logger.Debug("not believing who answers the search for the router", zap.Error(err))
			}
			continue
		}
		if seen[answer] {
			continue
		}
		seen[answer] = true
		var r *foundRouter
		if r, err = u.open(ctx, answer); err == nil {
			return r, nil
		}
		u.logger.Debug("an answer of the router is of no use", zap.Error(err))
		if len(seen) == maxAnswers {
			break
		}
	}
	return nil, err
}

// open takes the gateway's answer to the search.
func (u *UPnP) open(ctx context.Context, answer ssdpAnswer) (*foundRouter, error) {
	location, err := answer.checked()
	if err != nil {
		return nil, err
	}
	r, err := open(ctx, location, func(ip netip.Addr) bool { return ip == answer.from })
	if err != nil {
		return nil, err
	}
	r.gateway = answer.from
	return r, nil
}

func (u *UPnP) forget(r *foundRouter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.found == r {
		u.found = nil
	}
}

var (
	_ ipsources.IPSource    = (*UPnP)(nil)
	_ ipsources.Notifier    = (*UPnP)(nil)
	_ ipsources.Explainer   = (*UPnP)(nil)
	_ ipsources.Local       = (*UPnP)(nil)
	_ caddy.Provisioner     = (*UPnP)(nil)
	_ caddyfile.Unmarshaler = (*UPnP)(nil)
)
