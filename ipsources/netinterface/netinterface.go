// Package netinterface is the IP source that reads a network interface.
package netinterface

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(NetInterface{})
}

// NetInterface is an IP source that takes one address of each family from a
// network interface of this machine.
//
// Addresses that are temporary (RFC 8981), deprecated or not yet known to be
// unique (RFC 4862) are never published. Of the others, the one that is already
// published stays while it is valid, unless the network was renumbered: an IPv6
// address gives way to another one of its scope that was added later and has a
// longer preferred lifetime, or whose prefix has a route while its own has none
// any more. Otherwise permanent addresses come before dynamic ones, longer
// preferred lifetimes before shorter ones, and lower addresses before higher
// ones. Only Linux tells all of this.
type NetInterface struct {
	// The name of the interface. Placeholders are resolved. It need not
	// exist when the configuration is loaded. Default: for each family, the
	// interface of the default route.
	Name string `json:"name,omitempty"`

	name         string
	addrs        func(name string) ([]netmon.Addr, error)
	defaultRoute func(f ipaddr.Family) (string, error)
}

// CaddyModule returns the Caddy module information.
func (NetInterface) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.interface",
		New: func() caddy.Module { return new(NetInterface) },
	}
}

// Provision sets up the source.
func (n *NetInterface) Provision(caddy.Context) error {
	name, err := placeholders.Resolve(n.Name)
	if err != nil {
		return fmt.Errorf("interface name: %w", err)
	}
	if strings.Contains(name, ",") {
		return fmt.Errorf("interface takes one name, and %q is several; write an IP source for each", name)
	}
	n.name = name
	n.addrs = netmon.Addrs
	n.defaultRoute = netmon.DefaultRoute
	return nil
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	interface [<name>]
func (n *NetInterface) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume source name
	if d.NextArg() {
		n.Name = d.Val()
		if n.Name == "" {
			return d.Err("the interface name is empty; leave it out to use the interface of the default route")
		}
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: interface takes one name; repeat ip_source for further interfaces", d.Val())
	}
	for d.NextBlock(0) {
		return d.Errf("unrecognized subdirective %q: interface has no options", d.Val())
	}
	return nil
}

// tailscale are the ranges of the addresses that Tailscale gives its nodes.
var tailscale = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a:115c:a1e0::/48")}

// Foretell returns the addresses that the interface has now. Those of Tailscale
// are known before it is up.
func (n *NetInterface) Foretell() []netip.Prefix {
	if strings.HasPrefix(n.name, "tailscale") {
		return tailscale
	}
	var ranges []netip.Prefix
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		name := n.name
		if name == "" {
			name, _ = n.defaultRoute(f)
		}
		if name == "" {
			continue
		}
		addrs, _ := n.addrs(name)
		for _, a := range addrs {
			if ipaddr.FamilyOf(a.Addr) == f && !a.IsLinkLocalUnicast() {
				ranges = append(ranges, netip.PrefixFrom(a.Addr, a.BitLen()))
			}
		}
	}
	return ranges
}

// GetIPs returns one address of each family. A family that the machine does
// not have is an error only if there is no address of the other either.
func (n *NetInterface) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	var (
		ips            []netip.Addr
		absent, failed []error
	)
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if f == ipaddr.V4 && !settings.IPVersions.V4Enabled() || f == ipaddr.V6 && !settings.IPVersions.V6Enabled() {
			continue
		}
		ip, err := n.familyIP(f, settings)
		var none *ipsources.NoFamilyError
		switch {
		case errors.As(err, &none):
			absent = append(absent, err)
		case err != nil:
			failed = append(failed, err)
		default:
			ips = append(ips, ip.Addr)
		}
	}
	if len(ips) == 0 {
		failed = append(failed, absent...)
	}
	if len(failed) == 2 && failed[0].Error() == failed[1].Error() {
		failed = failed[:1]
	}
	return ips, errors.Join(failed...)
}

// Local implements ipsources.Local.
func (*NetInterface) Local() {}

