package ipaddr

import (
	"fmt"
	"net/netip"
)

// specialRanges says of every address whether it can be reached from the
// internet at large. The most specific range decides; one without a reason
// can be reached. The source is the IANA special-purpose address registries
// (RFC 6890, RFC 8190 and their successors), with the address blocks that
// other RFCs take out of use. It is stricter than the registries where these
// call something reachable that is not the address of a machine: what is
// translated from IPv4 (RFC 6052), ORCHIDv2 and DRIP identifiers.
var specialRanges = []struct {
	prefix netip.Prefix
	reason string
}{
	{netip.MustParsePrefix("0.0.0.0/0"), ""},
	{netip.MustParsePrefix("0.0.0.0/8"), "this network (RFC 791)"},
	{netip.MustParsePrefix("0.0.0.0/32"), "unspecified (RFC 1122)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback (RFC 1122)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (RFC 3927)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private (RFC 1918)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "IETF protocol assignments (RFC 6890)"},
	{netip.MustParsePrefix("192.0.0.9/32"), ""},  // Port Control Protocol anycast, RFC 7723
	{netip.MustParsePrefix("192.0.0.10/32"), ""}, // TURN anycast, RFC 8155
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay anycast (RFC 7526)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private (RFC 1918)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking (RFC 2544)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast (RFC 5771)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved (RFC 1112)"},
	{netip.MustParsePrefix("255.255.255.255/32"), "limited broadcast (RFC 919)"},

	{netip.MustParsePrefix("::/0"), "outside 2000::/3, unallocated (RFC 4291)"},
	{netip.MustParsePrefix("2000::/3"), ""},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible (RFC 4291)"},
	{netip.MustParsePrefix("::/128"), "unspecified (RFC 4291)"},
	{netip.MustParsePrefix("::1/128"), "loopback (RFC 4291)"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped (RFC 4291)"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated (RFC 2765)"},
	{netip.MustParsePrefix("64:ff9b::/96"), "IPv4-translated (RFC 6052)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "IPv4-translated (RFC 8215)"},
	{netip.MustParsePrefix("100::/64"), "discard-only (RFC 6666)"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy prefix (RFC 9780)"},
	{netip.MustParsePrefix("2001::/23"), "IETF protocol assignments (RFC 2928)"},
	{netip.MustParsePrefix("2001::/32"), "Teredo (RFC 4380)"},
	{netip.MustParsePrefix("2001:1::1/128"), ""}, // Port Control Protocol anycast, RFC 7723
	{netip.MustParsePrefix("2001:1::2/128"), ""}, // TURN anycast, RFC 8155
	{netip.MustParsePrefix("2001:1::3/128"), ""}, // DNS-SD registration anycast, RFC 9665
	{netip.MustParsePrefix("2001:2::/48"), "benchmarking (RFC 5180)"},
	{netip.MustParsePrefix("2001:3::/32"), ""},     // AMT, RFC 7450
	{netip.MustParsePrefix("2001:4:112::/48"), ""}, // AS112, RFC 7535
	{netip.MustParsePrefix("2001:10::/28"), "ORCHID (RFC 4843)"},
	{netip.MustParsePrefix("2001:20::/28"), "ORCHIDv2 (RFC 7343)"},
	{netip.MustParsePrefix("2001:30::/28"), "drone remote ID (RFC 9374)"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation (RFC 3849)"},
	{netip.MustParsePrefix("2002::/16"), "6to4 (RFC 3056)"},
	{netip.MustParsePrefix("3fff::/20"), "documentation (RFC 9637)"},
	{netip.MustParsePrefix("5f00::/16"), "segment routing (RFC 9602)"},
	{netip.MustParsePrefix("fc00::/7"), "unique-local (RFC 4193)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local (RFC 4291)"},
	{netip.MustParsePrefix("fec0::/10"), "site-local (RFC 3879)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast (RFC 4291)"},
}

// Filter decides which addresses may be published.
type Filter struct {
	// Include are the only ranges from which addresses may be published, and
	// allow special-purpose ones; Exclude those from which none may.
	Include, Exclude []netip.Prefix
}

// NewFilter parses CIDR ranges. Its errors name the list that they come from.
func NewFilter(include, exclude []string) (*Filter, error) {
	f := new(Filter)
	for _, list := range []struct {
		name string
		from []string
		to   *[]netip.Prefix
	}{
		{"include", include, &f.Include},
		{"exclude", exclude, &f.Exclude},
	} {
		for _, s := range list.from {
			prefix, err := ParseRange(s)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w", list.name, s, err)
			}
			*list.to = append(*list.to, prefix)
		}
	}
	return f, nil
}

// Refuse says why the address may not be published, or "" if it may. A source
// that was given its addresses by a person has opted in to special ranges.
func (f *Filter) Refuse(addr netip.Addr, optedIn bool) (reason string) {
	switch {
	case !addr.IsValid():
		return "not an address"
	case addr.Zone() != "":
		return "has a zone (RFC 4007)"
	case addr.Is4In6():
		return SpecialPurpose(addr)
	}
	in, out := longestMatch(f.Include, addr), longestMatch(f.Exclude, addr)
	switch {
	case out.IsValid() && out.Bits() >= in.Bits():
		return "excluded by " + out.String()
	case in.IsValid():
		return ""
	case len(f.Include) > 0:
		return "not in include"
	case optedIn:
		return ""
	}
	return SpecialPurpose(addr)
}

// SpecialPurpose says why the address cannot be reached from the internet at
// large, or "" if nothing is known against it.
func SpecialPurpose(addr netip.Addr) (reason string) {
	_, reason = specialRange(addr)
	return reason
}

// SpecialRange returns the range of the registry that the address is in.
func SpecialRange(addr netip.Addr) netip.Prefix {
	prefix, _ := specialRange(addr)
	return prefix
}

func specialRange(addr netip.Addr) (prefix netip.Prefix, reason string) {
	for _, r := range specialRanges {
		if (!prefix.IsValid() || r.prefix.Bits() > prefix.Bits()) && r.prefix.Contains(addr) {
			prefix, reason = r.prefix, r.reason
		}
	}
	return prefix, reason
}

// longestMatch returns the most specific prefix that holds the address, or an
// invalid one, whose length is -1.
func longestMatch(prefixes []netip.Prefix, addr netip.Addr) (longest netip.Prefix) {
	for _, p := range prefixes {
		if p.Contains(addr) && p.Bits() > longest.Bits() {
			longest = p
		}
	}
	return longest
}

// ParseRange parses a CIDR range. Bits beyond the prefix length mean nothing,
// as elsewhere in Caddy.
func ParseRange(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.Prefix{}, fmt.Errorf("an address is not a range: write %s/%d", addr, addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil && (s == "private" || s == "lan" || s == "local") {
		return netip.Prefix{}, fmt.Errorf("not a CIDR range: write those that are meant, such as 192.168.0.0/16, or in a Caddyfile private_ranges for all private ones")
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("not a CIDR range: write one such as 198.51.100.0/24 or 2001:db8::/32")
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("IPv4-mapped addresses are never published: write an IPv4 range such as 198.51.100.0/24")
		}
		v4 := netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96).Masked()
		return netip.Prefix{}, fmt.Errorf("IPv4-mapped addresses are never published: write %s", v4)
	}
	return prefix.Masked(), nil
}
