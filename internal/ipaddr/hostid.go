package ipaddr

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
)

// DefaultPrefixLength is the length of the IPv6 prefix of one link (RFC 4291,
// section 2.5.4).
const DefaultPrefixLength = 64

// CheckPrefixLength refuses a length that leaves no bits for the prefix, or none
// for the machines in it.
func CheckPrefixLength(n int) error {
	if n < 1 || n > 127 {
		return fmt.Errorf("%d is no length of an IPv6 prefix that machines share; write one from 1 to 127, such as %d", n, DefaultPrefixLength)
	}
	return nil
}

// HostID names a machine within an IPv6 prefix: it is what follows the prefix in
// the machine's address.
type HostID struct{ octets [16]byte }

// String returns the ID as an IPv6 suffix, such as "::21b:21ff:fe3c:4d5e".
func (id HostID) String() string { return netip.AddrFrom16(id.octets).String() }

// ParseHostID parses the ID of a machine in a prefix of that length. An ID is
// written as an IPv6 suffix, which may have all bits below the prefix, or as
// the machine's MAC address, of which the modified EUI-64 is made (RFC 4291,
// appendix A).
func ParseHostID(s string, prefixLength int) (HostID, error) {
	id, err := parseHostID(s, prefixLength)
	if err != nil {
		return HostID{}, fmt.Errorf("host id %q: %w", s, err)
	}
	return id, nil
}

func parseHostID(s string, prefixLength int) (HostID, error) {
	if err := CheckPrefixLength(prefixLength); err != nil {
		return HostID{}, fmt.Errorf("prefix_length %w", err)
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return HostID{}, fmt.Errorf("this is a range; write the machine's part of an address, such as %s", machinePart(prefix.Addr(), prefixLength))
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return parseMAC(s, prefixLength)
	}
	id := HostID{addr.As16()}
	zeros := id.leadingZeros()
	switch {
	case addr.Is4():
		return HostID{}, fmt.Errorf("this is an IPv4 address, and devices share an IPv6 prefix; write the machine's IPv6 suffix, such as %s, or its MAC address", exampleID)
	case addr.Zone() != "":
		return HostID{}, fmt.Errorf("this is an address on one link; write the machine's part of it, such as %s", machinePart(addr, prefixLength))
	case zeros == 128:
		return HostID{}, fmt.Errorf("this is zero, which names no machine; write what follows the prefix in the machine's address, such as %s, or its MAC address", exampleID)
	case zeros >= prefixLength:
		return id, nil
	case zeros >= 16:
		// The first bit that is set is one of a subnet's number, not of a
		// whole address.
		return HostID{}, fmt.Errorf("this has bits among the first %d, which are the prefix; write a prefix_length of %d or less, or an ID such as %s", prefixLength, zeros, machinePart(addr, prefixLength))
	}
	return HostID{}, fmt.Errorf("this has bits among the first %d, which are the prefix; write the machine's part of the address, such as %s", prefixLength, machinePart(addr, prefixLength))
}

// parseMAC makes the modified EUI-64 of a MAC address of 48 bits.
func parseMAC(s string, prefixLength int) (HostID, error) {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6:
		return HostID{}, fmt.Errorf("this is neither an IPv6 suffix, such as %s, nor a MAC address, such as 00:1b:21:3c:4d:5e; write one of these", exampleID)
	case mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00":
		return HostID{}, errors.New("this MAC address is no machine's; write that of its network interface, such as 00:1b:21:3c:4d:5e")
	case prefixLength > 64:
		return HostID{}, fmt.Errorf("what is made of a MAC address takes 64 bits, and a prefix_length of %d leaves %d; write the machine's IPv6 suffix, or a prefix_length of 64 or less", prefixLength, 128-prefixLength)
	}
	var id HostID
	copy(id.octets[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return id, nil
}

const exampleID = "::21b:21ff:fe3c:4d5e"

// machinePart is what follows the prefix in an address, or an example of that.
func machinePart(addr netip.Addr, prefixLength int) string {
	if id := below(addr.As16(), prefixLength); addr.Is6() && id != (HostID{}) {
		return id.String()
	}
	return exampleID
}

// Join returns the address of the machine in the prefix. What the ID has within
// the prefix counts for nothing.
func Join(prefix netip.Prefix, id HostID) netip.Addr {
	octets := prefix.Masked().Addr().As16()
	for i, octet := range below(id.octets, prefix.Bits()).octets {
		octets[i] |= octet
	}
	return netip.AddrFrom16(octets)
}

// below clears the first n bits.
func below(octets [16]byte, n int) HostID {
	for i := range octets {
		switch {
		case n >= 8*(i+1):
			octets[i] = 0
		case n > 8*i:
			octets[i] &= 0xff >> (n - 8*i)
		}
	}
	return HostID{octets}
}

// leadingZeros counts the bits before the first that is set.
func (id HostID) leadingZeros() int {
	for i, octet := range id.octets {
		if octet != 0 {
			return 8*i + bits.LeadingZeros8(octet)
		}
	}
	return 128
}
