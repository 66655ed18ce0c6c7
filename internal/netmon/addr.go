// Package netmon tells the addresses and default routes of this machine, and
// when they change. Each operating system has files of its own. Other systems
// than Linux are polled besides: what they tell has never been tried.
package netmon

import (
	"math"
	"net/netip"
)

// Addr is an address of an interface, with what decides whether it is fit to
// be published. Only Linux tells all of it.
type Addr struct {
	netip.Addr
	// Bits is the length of the prefix of the network that the address is in.
	Bits int

	Temporary, Deprecated, Tentative, Duplicate bool

	// Permanent is set for an address whose valid lifetime does not end.
	Permanent bool
	// Preferred is what is left of the preferred lifetime, in seconds.
	Preferred uint32
	// Created is when the address was added, in hundredths of a second, which
	// wrap around. 0 means that this is not known.
	Created uint32
	// Unrouted is set for an IPv6 address whose prefix has no route on the
	// link, as when a router has withdrawn it.
	Unrouted bool
}

// NewerThan reports whether the address is known to have been added after the
// other.
func (a Addr) NewerThan(other Addr) bool {
	return a.Created != 0 && other.Created != 0 && int32(a.Created-other.Created) > 0
}

// Forever is a preferred lifetime that does not end, as netlink writes it.
const Forever = math.MaxUint32

// Defect says why the address should not be published, or "" if it may.
func (a Addr) Defect() string {
	switch {
	case a.Duplicate:
		return "in use by another host"
	case a.Tentative:
		return "tentative"
	case a.Deprecated, a.Preferred == 0:
		return "deprecated"
	case a.Temporary:
		return "temporary"
	}
	return ""
}
