//go:build !linux

package netmon

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

const pollInterval = 10 * time.Second

// subscribeAddresses polls.
func subscribeAddresses(ctx context.Context, changed func()) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		changed()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// snapshotAddresses returns the addresses that could be published or be seen
// from.
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
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
