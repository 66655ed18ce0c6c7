package ipaddr

import (
	"net/netip"
	"slices"
)

// Without returns the addresses of a that are not in b.
func Without(a, b []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, addr := range a {
		if !slices.Contains(b, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// Sort returns the addresses unmapped, sorted, and each once.
func Sort(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.Unmap()
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
