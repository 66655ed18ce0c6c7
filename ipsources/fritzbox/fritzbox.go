// Package fritzbox is the IP source that asks a FRITZ!Box.
package fritzbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(new(FritzBox))
}

// waverSoon is when to ask again a box that does not stay with an answer.
const waverSoon = 5 * time.Second

// FritzBox is an IP source that asks a FRITZ!Box for its IPv4 address, and for
// the IPv6 prefix that the internet provider has delegated to it, of which the
// addresses of `devices` are made. It does not log in. The box must tell
// ("Transmit status information over UPnP", which is on by default).
//
// What is known stays until the box has said something else three times in a
// row, which takes milliseconds.
type FritzBox struct {
	// The box: its name, which must lead to an address in a network that this
	// machine is directly connected to, or its private IP address.
	// Placeholders are resolved. Default: `fritz.box`.
	Host string `json:"host,omitempty"`

	// Whether the box's own IPv6 address is published, too. It is not that of
	// this machine, so this makes sense only where the box forwards what comes
	// in. Default: false.
	OwnIPv6 bool `json:"own_ipv6,omitempty"`

	box *box
}

// CaddyModule returns the Caddy module information.
func (*FritzBox) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.fritzbox",
		New: func() caddy.Module { return new(FritzBox) },
	}
}

// Provision sets up the source.
func (f *FritzBox) Provision(caddy.Context) error {
	host, err := placeholders.Resolve(f.Host)
	if err == nil && host == "" && f.Host != "" {
		err = errors.New("it is empty")
	}
	if err == nil {
		f.box, err = newBox(host)
	}
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return nil
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	fritzbox [<host>] {
//		own_ipv6
//	}
func (f *FritzBox) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		f.Host = d.Val()
		if f.Host == "" {
			return d.Err("the host is empty; leave it out to ask fritz.box")
		}
		if !placeholders.In(f.Host) {
			if _, err := newBox(f.Host); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: fritzbox takes one host; repeat ip_source for further boxes", d.Val())
	}
	for d.NextBlock(0) {
		if d.Val() != "own_ipv6" {
			return d.Errf("unrecognized subdirective %q; fritzbox has the option own_ipv6", d.Val())
		}
		if d.NextArg() {
			return d.Errf("unexpected argument %q: own_ipv6 stands alone", d.Val())
		}
		f.OwnIPv6 = true
	}
	return nil
}

// GetIPs asks the box for its addresses, of IPv6 only with OwnIPv6.
func (f *FritzBox) GetIPs(ctx context.Context, settings ipsources.IPSettings) (addrs []netip.Addr, err error) {
	var errs []error
	ask := func(address func(context.Context) (netip.Addr, error)) {
		addr, err := confirm(settings, func() (netip.Addr, error) { return address(ctx) })
		if err != nil {
			errs = append(errs, err)
			return
		}
		addrs = append(addrs, addr)
	}
	if settings.IPVersions.V4Enabled() {
		ask(f.box.ipv4)
	}
	if settings.IPVersions.V6Enabled() && f.OwnIPv6 {
		ask(f.box.ipv6)
	}
	return addrs, errors.Join(errs...)
}

// Prefix asks the box for the prefix that is delegated to it. That the box has
// none is an error, for its own IPv6 address is in none that machines share.
func (f *FritzBox) Prefix(ctx context.Context, settings ipsources.IPSettings) (prefix netip.Prefix, err error) {
	_, err = confirm(settings, func() (netip.Addr, error) {
		var err error
		prefix, err = f.box.prefix(ctx)
		return prefix.Addr(), err
	})
	if err != nil {
		return netip.Prefix{}, err
	}
	return prefix, nil
}

// confirm asks until the box stays with an answer.
func confirm(settings ipsources.IPSettings, ask func() (netip.Addr, error)) (netip.Addr, error) {
	addr, err := quorum.Confirm(settings.Known, settings.Accepts, ask)
	if errors.Is(err, quorum.ErrWavers) {
		return netip.Addr{}, &ipsources.SoonError{After: waverSoon, Err: fmt.Errorf("asking the FRITZ!Box: %w", err)}
	}
	return addr, err
}

var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// ExplainRefusal says why the box has an address that nobody can reach.
func (*FritzBox) ExplainRefusal(addr netip.Addr) string {
	switch {
	case carrierGrade.Contains(addr):
		return "the internet provider shares IPv4 addresses between customers, so there is none to publish; leave IPv4 out with `versions ipv6`, or ask the provider for an address of your own"
	case addr.Is4():
		return "the FRITZ!Box itself is behind another router (double NAT); set that one to bridge mode, or ask it or the web for the address, as with `ip_source simple_http`"
	}
	return "the FRITZ!Box has no IPv6 address of the internet"
}

// hostOf checks a host, and returns its address if it is one.
func hostOf(host string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case err == nil && !addr.Unmap().IsPrivate():
		return netip.Addr{}, fmt.Errorf("%s is not a private address, as a FRITZ!Box has in the local network; write it like fritzbox 192.168.178.1", host)
	case err == nil:
		return addr.Unmap(), nil
	case strings.Contains(host, "://") || strings.ContainsAny(host, "/?#@"):
		return netip.Addr{}, fmt.Errorf("%q is a URL; write the host alone, like fritzbox fritz.box", host)
	case strings.Contains(host, ":"):
		return netip.Addr{}, fmt.Errorf("%q has a port, and a FRITZ!Box answers at 49000 alone; write the host, like fritzbox fritz.box", host)
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"%<>\^{|}`, r) }):
		return netip.Addr{}, fmt.Errorf("%q is no host name; write it like fritzbox fritz.box, or fritzbox 192.168.178.1", host)
	}
	return netip.Addr{}, nil
}

var (
	_ ipsources.IPSource    = (*FritzBox)(nil)
	_ ipsources.Prefixer    = (*FritzBox)(nil)
	_ ipsources.Explainer   = (*FritzBox)(nil)
	_ caddy.Provisioner     = (*FritzBox)(nil)
	_ caddyfile.Unmarshaler = (*FritzBox)(nil)
)
