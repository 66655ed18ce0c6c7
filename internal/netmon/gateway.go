package netmon

import (
	"net"
	"net/netip"
)

// OnLink reports whether the address is in a network that this machine is
// directly connected to, so that no router leads to it. Loopback and link-local
// addresses never count: at these are this machine's own services, and those of
// its cloud.
func OnLink(addr netip.Addr) bool {
	if !addr.IsValid() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
		return false
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return inNetworks(addr, list)
}

func inNetworks(addr netip.Addr, list []net.Addr) bool {
	for _, a := range list {
		ipNet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ones, bits := ipNet.Mask.Size(); ones > 0 && bits > 0 && ipNet.Contains(addr.AsSlice()) {
			return true
		}
	}
	return false
}

// LocalTo returns the address that this machine has towards another one.
// Connecting a UDP socket chooses a route and sends nothing.
func LocalTo(addr netip.Addr) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
