//go:build !linux && !darwin && !windows

package uplink

import "net"

var bind func(fd uintptr, network string, iface *net.Interface) error
