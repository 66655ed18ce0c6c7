package uplink

import (
	"math/bits"
	"net"
	"strings"

	"golang.org/x/sys/windows"
)

// These options of ws2ipdef.h, which have one number, are in no library.
const (
	ipUnicastIf   = 31 // IP_UNICAST_IF
	ipv6UnicastIf = 31 // IPV6_UNICAST_IF
)

// bind lets the socket send through the interface. IPv4 wants its index in
// network byte order, IPv6 in that of the machine.
var bind = func(fd uintptr, network string, iface *net.Interface) error {
	if strings.HasSuffix(network, "6") {
		return windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6UnicastIf, iface.Index)
	}
	return windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, ipUnicastIf, int(int32(bits.ReverseBytes32(uint32(iface.Index)))))
}
