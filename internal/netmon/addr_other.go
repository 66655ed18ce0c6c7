//go:build !linux

package netmon

import (
	"errors"
	"net"
	"net/netip"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Addrs returns the addresses of the named interface. The standard library does
// not tell which are permanent, so all count as such.
func Addrs(name string) ([]Addr, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	list, err := iface.Addrs()
	if err != nil {
		return nil, err
	}
	var addrs []Addr
	for _, a := range list {
		if ip, ok := fromNetAddr(a); ok {
			bits, _ := a.(*net.IPNet).Mask.Size()
			addrs = append(addrs, Addr{Addr: ip, Bits: bits, Permanent: true, Preferred: Forever})
		}
	}
	return addrs, nil
}

// DefaultRoute returns the name of the interface that the family's
// default route leads through, or "" if there is none. Connecting a UDP
// socket chooses a route and sends nothing. The destination is
// a.root-servers.net, which no other route should lead to.
func DefaultRoute(f ipaddr.Family) (string, error) {
	network, destination := "udp4", "198.41.0.4:53"
	if f == ipaddr.V6 {
		network, destination = "udp6", "[2001:503:ba3e::2:30]:53"
	}
	conn, err := net.Dial(network, destination)
	if err != nil {
		return "", nil
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")

	ifaces, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if ip, ok := fromNetAddr(a); ok && ip == local {
				return iface.Name, nil
			}
		}
	}
	return "", errors.New("no interface has the address " + local.String() + ", which the system sends from")
}

func fromNetAddr(a net.Addr) (netip.Addr, bool) {
	ipNet, ok := a.(*net.IPNet)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(ipNet.IP)
	return ip.Unmap(), ok
}
