package ipaddr

import (
	"net/netip"
	"testing"
)

func TestMove(t *testing.T) {
	for _, tc := range []struct{ addr, prefix, want string }{
		{"2001:db8:1:2::15", "2001:db8:9:8::/64", "2001:db8:9:8::15"},
		{"2001:db8:1:203::15", "2001:db8:9:800::/56", "2001:db8:9:803::15"},
		{"2001:db8:1:203::15", "2001:db8:9:8ff::/56", "2001:db8:9:803::15"},
		{"2001:db8:1:2:ffff::", "2001:db8:9:8:8000::/65", "2001:db8:9:8:ffff::"},
		{"2001:db8:1:2::1", "2001:db8:9:8::/127", "2001:db8:9:8::1"},
		{"203.0.113.7", "198.51.100.0/24", "198.51.100.7"},
		{"203.0.113.7", "198.51.96.0/20", "198.51.97.7"},
		{"2001:db8:1:2::", "2001:db8:9:8::/64", ""},
		{"2001:db8:1:2::1", "2001:db8:9:8::/128", ""},
		{"203.0.113.0", "198.51.100.0/24", ""},
		{"203.0.113.7", "2001:db8:9:8::/64", ""},
		{"2001:db8:1:2::15", "198.51.100.0/24", ""},
	} {
		want, _ := netip.ParseAddr(tc.want)
		got, ok := Move(netip.MustParseAddr(tc.addr), netip.MustParsePrefix(tc.prefix))
		if ok != want.IsValid() || ok && got != want {
			t.Errorf("%s in %s: got %s, %t, want %q", tc.addr, tc.prefix, got, ok, tc.want)
		}
	}
}

func TestHostIDFits(t *testing.T) {
	id, err := ParseHostID("0:0:0:2::15", 62)
	if err != nil {
		t.Fatal(err)
	}
	for length := 1; length <= 128; length++ {
		if got, want := id.Fits(length), length <= 62; got != want {
			t.Errorf("%s below /%d: %t", id, length, got)
		}
	}
}
