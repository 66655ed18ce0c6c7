package ipaddr

import "net/netip"

// Move returns the address that the machine at addr has in another prefix of
// the same family: its bits below the prefix stay. Without such a bit it names
// no machine, and there is none.
func Move(addr netip.Addr, prefix netip.Prefix) (moved netip.Addr, ok bool) {
	host, network := addr.AsSlice(), prefix.Masked().Addr().AsSlice()
	if len(host) != len(network) {
		return netip.Addr{}, false
	}
	for i := range host {
		mask := byte(0xff) >> min(8, max(0, prefix.Bits()-8*i))
		ok = ok || host[i]&mask != 0
		network[i] |= host[i] & mask
	}
	moved, _ = netip.AddrFromSlice(network)
	return moved, ok
}

// Fits reports whether the ID has no bit within a prefix of that length.
func (id HostID) Fits(prefixLength int) bool { return id.leadingZeros() >= prefixLength }
