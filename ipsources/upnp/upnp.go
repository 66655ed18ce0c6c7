// Package upnp is the IP source that asks the router by UPnP.
package upnp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(new(UPnP))
}

const (
	discoveryTimeout = 5 * time.Second

	// maxAnswers bounds the work for a host that answers with ever new
	// devices.
	maxAnswers = 8
)

// UPnP is an IP source that asks the router for its external IPv4 address. The
// router must be an Internet Gateway Device (version 1 or 2). It is searched for
// in the local networks once, for at most 5 seconds, and from then on asked
// directly until it fails to answer.
//
// A device is trusted only as far as its own address: its description and its
// services must be at the host that answered the search, over a private or
// link-local address, and must not redirect elsewhere.
type UPnP struct {
	// The URL of the router's device description, to ask that router without
	// searching for it, such as `http://192.168.1.1:5000/rootDesc.xml`. It must
	// lead to a private, link-local or loopback address. Placeholders are
	// resolved. Default: the router is searched for.
	Endpoint string `json:"endpoint,omitempty"`

	logger   *zap.Logger
	endpoint *url.URL
	search   func(ctx context.Context) <-chan ssdpAnswer

	mu      sync.Mutex
	gateway *igd
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
	u.search = searchGateways
	endpoint, err := placeholders.Resolve(u.Endpoint)
	if err != nil {
		return fmt.Errorf("device URL: %w", err)
	}
	if endpoint != "" {
		u.endpoint, err = parseDeviceURL(endpoint, isLocalOrLAN)
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
		if !strings.Contains(u.Endpoint, "{") {
			if _, err := parseDeviceURL(u.Endpoint, isLocalOrLAN); err != nil {
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
	ip, err := u.askRemembered(ctx)
	if errors.Is(err, errNoGateway) {
		ip, err = u.askNew(ctx, settings)
	}
	if err != nil {
		return nil, err
	}
	return []netip.Addr{ip}, nil
}

// ExplainRefusal says why the router would report an address that nobody can
// reach.
func (*UPnP) ExplainRefusal(netip.Addr) string { return "the router itself is behind NAT" }

// askRemembered asks the router that answered last, and forgets it if it does
// not answer.
func (u *UPnP) askRemembered(ctx context.Context) (netip.Addr, error) {
	u.mu.Lock()
	gateway := u.gateway
	u.mu.Unlock()
	if gateway == nil {
		return netip.Addr{}, errNoGateway
	}
	ip, err := gateway.externalIP(ctx)
	if err == nil || errors.Is(err, errNoExternalIP) || ctx.Err() != nil {
		return ip, err
	}
	u.logger.Debug("the router does not answer as before; looking for it again",
		zap.Stringer("router", gateway.location), zap.Error(err))
	u.remember(nil)
	return netip.Addr{}, errNoGateway
}

// askNew asks the configured router, or else those that can be found until one
// has an address that may be published.
func (u *UPnP) askNew(ctx context.Context, settings ipsources.IPSettings) (netip.Addr, error) {
	if u.endpoint != nil {
		gateway, ip, err := openGateway(ctx, u.endpoint, isLocalOrLAN)
		if gateway != nil {
			u.remember(gateway)
		}
		return ip, err
	}

	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	var (
		found *igd
		ip    netip.Addr
		err   = errNoGateway
		seen  = make(map[ssdpAnswer]bool)
	)
	for answer := range u.search(ctx) {
		if seen[answer] {
			continue
		}
		seen[answer] = true
		gateway, gatewayIP, gatewayErr := answer.open(ctx)
		u.logger.Debug("a router has answered the search", zap.String("location", answer.location),
			zap.Stringer("from", answer.from), zap.Error(gatewayErr))
		usable := gatewayErr == nil && (settings.Accepts == nil || settings.Accepts(gatewayIP))
		if usable || found == nil || err != nil && gatewayErr == nil {
			found, ip, err = gateway, gatewayIP, gatewayErr
		}
		if usable || len(seen) == maxAnswers {
			break
		}
	}
	if found != nil {
		u.remember(found)
	}
	return ip, err
}

func (u *UPnP) remember(gateway *igd) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gateway = gateway
}

var (
	_ ipsources.IPSource    = (*UPnP)(nil)
	_ caddy.Provisioner     = (*UPnP)(nil)
	_ caddyfile.Unmarshaler = (*UPnP)(nil)
	_ ipsources.Explainer   = (*UPnP)(nil)
)
