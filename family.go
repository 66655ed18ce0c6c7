package dynamicdns

import "net/netip"

// family is an address family, and with it a record type.
type family uint8

const (
	v4 family = iota
	v6
	families
)

func familyOf(addr netip.Addr) family {
	if addr.Is4() {
		return v4
	}
	return v6
}

func (f family) String() string { return [families]string{"ipv4", "ipv6"}[f] }

func (f family) rrType() string { return [families]string{"A", "AAAA"}[f] }

func (v *IPVersions) enabled(f family) bool {
	if f == v4 {
		return v.V4Enabled()
	}
	return v.V6Enabled()
}
