package netmon

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Addrs returns the addresses of the interface of that name, as netlink tells
// them.
func Addrs(name string) ([]Addr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return nil, errors.New("it does not exist (yet)")
		}
		return nil, err
	}
	all, err := listAddrs()
	if err != nil {
		return nil, err
	}
	own := all[link.Attrs().Index]
	if slices.ContainsFunc(own, func(a Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() }) {
		routes, err := listRoutes(ipaddr.V6)
		if err != nil {
			return nil, fmt.Errorf("listing routes: %w", err)
		}
		routes.mark(link.Attrs().Index, own)
	}
	return own, nil
}

// DefaultRoute returns the name of the interface that the family's default
// route leads through, or "" if there is no default route.
func DefaultRoute(f ipaddr.Family) (string, error) {
	routes, err := listRoutes(f)
	if err != nil || len(routes.defaults) == 0 {
		return "", err
	}
	link, err := netlink.LinkByIndex(routes.defaults[0].link)
	if err != nil {
		return "", fmt.Errorf("interface %d of the default route: %w", routes.defaults[0].link, err)
	}
	return link.Attrs().Name, nil
}

// routes are those of one family in the main table that matter here.
type routes struct {
	// defaults are the default routes that lead somewhere, the one in force
	// first.
	defaults []defaultRoute
	// onLink are the prefixes that are reached without a gateway, by link.
	onLink map[int][]netip.Prefix
}

// defaultRoute is one next hop of a default route.
type defaultRoute struct {
	metric, link int
	gateway      string
}

func listRoutes(f ipaddr.Family) (routes, error) {
	nlFamily := netlink.FAMILY_V4
	if f == ipaddr.V6 {
		nlFamily = netlink.FAMILY_V6
	}
	const unreachable = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN
	return uninterrupted(func() (routes, error) {
		found := routes{onLink: make(map[int][]netip.Prefix)}
		err := netlink.RouteListFilteredIter(nlFamily, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if r.Type != unix.RTN_UNICAST {
				return true
			}
			if to, ok := prefixOf(r.Dst); ok && to.Bits() > 0 {
				if r.Gw == nil && len(r.MultiPath) == 0 {
					found.onLink[r.LinkIndex] = append(found.onLink[r.LinkIndex], to)
				}
				return true
			}
			if r.LinkIndex > 0 && r.Flags&unreachable == 0 {
				found.defaults = append(found.defaults, defaultRoute{r.Priority, r.LinkIndex, r.Gw.String()})
			}
			for _, hop := range r.MultiPath {
				if hop.Flags&unreachable == 0 {
					found.defaults = append(found.defaults, defaultRoute{r.Priority, hop.LinkIndex, hop.Gw.String()})
				}
			}
			return true
		})
		slices.SortFunc(found.defaults, func(a, b defaultRoute) int {
			return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.link, b.link), cmp.Compare(a.gateway, b.gateway))
		})
		return found, err
	})
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(ip, ones), ok
}

// mark tells which IPv6 addresses of a link have lost their prefix.
func (r routes) mark(link int, addrs []Addr) {
	for i := range addrs {
		a := &addrs[i]
		a.Unrouted = a.Is6() && !slices.ContainsFunc(r.onLink[link], func(p netip.Prefix) bool { return p.Contains(a.Addr) })
	}
}

// listAddrs returns all addresses by link. It reads netlink's answer itself
// because netlink.AddrList leaves out when an address was added.
func listAddrs() (map[int][]Addr, error) {
	return uninterrupted(func() (map[int][]Addr, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfAddrmsg(netlink.FAMILY_ALL))
		messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
		if err != nil {
			return nil, err
		}
		byLink := make(map[int][]Addr)
		for _, m := range messages {
			if link, a, ok := parseAddr(m); ok {
				byLink[link] = append(byLink[link], a)
			}
		}
		return byLink, nil
	})
}

// parseAddr reads a message RTM_NEWADDR.
func parseAddr(m []byte) (link int, a Addr, ok bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, Addr{}, false
	}
	header := nl.DeserializeIfAddrmsg(m)
	attributes, err := nl.ParseRouteAttr(m[header.Len():])
	if err != nil {
		return 0, Addr{}, false
	}
	flags := uint32(header.Flags)
	a.Preferred = Forever
	var local, peer netip.Addr
	for _, attr := range attributes {
		v := attr.Value
		switch {
		case attr.Attr.Type == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case attr.Attr.Type == unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(v)
		case attr.Attr.Type == unix.IFA_FLAGS && len(v) >= 4:
			flags = nl.NativeEndian().Uint32(v)
		case attr.Attr.Type == unix.IFA_CACHEINFO && len(v) >= unix.SizeofIfaCacheinfo:
			times := nl.DeserializeIfaCacheInfo(v)
			a.Preferred, a.Created = times.Prefered, times.Cstamp
		}
	}
	a.Addr, a.Bits = peer.Unmap(), int(header.Prefixlen)
	if local.IsValid() && local != peer {
		// The network is the peer's.
		a.Addr, a.Bits = local.Unmap(), local.BitLen()
	}
	// The bit means "secondary" for IPv4, which takes nothing away.
	a.Temporary = a.Is6() && flags&unix.IFA_F_TEMPORARY != 0
	a.Deprecated = flags&unix.IFA_F_DEPRECATED != 0
	a.Tentative = flags&unix.IFA_F_TENTATIVE != 0
	a.Duplicate = flags&unix.IFA_F_DADFAILED != 0
	a.Permanent = flags&unix.IFA_F_PERMANENT != 0
	return int(header.Index), a, a.IsValid()
}

// uninterrupted repeats a dump that the kernel reports as inconsistent because
// something changed meanwhile.
func uninterrupted[T any](dump func() (T, error)) (list T, err error) {
	for range 5 {
		list, err = dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
