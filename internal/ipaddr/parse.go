package ipaddr

import (
	"fmt"
	"net/netip"
)

// Parse reads an address that can stand in a record. Its errors say what to
// write instead.
func Parse(s string) (netip.Addr, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return netip.Addr{}, fmt.Errorf("a range is not an address: write %s", prefix.Addr().Unmap())
	}
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%.64q is not an address: write one such as 198.51.100.7 or 2001:db8::7", s)
	case addr.Zone() != "":
		return netip.Addr{}, fmt.Errorf("an address with a zone means nothing elsewhere: write %s", addr.WithZone(""))
	case addr.Is4In6():
		return netip.Addr{}, fmt.Errorf("IPv4-mapped addresses cannot be published: write %s", addr.Unmap())
	}
	return addr, nil
}