func (n *NetInterface) familyIP(f ipaddr.Family, settings ipsources.IPSettings) (netmon.Addr, error) {
	name := n.name
	if name == "" {
		var err error
		name, err = n.defaultRoute(f)
		if err != nil {
			return netmon.Addr{}, fmt.Errorf("looking for the default route of %s: %w", f, err)
		}
		if name == "" {
			return netmon.Addr{}, &ipsources.NoFamilyError{Err: fmt.Errorf("there is no default route for %s", f)}
		}
	}
	addrs, err := n.addrs(name)
	if err != nil {
		return netmon.Addr{}, fmt.Errorf("reading the addresses of interface %s: %w", name, err)
	}
	accepts := settings.Accepts
	if accepts == nil {
		accepts = func(netip.Addr) bool { return true }
	}
	addrs = slices.DeleteFunc(addrs, func(a netmon.Addr) bool {
		return ipaddr.FamilyOf(a.Addr) != f || a.IsLinkLocalUnicast() && (settings.Accepts == nil || !accepts(a.Addr))
	})
	if len(addrs) == 0 {
		return netmon.Addr{}, &ipsources.NoFamilyError{Err: fmt.Errorf("interface %s has no %s address", name, f)}
	}
	ip, err := chooseAddr(addrs, settings.Known, accepts)
	if err != nil {
		return netmon.Addr{}, fmt.Errorf("interface %s has no usable %s address: %w", name, f, err)
	}
	return ip, nil
}

// chooseAddr returns the fittest of an interface's addresses. If none is
// accepted it returns one anyway, so that the app can say why.
func chooseAddr(addrs []netmon.Addr, known []netip.Addr, accepts func(netip.Addr) bool) (netmon.Addr, error) {
	var (
		fit    []netmon.Addr
		reason []string
	)
	for _, a := range addrs {
		if defect := a.Defect(); defect != "" {
			reason = append(reason, fmt.Sprintf("%s is %s", a.Addr, defect))
			continue
		}
		fit = append(fit, a)
	}
	if len(fit) == 0 {
		return netmon.Addr{}, errors.New(strings.Join(reason, ", "))
	}
	byFitness := func(a, b netmon.Addr) int {
		return cmp.Or(
			trueFirst(accepts(a.Addr), accepts(b.Addr)),
			trueFirst(slices.Contains(known, a.Addr), slices.Contains(known, b.Addr)),
			trueFirst(a.Permanent, b.Permanent),
			cmp.Compare(b.Preferred, a.Preferred),
			a.Addr.Compare(b.Addr),
		)
	}
	best := slices.MinFunc(fit, byFitness)
	if slices.Contains(known, best.Addr) {
		fresh := slices.DeleteFunc(fit, func(a netmon.Addr) bool { return !accepts(a.Addr) || !outranks(a, best) })
		if len(fresh) > 0 {
			best = slices.MinFunc(fresh, byFitness)
		}
	}
	return best, nil
}

// outranks reports whether the network was renumbered from the address that is
// published to this one. Of two addresses, at most one outranks the other.
func outranks(a, published netmon.Addr) bool {
	switch {
	case !a.Is6() || a.IsPrivate() != published.IsPrivate() || a.IsLinkLocalUnicast() != published.IsLinkLocalUnicast():
		return false
	case a.Unrouted != published.Unrouted:
		return published.Unrouted
	}
	return a.NewerThan(published) && a.Preferred > published.Preferred
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// Prefix returns the prefix of the network that the interface's IPv6 address is
// in, as the system has it. It returns none where the system knows the address
// alone, as with DHCPv6.
func (n *NetInterface) Prefix(_ context.Context, settings ipsources.IPSettings) (netip.Prefix, error) {
	addr, err := n.familyIP(ipaddr.V6, settings)
	if err != nil || addr.Bits == 0 || addr.Bits == addr.BitLen() {
		// GetIPs, which is asked too, returns the error.
		return netip.Prefix{}, nil
	}
	return addr.Prefix(addr.Bits)
}

var (
	_ ipsources.Foreteller  = (*NetInterface)(nil)
	_ ipsources.IPSource    = (*NetInterface)(nil)
	_ ipsources.Local       = (*NetInterface)(nil)
	_ ipsources.Prefixer    = (*NetInterface)(nil)
	_ caddy.Provisioner     = (*NetInterface)(nil)
	_ caddyfile.Unmarshaler = (*NetInterface)(nil)
)
