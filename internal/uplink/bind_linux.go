package uplink

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// bind lets the socket send through the interface alone. Before Linux 5.7, that
// takes the capability CAP_NET_RAW.
var bind = func(fd uintptr, _ string, iface *net.Interface) error {
	err := unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, iface.Name)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: before Linux 5.7, Caddy needs the capability CAP_NET_RAW for it", err)
	}
	return err
}
