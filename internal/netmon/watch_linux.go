package netmon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

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

// concernsAddresses keeps the routes of a busy router from being noise: of
// those, it lets pass default routes and the IPv6 prefixes of links.
func concernsAddresses(messageType uint16, data []byte) bool {
	switch messageType {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(data) < unix.SizeofRtMsg {
			return false
		}
		r := nl.DeserializeRtMsg(data)
		return r.Dst_len == 0 || r.Family == unix.AF_INET6 && r.Table == unix.RT_TABLE_MAIN && isOnLink(data)
	}
	return false
}

func isOnLink(route []byte) bool {
	attributes, err := nl.ParseRouteAttr(route[unix.SizeofRtMsg:])
	return err == nil && !slices.ContainsFunc(attributes, func(a syscall.NetlinkRouteAttr) bool {
		return a.Attr.Type == unix.RTA_GATEWAY || a.Attr.Type == unix.RTA_MULTIPATH
	})
}

// snapshotAddresses returns what of the addresses, default routes and IPv6
// prefixes decides about the addresses to publish or to be seen from.
func snapshotAddresses() (string, error) {
	links, err := listAddrs()
	if err != nil {
		return "", fmt.Errorf("listing addresses: %w", err)
	}
	var lines []string
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		routes, err := listRoutes(f)
		if err != nil {
			return "", fmt.Errorf("listing routes: %w", err)
		}
		for _, r := range routes.defaults {
			lines = append(lines, fmt.Sprint("default ", f, r))
		}
		if f == ipaddr.V6 {
			for link, addrs := range links {
				routes.mark(link, addrs)
			}
		}
	}
	for link, addrs := range links {
		for _, a := range addrs {
			if a.Tentative || a.Duplicate || a.IsLinkLocalUnicast() || a.IsLoopback() {
				continue
			}
			lines = append(lines, fmt.Sprint(link, a.Addr, a.Temporary, a.Deprecated, a.Permanent, a.Unrouted))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
