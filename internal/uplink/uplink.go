// Package uplink makes connections that leave through a certain network
// interface, for machines that have several ways to the internet.
package uplink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

// Uplink is a network interface, or, if it is empty, whichever the system's
// routes say.
type Uplink string

// Check says whether this system can do it.
func (u Uplink) Check() error {
	if u != "" && bind == nil {
		return fmt.Errorf("interface %q: on %s, connections cannot be bound to an interface, only on Linux, macOS and Windows; leave it out", string(u), runtime.GOOS)
	}
	return nil
}

// Exists says whether the interface is there just now.
func (u Uplink) Exists() error {
	if u == "" {
		return nil
	}
	if _, err := net.InterfaceByName(string(u)); err != nil {
		return fmt.Errorf("the interface %s does not exist (yet)", u)
	}
	return nil
}

// DialContext connects through the interface. A name is looked up as the system
// does it, which need not be through the interface.
func (u Uplink) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := u.dialer()
	return dialer.DialContext(ctx, network, address)
}

// Routable reports whether the interface leads to the address, and the machine
// has a source address fit for it. Connecting a UDP socket asks the kernel just
// that and sends nothing.
func (u Uplink) Routable(to netip.Addr) bool {
	dialer := u.dialer()
	conn, err := dialer.Dial("udp", netip.AddrPortFrom(to, 443).String())
	if err != nil {
		return false
	}
	defer conn.Close()
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	return !from.IsLinkLocalUnicast() || to.IsLinkLocalUnicast()
}

func (u Uplink) dialer() net.Dialer {
	if u == "" {
		return net.Dialer{}
	}
	return net.Dialer{Control: func(network, _ string, socket syscall.RawConn) error {
		iface, err := net.InterfaceByName(string(u))
		if err != nil {
			return fmt.Errorf("the interface %s does not exist (yet)", u)
		}
		var bound error
		if err := socket.Control(func(fd uintptr) { bound = bind(fd, network, iface) }); err != nil {
			return err
		}
		if bound != nil {
			return fmt.Errorf("binding to the interface %s: %w", u, bound)
		}
		return nil
	}}
}
