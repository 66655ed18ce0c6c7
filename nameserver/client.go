package nameserver

import (
	"net"
	"net/netip"
)

// clientOf returns who asks, and whether over TCP.
func clientOf(addr net.Addr) (client netip.Addr, tcp bool) {
	switch a := addr.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap().WithZone(""), false
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, true
}
