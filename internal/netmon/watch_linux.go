package netmon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// subscribeAddresses listens to netlink in the network namespace of the
// process. It takes one bare socket instead of netlink.AddrSubscribe and the
// like: snapshots are compared anyway, so the messages need no parsing, and
// nothing outlives the call.
func subscribeAddresses(ctx context.Context, changed func()) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribing to netlink: %w", err)
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	changed()

	for {
		messages, from, err := socket.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			// Messages were lost, which is as good as a message.
			changed()
		case err != nil:
			return fmt.Errorf("receiving from netlink: %w", err)
		case from.Pid == nl.PidKernel:
			for _, m := range messages {
				if concernsAddresses(m.Header.Type, m.Data) {
					changed()
					break
				}
			}
		}
	}
}

// concernsAddresses keeps the routes of a busy router from being noise.
func concernsAddresses(messageType uint16, data []byte) bool {
	switch messageType {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return len(data) >= unix.SizeofRtMsg && nl.DeserializeRtMsg(data).Dst_len == 0
	}
	return false
}

// snapshotAddresses returns what of the addresses and default routes decides
// about the addresses to publish or to be seen from.
func snapshotAddresses() (string, error) {
	list, err := uninterrupted(func() ([]netlink.Addr, error) {
		return netlink.AddrList(nil, netlink.FAMILY_ALL)
	})
	if err != nil {
		return "", fmt.Errorf("listing addresses: %w", err)
	}
	var lines []string
	for _, a := range list {
		addr, ok := fromNetlink(a)
		if !ok || addr.Tentative || addr.Duplicate || addr.IsLinkLocalUnicast() || addr.IsLoopback() {
			continue
		}
		lines = append(lines, fmt.Sprint(a.LinkIndex, addr.Addr, addr.Temporary, addr.Deprecated, addr.Permanent))
	}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		routes, err := defaultRoutes(f)
		if err != nil {
			return "", fmt.Errorf("listing default routes: %w", err)
		}
		for _, r := range routes {
			lines = append(lines, fmt.Sprint("default ", f, r))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
