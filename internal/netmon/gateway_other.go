//go:build !linux && !windows && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package netmon

import (
	"errors"
	"net/netip"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Gateway fails: nothing tells the routes of this system.
func Gateway(ipaddr.Family) (netip.Addr, error) {
	return netip.Addr{}, errors.ErrUnsupported
}
