package netmon

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Gateway returns the router that the family's default route leads through, or
// the zero Addr if there is none. A link-local address has its zone.
func Gateway(f ipaddr.Family) (netip.Addr, error) {
	routes, err := listRoutes(f)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, r := range routes.defaults {
		// A tunnel has no gateway; what is behind it is no router of this network.
		addr, err := netip.ParseAddr(r.gateway)
		if err != nil {
			continue
		}
		addr = addr.Unmap()
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			link, err := netlink.LinkByIndex(r.link)
			if err != nil {
				return netip.Addr{}, fmt.Errorf("interface %d of the default route: %w", r.link, err)
			}
			addr = addr.WithZone(link.Attrs().Name)
		}
		if ipaddr.FamilyOf(addr) == f && !addr.IsUnspecified() {
			return addr, nil
		}
	}
	return netip.Addr{}, nil
}
