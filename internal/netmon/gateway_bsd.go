//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netmon

import (
	"net"
	"net/netip"

	"golang.org/x/net/route"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Gateway returns the router that the family's default route leads through, or
// the zero Addr if there is none. A link-local address has its zone.
func Gateway(f ipaddr.Family) (netip.Addr, error) {
	af := unix.AF_INET
	if f == ipaddr.V6 {
		af = unix.AF_INET6
	}
	rib, err := route.FetchRIB(af, route.RIBTypeRoute, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	messages, err := route.ParseRIB(route.RIBTypeRoute, rib)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, m := range messages {
		r, ok := m.(*route.RouteMessage)
		if !ok || r.Flags&unix.RTF_GATEWAY == 0 || len(r.Addrs) <= unix.RTAX_NETMASK {
			continue
		}
		destination, gateway := fromRoute(r.Addrs[unix.RTAX_DST]), fromRoute(r.Addrs[unix.RTAX_GATEWAY])
		mask := fromRoute(r.Addrs[unix.RTAX_NETMASK])
		if destination.IsUnspecified() && (!mask.IsValid() || mask.IsUnspecified()) && ipaddr.FamilyOf(gateway) == f && gateway.IsValid() {
			return gateway, nil
		}
	}
	return netip.Addr{}, nil
}

func fromRoute(a route.Addr) netip.Addr {
	switch a := a.(type) {
	case *route.Inet4Addr:
		return netip.AddrFrom4(a.IP)
	case *route.Inet6Addr:
		addr := netip.AddrFrom16(a.IP)
		if iface, err := net.InterfaceByIndex(a.ZoneID); err == nil && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(iface.Name)
		}
		return addr
	}
	return netip.Addr{}
}
