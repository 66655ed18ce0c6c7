package netmon

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// interfaceAddrs returns the addresses of the interface of that name, as
// netlink tells them.
func Addrs(name string) ([]Addr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return nil, errors.New("it does not exist (yet)")
		}
		return nil, err
	}
	list, err := uninterrupted(func() ([]netlink.Addr, error) {
		return netlink.AddrList(link, netlink.FAMILY_ALL)
	})
	if err != nil {
		return nil, err
	}
	var addrs []Addr
	for _, a := range list {
		if addr, ok := fromNetlink(a); ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

// defaultRouteInterface returns the name of the interface that the family's
// default route leads through, or "" if there is no default route.
func DefaultRoute(f ipaddr.Family) (string, error) {
	routes, err := defaultRoutes(f)
	if err != nil || len(routes) == 0 {
		return "", err
	}
	link, err := netlink.LinkByIndex(routes[0].link)
	if err != nil {
		return "", fmt.Errorf("interface %d of the default route: %w", routes[0].link, err)
	}
	return link.Attrs().Name, nil
}

// defaultRoute is one next hop of a default route in the main table.
type defaultRoute struct {
	metric, link int
	gateway      string
}

// defaultRoutes returns the default routes of a family that lead somewhere,
// the one in force first.
func defaultRoutes(f ipaddr.Family) ([]defaultRoute, error) {
	nlFamily := netlink.FAMILY_V4
	if f == ipaddr.V6 {
		nlFamily = netlink.FAMILY_V6
	}
	list, err := uninterrupted(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(nlFamily, &netlink.Route{Table: unix.RT_TABLE_MAIN},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	})
	if err != nil {
		return nil, err
	}
	const unreachable = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN
	var routes []defaultRoute
	for _, r := range list {
		if r.Type != unix.RTN_UNICAST {
			continue
		}
		if r.LinkIndex > 0 && r.Flags&unreachable == 0 {
			routes = append(routes, defaultRoute{r.Priority, r.LinkIndex, r.Gw.String()})
		}
		for _, hop := range r.MultiPath {
			if hop.Flags&unreachable == 0 {
				routes = append(routes, defaultRoute{r.Priority, hop.LinkIndex, hop.Gw.String()})
			}
		}
	}
	slices.SortFunc(routes, func(a, b defaultRoute) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.link, b.link), cmp.Compare(a.gateway, b.gateway))
	})
	return routes, nil
}

func fromNetlink(a netlink.Addr) (Addr, bool) {
	if a.IPNet == nil {
		return Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return Addr{}, false
	}
	ip = ip.Unmap()
	bits, _ := a.Mask.Size()
	return Addr{
		Addr: ip, Bits: bits,
		// The bit means "secondary" for IPv4, which takes nothing away.
		Temporary:  ip.Is6() && a.Flags&unix.IFA_F_TEMPORARY != 0,
		Deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
		Tentative:  a.Flags&unix.IFA_F_TENTATIVE != 0,
		Duplicate:  a.Flags&unix.IFA_F_DADFAILED != 0,
		Permanent:  a.Flags&unix.IFA_F_PERMANENT != 0,
		// Where int has 32 bits, "for ever" arrives as -1.
		Preferred: uint32(a.PreferedLft),
	}, true
}

// uninterrupted repeats a dump that the kernel reports as inconsistent because
// something changed meanwhile.
func uninterrupted[T any](dump func() ([]T, error)) (list []T, err error) {
	for range 5 {
		list, err = dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
