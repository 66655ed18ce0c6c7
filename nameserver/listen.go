package nameserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// listenNetworks are the networks that a listen address may name.
var listenNetworks = []string{"udp", "udp4", "udp6", "tcp", "tcp4", "tcp6", "fd", "fdgram"}

// listenAddresses returns where to listen.
func listenAddresses(repl *caddy.Replacer, addrs []string) (out []caddy.NetworkAddress, err error) {
	if len(addrs) == 0 {
		addrs = []string{":53"}
	}
	seen := make(map[string]bool)
	for _, addr := range addrs {
		addr, err := repl.ReplaceOrErr(addr, true, true)
		if err != nil {
			return nil, fmt.Errorf("listen address: %w", err)
		}
		parsed, err := caddy.ParseNetworkAddressWithDefaults(addr, "", 53)
		if err != nil {
			return nil, fmt.Errorf("listen address %q: %w: write an address and a port, like 127.0.0.1:1053 or [2001:db8::1]:53", addr, err)
		}
		networks := []string{parsed.Network}
		switch {
		case parsed.Network == "":
			networks = []string{"udp", "tcp"}
		case parsed.IsUnixNetwork():
			return nil, fmt.Errorf("listen address %q: DNS does not use unix sockets", addr)
		case !slices.Contains(listenNetworks, parsed.Network):
			return nil, fmt.Errorf("listen address %q: DNS does not use the network %q: leave it out, or write one of %s",
				addr, parsed.Network, strings.Join(listenNetworks, ", "))
		}
		switch {
		case parsed.IsFdNetwork():
		case parsed.PortRangeSize() != 1:
			return nil, fmt.Errorf("listen address %q: write one port, not a range", addr)
		case parsed.StartPort == 0:
			return nil, fmt.Errorf("listen address %q: write a port that clients can know, like 53 or 1053", addr)
		}
		for _, network := range networks {
			parsed.Network = network
			if key := network + "/" + parsed.JoinHostPort(0); seen[key] {
				return nil, fmt.Errorf("listen address %q is listed twice", addr)
			} else {
				seen[key] = true
			}
			out = append(out, parsed)
		}
	}
	return out, nil
}
