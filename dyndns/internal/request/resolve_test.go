package request

import (
	"net/netip"
	"testing"
)

// TestPrefixes: which bits stand below a prefix that is sent.
func TestPrefixes(t *testing.T) {
	for _, tc := range []struct {
		name         string
		prefixLength int
		query, want  string
	}{
		{name: "a host keeps the bits on record",
			query: "hostname=box.example.com&ip6lanprefix=2001:db8:1:2::/64",
			want:  "box: AAAA 2001:db8:1:2::99 [2001:db8:1:2::99]"},
		{name: "all below the length that is sent",
			query: "hostname=box.example.com&ip6lanprefix=2001:db8:1:200::/56",
			want:  "box: AAAA 2001:db8:1:203::99 [2001:db8:1:203::99]"},
		{name: "under another name",
			query: "hostname=box.example.com&ipv6prefix=2001:db8:1:2::/64",
			want:  "box: AAAA 2001:db8:1:2::99 [2001:db8:1:2::99]"},
		{name: "as an address in CIDR form",
			query: "hostname=box.example.com&myipv6=2001:db8:1:2::/64",
			want:  "box: AAAA 2001:db8:1:2::99 [2001:db8:1:2::99]"},
		{name: "what that has below its length counts for nothing",
			query: "hostname=box.example.com&myip=2001:db8:1:2::1/64",
			want:  "box: AAAA 2001:db8:1:2::99 [2001:db8:1:2::99]"},
		{name: "of IPv4, too",
			query: "hostname=box.example.com&myip=198.51.100.0/24",
			want:  "box: A 198.51.100.99 [198.51.100.99]"},
		{name: "mapped",
			query: "hostname=box.example.com&myip=::ffff:198.51.100.0/120",
			want:  "box: A 198.51.100.99 [198.51.100.99]"},
		{name: "several",
			query: "hostname=box.example.com&ip6lanprefix=2001:db8:2::/64,2001:db8:1::/64",
			want:  "box: AAAA 2001:db8:1::99,2001:db8:2::99 [2001:db8:2::99,2001:db8:1::99]"},
		{name: "for one host alone",
			query: "hostname=box.example.com,nas.example.com&ip6lanprefix=2001:db8:1::/64&myipv6:nas.example.com=2001:db8:2::/64",
			want:  "box: AAAA 2001:db8:1::99 [2001:db8:1::99]; nas: AAAA 2001:db8:2::1234 [2001:db8:2::1234]"},

		{name: "a device has its id",
			query: "hostname=nas.example.com&ip6lanprefix=2001:db8:1:2::/64",
			want:  "nas: AAAA 2001:db8:1:2::1234 [2001:db8:1:2::1234]"},
		{name: "and several",
			query: "hostname=tv.example.com&ip6lanprefix=2001:db8:1:200::/56",
			want:  "tv: AAAA 2001:db8:1:200::5,2001:db8:1:202::6 [2001:db8:1:200::5,2001:db8:1:202::6]"},
		{name: "an address that a device sends is in its prefix",
			query: "hostname=nas.example.com&myipv6=2001:db8:1:2::beef",
			want:  "nas: AAAA 2001:db8:1:2::1234 [2001:db8:1:2::1234]"},
		{name: "of the configured length", prefixLength: 56,
			query: "hostname=tv.example.com&myipv6=2001:db8:1:2ff::beef",
			want:  "tv: AAAA 2001:db8:1:200::5,2001:db8:1:202::6 [2001:db8:1:200::5,2001:db8:1:202::6]"},
		{name: "a prefix that is sent beats that length", prefixLength: 56,
			query: "hostname=nas.example.com&myipv6=2001:db8:1:2ff::beef&ip6lanprefix=2001:db8:1:2ff::/64",
			want:  "nas: AAAA 2001:db8:1:2ff::1234 [2001:db8:1:2ff::1234]"},
		{name: "all of a FRITZ!Box",
			query: "hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=2001:db8:1::1&ip6lanprefix=2001:db8:1:100::/56",
			want:  "box: A 192.0.2.1 AAAA 2001:db8:1::1 [192.0.2.1,2001:db8:1::1]; nas: A 192.0.2.1 AAAA 2001:db8:1:100::1234 [192.0.2.1,2001:db8:1:100::1234]"},
		{name: "which has a prefix and no address",
			query: "hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=&ip6lanprefix=2001:db8:1:100::/56",
			want:  "box: A 192.0.2.1 AAAA none [192.0.2.1]; nas: A 192.0.2.1 AAAA 2001:db8:1:100::1234 [192.0.2.1,2001:db8:1:100::1234]"},
		{name: "which has lost IPv6",
			query: "hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=&ip6lanprefix=",
			want:  "box: A 192.0.2.1 AAAA none [192.0.2.1]; nas: A 192.0.2.1 AAAA none [192.0.2.1]"},
		{name: "which has lost IPv4",
			query: "hostname=box.example.com,nas.example.com&ipaddr=&ip6addr=2001:db8:1::1&ip6lanprefix=2001:db8:1:100::/56",
			want:  "box: A none AAAA 2001:db8:1::1 [2001:db8:1::1]; nas: A none AAAA 2001:db8:1:100::1234 [2001:db8:1:100::1234]"},

		{name: "an explicit address of a host that is no device beats the prefix",
			query: "hostname=box.example.com&myipv6=2001:db8:1::7&ip6lanprefix=2001:db8:1:2::/64",
			want:  "box: AAAA 2001:db8:1::7 [2001:db8:1::7]"},
		{name: "so does preserve",
			query: "hostname=box.example.com&myipv6=preserve&ip6lanprefix=2001:db8:1:2::/64",
			want:  "box: []"},

		{name: "neither id nor bits, and nothing else asked",
			query: "hostname=new.example.com&ip6lanprefix=2001:db8:1:2::/64",
			want:  "400 dnserr"},
		{name: "neither id nor bits of one of several",
			query: "hostname=box.example.com,new.example.com&ip6lanprefix=2001:db8:1:2::/64",
			want:  "400 dnserr"},
		{name: "the family is left alone if there is more",
			query: "hostname=new.example.com&myip=192.0.2.1&ip6lanprefix=2001:db8:1:2::/64",
			want:  "new: A 192.0.2.1 [192.0.2.1]"},
		{name: "an IPv4 prefix and no bits",
			query: "hostname=nas.example.com&myip=198.51.100.0/24",
			want:  "400 dnserr"},
		{name: "an id that does not fit",
			query: "hostname=tv.example.com&ip6lanprefix=2001:db8:1:2::/64",
			want:  "400 dnserr"},
		{name: "an id that does not fit, and more is asked",
			query: "hostname=tv.example.com&myip=192.0.2.1&ip6lanprefix=2001:db8:1:2::/64",
			want:  "tv: A 192.0.2.1 [192.0.2.1]"},

		{name: "the address that is made passes the filter",
			query: "hostname=nas.example.com&ip6lanprefix=2001:db8:66:2::/64",
			want:  "400 dnserr"},
		{name: "the one of bits on record, too",
			query: "hostname=box.example.com&ip6lanprefix=fd00::/64",
			want:  "400 dnserr"},

		{name: "a zone", query: "hostname=nas.example.com&myip=2001:db8::1%25eth0", want: "400 dnserr"},
		{name: "no prefix", query: "hostname=nas.example.com&ip6lanprefix=2001:db8:1:2::", want: "400 dnserr"},
		{name: "one of IPv4", query: "hostname=nas.example.com&ip6lanprefix=192.0.2.0/24", want: "400 dnserr"},
		{name: "one that is an address", query: "hostname=nas.example.com&ip6lanprefix=2001:db8::1/128", want: "400 dnserr"},
		{name: "too long", query: "hostname=nas.example.com&ip6lanprefix=2001:db8::/129", want: "400 dnserr"},
		{name: "of everything", query: "hostname=nas.example.com&ip6lanprefix=::/0", want: "400 dnserr"},
		{name: "mapped, of more than IPv4", query: "hostname=nas.example.com&myip=::ffff:0:0/90", want: "400 dnserr"},
		{name: "empty item", query: "hostname=nas.example.com&ip6lanprefix=2001:db8::/64,", want: "400 dnserr"},
		{name: "preserve", query: "hostname=nas.example.com&ip6lanprefix=preserve", want: "400 dnserr"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules := testRules(t)
			if tc.prefixLength != 0 {
				rules.PrefixLength = tc.prefixLength
			}
			if got := outcome(t, get(tc.query), rules, netip.MustParseAddr(client)); got != tc.want {
				t.Errorf("%s\n got %s\nwant %s", tc.query, got, tc.want)
			}
		})
	}
}
