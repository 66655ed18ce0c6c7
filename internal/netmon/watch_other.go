//go:build !linux

package netmon

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// subscribeAddresses listens where the system tells of changes, and polls below
// that.
func subscribeAddresses(ctx context.Context, changed func()) error {
	return listenAndPoll(ctx, listen, changed)
}

// snapshotAddresses returns the addresses that could be published or be seen
// from, and the interfaces of the default routes.
func snapshotAddresses() (string, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, a := range list {
		if ip, ok := fromNetAddr(a); ok && !ip.IsLinkLocalUnicast() && !ip.IsLoopback() {
			lines = append(lines, ip.String())
		}
	}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if name, err := DefaultRoute(f); err == nil && name != "" {
			lines = append(lines, "default "+f.String()+" "+name)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
