package ipaddr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddrFilterByDefault(t *testing.T) {
	for addr, want := range map[string]string{
		"8.8.8.8":                "",
		"1.1.1.1":                "",
		"100.63.255.255":         "",
		"100.128.0.0":            "",
		"172.15.255.255":         "",
		"172.32.0.0":             "",
		"192.0.0.9":              "",
		"192.0.0.10":             "",
		"192.31.196.1":           "",
		"192.52.193.1":           "",
		"192.175.48.1":           "",
		"198.20.0.1":             "",
		"223.255.255.255":        "",
		"2001:1::1":              "",
		"2001:1::2":              "",
		"2001:1::3":              "",
		"2001:3::1":              "",
		"2001:4:112::1":          "",
		"2001:200::1":            "",
		"2606:4700:4700::1111":   "",
		"2620:4f:8000::1":        "",
		"3fff:1000::1":           "",
		"0.0.0.0":                "unspecified (RFC 1122)",
		"0.1.2.3":                "this network (RFC 791)",
		"10.0.0.1":               "private (RFC 1918)",
		"100.64.0.0":             "carrier-grade NAT (RFC 6598)",
		"100.127.255.255":        "carrier-grade NAT (RFC 6598)",
		"127.0.0.53":             "loopback (RFC 1122)",
		"169.254.1.1":            "link-local (RFC 3927)",
		"172.16.0.1":             "private (RFC 1918)",
		"172.31.255.255":         "private (RFC 1918)",
		"192.0.0.1":              "IETF protocol assignments (RFC 6890)",
		"192.0.0.8":              "IETF protocol assignments (RFC 6890)",
		"192.0.0.170":            "IETF protocol assignments (RFC 6890)",
		"192.0.2.1":              "documentation (RFC 5737)",
		"192.88.99.1":            "6to4 relay anycast (RFC 7526)",
		"192.168.1.1":            "private (RFC 1918)",
		"198.18.0.1":             "benchmarking (RFC 2544)",
		"198.19.255.255":         "benchmarking (RFC 2544)",
		"198.51.100.7":           "documentation (RFC 5737)",
		"203.0.113.7":            "documentation (RFC 5737)",
		"224.0.0.1":              "multicast (RFC 5771)",
		"239.255.255.255":        "multicast (RFC 5771)",
		"240.0.0.1":              "reserved (RFC 1112)",
		"255.255.255.255":        "limited broadcast (RFC 919)",
		"::":                     "unspecified (RFC 4291)",
		"::1":                    "loopback (RFC 4291)",
		"::8.8.8.8":              "IPv4-compatible (RFC 4291)",
		"::ffff:8.8.8.8":         "IPv4-mapped (RFC 4291)",
		"::ffff:0:8.8.8.8":       "IPv4-translated (RFC 2765)",
		"64:ff9b::8.8.8.8":       "IPv4-translated (RFC 6052)",
		"64:ff9b:1::1":           "IPv4-translated (RFC 8215)",
		"100::1":                 "discard-only (RFC 6666)",
		"100:0:0:1::1":           "dummy prefix (RFC 9780)",
		"2001::1":                "Teredo (RFC 4380)",
		"2001:1::4":              "IETF protocol assignments (RFC 2928)",
		"2001:1ff::1":            "IETF protocol assignments (RFC 2928)",
		"2001:2::1":              "benchmarking (RFC 5180)",
		"2001:10::1":             "ORCHID (RFC 4843)",
		"2001:2f::1":             "ORCHIDv2 (RFC 7343)",
		"2001:30::1":             "drone remote ID (RFC 9374)",
		"2001:db8::1":            "documentation (RFC 3849)",
		"2002:808:808::1":        "6to4 (RFC 3056)",
		"3fff:fff::1":            "documentation (RFC 9637)",
		"4000::1":                "outside 2000::/3, unallocated (RFC 4291)",
		"1fff::1":                "outside 2000::/3, unallocated (RFC 4291)",
		"5f00::1":                "segment routing (RFC 9602)",
		"fc00::1":                "unique-local (RFC 4193)",
		"fd12:3456::1":           "unique-local (RFC 4193)",
		"fe80::1":                "link-local (RFC 4291)",
		"fec0::1":                "site-local (RFC 3879)",
		"ff02::1":                "multicast (RFC 4291)",
		"fe80::1%eth0":           "has a zone (RFC 4007)",
		"2606:4700:4700::1%eth0": "has a zone (RFC 4007)",
	} {
		f, err := NewFilter(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Refuse(netip.MustParseAddr(addr), false); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	if got := new(Filter).Refuse(netip.Addr{}, true); got == "" {
		t.Error("no address at all is accepted")
	}
}

func TestAddrFilterWithRanges(t *testing.T) {
	for _, tc := range []struct {
		name             string
		include, exclude string
		addr             string
		optedIn          bool
		want             string
	}{
		{name: "opted in to private", addr: "192.168.1.1", optedIn: true},
		{name: "opted in, mapped", addr: "::ffff:8.8.8.8", optedIn: true, want: "IPv4-mapped (RFC 4291)"},
		{name: "opted in, zone", addr: "fe80::1%eth0", optedIn: true, want: "has a zone (RFC 4007)"},
		{name: "opted in, include applies", include: "10.0.0.0/8", addr: "192.168.1.1", optedIn: true, want: "not in include"},
		{name: "opted in, exclude applies", exclude: "192.168.0.0/16", addr: "192.168.1.1", optedIn: true, want: "excluded by 192.168.0.0/16"},
		{name: "include opts in", include: "10.0.0.0/8", addr: "10.1.2.3"},
		{name: "include narrows", include: "10.0.0.0/8", addr: "8.8.8.8", want: "not in include"},
		{name: "include of one family leaves out the other", include: "0.0.0.0/0", addr: "2606:4700::1", want: "not in include"},
		{name: "include of everything is not of mapped ones", include: "::/0", addr: "::ffff:8.8.8.8", want: "IPv4-mapped (RFC 4291)"},
		{name: "exclude takes away", exclude: "8.8.0.0/16", addr: "8.8.8.8", want: "excluded by 8.8.0.0/16"},
		{name: "exclude alone keeps the default", exclude: "8.8.0.0/16", addr: "10.0.0.1", want: "private (RFC 1918)"},
		{name: "exclude alone lets others pass", exclude: "8.8.0.0/16", addr: "8.9.0.1"},
		{name: "longer include wins", include: "8.8.8.0/24 9.0.0.0/8", exclude: "8.0.0.0/8", addr: "8.8.8.8"},
		{name: "longer exclude wins", include: "8.0.0.0/8", exclude: "8.8.8.0/24", addr: "8.8.8.8", want: "excluded by 8.8.8.0/24"},
		{name: "exclude wins a tie", include: "8.8.8.0/24", exclude: "8.8.8.0/24", addr: "8.8.8.8", want: "excluded by 8.8.8.0/24"},
		{name: "longest of several", include: "8.0.0.0/8 8.8.8.8/32", exclude: "8.8.0.0/16 8.8.8.0/24", addr: "8.8.8.8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := NewFilter(strings.Fields(tc.include), strings.Fields(tc.exclude))
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Refuse(netip.MustParseAddr(tc.addr), tc.optedIn); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAddrFilterTeaches(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1":            `include "10.0.0.1": an address is not a range: write 10.0.0.1/32`,
		"::1":                 `include "::1": an address is not a range: write ::1/128`,
		"::ffff:10.0.0.0/104": `IPv4-mapped addresses are never published: write 10.0.0.0/8`,
		"::ffff:0:0/90":       `IPv4-mapped addresses are never published: write an IPv4 range`,
		"10.0.0.0/33":         `not a CIDR range: write one such as 198.51.100.0/24`,
		"example.com":         `not a CIDR range`,
		"private":             `in a Caddyfile private_ranges for all`,
		"":                    `not a CIDR range`,
	} {
		_, err := NewFilter([]string{in}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
		if _, err := NewFilter(nil, []string{in}); err == nil || !strings.HasPrefix(err.Error(), "exclude ") {
			t.Errorf("%q as exclude: got %v", in, err)
		}
	}
}
