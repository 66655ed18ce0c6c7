// Package static is the IP source that is told the addresses.
package static

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(Static{})
}

// Static is an IP source whose addresses are written in the configuration. They
// may be special-purpose ones, such as private addresses, unless `include` or
// `exclude` rules them out.
type Static struct {
	// The addresses, at least one. All those of a family are published
	// together. One of them may be an IPv6 prefix, such as
	// 2001:db8:1:2::/64, which the addresses of `devices` are made of; it is
	// no address of this machine. Placeholders are resolved.
	IPs []string `json:"ips,omitempty"`

	addrs  []netip.Addr
	prefix netip.Prefix
}

// CaddyModule returns the Caddy module information.
func (Static) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.static",
		New: func() caddy.Module { return new(Static) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	static <address>... [<IPv6 prefix>]
func (s *Static) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for d.NextArg() {
		raw := d.Val()
		if !strings.Contains(raw, "{") {
			if err := new(Static).add(raw); err != nil {
				return d.WrapErr(fmt.Errorf("static %q: %w", raw, err))
			}
		}
		s.IPs = append(s.IPs, raw)
	}
	if d.NextBlock(0) {
		return d.Err("static takes no block: write the addresses on its line")
	}
	if len(s.IPs) == 0 {
		return d.WrapErr(errStaticEmpty)
	}
	return nil
}

// Provision sets up the source.
func (s *Static) Provision(caddy.Context) error {
	if len(s.IPs) == 0 {
		return errStaticEmpty
	}
	ips, err := placeholders.Words(s.IPs)
	if err != nil {
		return fmt.Errorf("static: %w", err)
	}
	for _, ip := range ips {
		if err := s.add(ip); err != nil {
			return fmt.Errorf("static %q: %w", ip, err)
		}
	}
	return nil
}

// add takes an address, or the prefix.
func (s *Static) add(text string) error {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		if s.prefix.IsValid() && s.prefix != prefix.Masked() {
			return fmt.Errorf("devices have one prefix, and %s is given already: remove one of them", s.prefix)
		}
		s.prefix, err = checkPrefix(prefix)
		return err
	}
	addr, err := ipaddr.Parse(text)
	if err != nil {
		return err
	}
	if !slices.Contains(s.addrs, addr) {
		s.addrs = append(s.addrs, addr)
	}
	return nil
}

// checkPrefix refuses what is no prefix that machines share.
func checkPrefix(prefix netip.Prefix) (netip.Prefix, error) {
	switch addr := prefix.Addr(); {
	case !addr.Is6() || addr.Is4In6() || prefix.IsSingleIP():
		return netip.Prefix{}, fmt.Errorf("a range is not an address: write %s", addr.Unmap())
	case prefix.Masked() != prefix:
		return netip.Prefix{}, fmt.Errorf("this has bits beyond its prefix: write %s for this machine, or %s for its devices", addr, prefix.Masked())
	case ipaddr.CheckPrefixLength(prefix.Bits()) != nil:
		return netip.Prefix{}, ipaddr.CheckPrefixLength(prefix.Bits())
	}
	return prefix, nil
}

// Prefix implements ipsources.Prefixer.
func (s *Static) Prefix(context.Context, ipsources.IPSettings) (netip.Prefix, error) {
	return s.prefix, nil
}

// Foretell implements ipsources.Foreteller.
func (s *Static) Foretell() []netip.Prefix {
	var ranges []netip.Prefix
	if s.prefix.IsValid() {
		ranges = append(ranges, s.prefix)
	}
	for _, addr := range s.addrs {
		ranges = append(ranges, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return ranges
}

// GetIPs returns the addresses of the families that are asked for.
func (s *Static) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, addr := range s.addrs {
		if addr.Is4() && settings.IPVersions.V4Enabled() || addr.Is6() && settings.IPVersions.V6Enabled() {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 && s.prefix.IsValid() && settings.IPVersions.V6Enabled() {
		return nil, fmt.Errorf("the prefix %s is for devices; write this machine's own IPv6 address too, or leave the names of `domains` to another source or to `versions ipv4`", s.prefix)
	}
	return addrs, nil
}

// Configured implements ipsources.Configured.
func (*Static) Configured() {}

// Local implements ipsources.Local.
func (*Static) Local() {}

var errStaticEmpty = errors.New("static needs at least one address, such as 198.51.100.7 or 2001:db8::7")

var (
	_ caddy.Provisioner     = (*Static)(nil)
	_ caddyfile.Unmarshaler = (*Static)(nil)
	_ ipsources.IPSource    = (*Static)(nil)
	_ ipsources.Configured  = (*Static)(nil)
	_ ipsources.Foreteller  = (*Static)(nil)
	_ ipsources.Local       = (*Static)(nil)
	_ ipsources.Prefixer    = (*Static)(nil)
)
