// Package ipaddr knows address families, which addresses the internet can
// reach, sets of addresses, and machines that share an IPv6 prefix. It is pure.
package ipaddr

import "net/netip"

// Family is an address family, and with it a record type.
type Family uint8

const (
	V4 Family = iota
	V6
	Families
)

// FamilyOf returns the family of an address.
func FamilyOf(addr netip.Addr) Family {
	if addr.Is4() {
		return V4
	}
	return V6
}

func (f Family) String() string { return [Families]string{"ipv4", "ipv6"}[f] }

// RRType returns the type of the family's records.
func (f Family) RRType() string { return [Families]string{"A", "AAAA"}[f] }
