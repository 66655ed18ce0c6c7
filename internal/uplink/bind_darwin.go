package uplink

import (
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// bind lets the socket send through the interface alone.
var bind = func(fd uintptr, network string, iface *net.Interface) error {
	if strings.HasSuffix(network, "6") {
		return unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF, iface.Index)
	}
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BOUND_IF, iface.Index)
}
