package ipaddr

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestParseHostID(t *testing.T) {
	for _, tc := range []struct {
		id     string
		length int
		want   string
	}{
		{"::21b:21ff:fe3c:4d5e", 64, "::21b:21ff:fe3c:4d5e"},
		{"::15", 64, "::15"},
		{"::15", 120, "::15"},
		{"::1", 127, "::1"},
		{"::192.168.1.5", 64, "::c0a8:105"},
		{"::ffff:192.168.1.5", 64, "::ffff:192.168.1.5"},
		{"0:0:0:2::15", 62, "::2:0:0:0:15"},
		{"0:0:0:ff::", 56, "0:0:0:ff::"},
		{"7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"00:1b:21:3c:4d:5e", 64, "::21b:21ff:fe3c:4d5e"},
		{"00-1B-21-3C-4D-5E", 48, "::21b:21ff:fe3c:4d5e"},
		{"001b.213c.4d5e", 64, "::21b:21ff:fe3c:4d5e"},
		{"02:00:00:00:00:00", 64, "::ff:fe00:0"},
	} {
		id, err := ParseHostID(tc.id, tc.length)
		if err != nil || id.String() != tc.want {
			t.Errorf("%s below /%d: got %s, %v, want %s", tc.id, tc.length, id, err, tc.want)
		}
	}
}

func TestHostIDTeaches(t *testing.T) {
	for _, tc := range []struct {
		id     string
		length int
		want   string
	}{
		{"::", 64, "this is zero"},
		{"0:0:0:2::", 64, "a prefix_length of 62 or less, or an ID such as ::21b:21ff:fe3c:4d5e"},
		{"0:0:0:2::15", 64, "a prefix_length of 62 or less, or an ID such as ::15"},
		{"2001:db8:1:2::15", 64, "write the machine's part of the address, such as ::15"},
		{"fe80::21b:21ff:fe3c:4d5f", 64, "such as ::21b:21ff:fe3c:4d5f"},
		{"fe80::21b:21ff:fe3c:4d5f%eth0", 64, "such as ::21b:21ff:fe3c:4d5f"},
		{"2001:db8:1:2::15/64", 64, "this is a range; write the machine's part of an address, such as ::15"},
		{"192.168.1.0/24", 64, "this is a range"},
		{"192.168.1.15", 64, "this is an IPv4 address"},
		{"::8000:0:0:0", 65, "a prefix_length of 64 or less"},
		{"00:1b:21:3c:4d:5e", 65, "takes 64 bits, and a prefix_length of 65 leaves 63"},
		{"00:00:00:00:00:00", 64, "no machine's"},
		{"ff:ff:ff:ff:ff:ff", 64, "no machine's"},
		{"00:1b:21:ff:fe:3c:4d:5e", 64, "such as ::fe:3c:4d:5e"},
		{"00-1b-21-ff-fe-3c-4d-5e", 64, "neither an IPv6 suffix"},
		{"00:1b:21:3c:4d", 64, "neither an IPv6 suffix"},
		{"nas", 64, "neither an IPv6 suffix"},
		{"", 64, `host id "": this is neither`},
		{"::15", 0, "prefix_length 0 is no length"},
		{"::15", 128, "write one from 1 to 127"},
	} {
		id, err := ParseHostID(tc.id, tc.length)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "host id ") {
			t.Errorf("%s below /%d: got %s, %v, want %q", tc.id, tc.length, id, err, tc.want)
		}
	}
}

// TestJoin: for every length, an ID that fits is parsed as what it is, and
// prefix and ID can both be read in the address that they make; one with any
// bit of the prefix is refused.
func TestJoin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	octets := func() (o [16]byte) {
		for i := range o {
			o[i] = byte(random.Uint32())
		}
		return o
	}
	for length := 1; length <= 127; length++ {
		for range 200 {
			network := octets()
			suffix := below(octets(), length)
			if suffix == (HostID{}) {
				suffix.octets[15] = 1
			}
			id, err := ParseHostID(suffix.String(), length)
			if err != nil || id != suffix {
				t.Fatalf("/%d: %s: got %s, %v", length, suffix, id, err)
			}
			prefix := netip.PrefixFrom(netip.AddrFrom16(network), length)
			addr := Join(prefix, id)
			if !prefix.Contains(addr) || below(addr.As16(), length) != id {
				t.Fatalf("%s and %s make %s", prefix, id, addr)
			}
			if again := Join(prefix.Masked(), id); again != addr {
				t.Fatalf("%s and %s make %s, and %s without what is below the prefix", prefix, id, addr, again)
			}
			bit := random.IntN(length)
			outside := suffix
			outside.octets[bit/8] |= 0x80 >> (bit % 8)
			if id, err := ParseHostID(outside.String(), length); err == nil {
				t.Fatalf("/%d: %s is taken as %s, in spite of its bit %d", length, outside, id, bit)
			}
			if got := Join(prefix, outside); got != addr {
				t.Fatalf("%s and %s make %s, want %s", prefix, outside, got, addr)
			}
		}
		var last HostID
		last.octets[15] = 1
		if id, err := ParseHostID("::1", length); err != nil || id != last {
			t.Errorf("/%d: ::1: %s, %v", length, id, err)
		}
	}
}

func FuzzParseHostID(f *testing.F) {
	for _, s := range []string{"::15", "00:1b:21:3c:4d:5e", "fe80::1%eth0", "2001:db8::1/64", "::ffff:1.2.3.4", "001b.213c.4d5e", "", "0:0:0:2::15"} {
		f.Add(s, 64)
	}
	f.Add("::1", 127)
	f.Fuzz(func(t *testing.T, s string, length int) {
		id, err := ParseHostID(s, length)
		if err != nil {
			return
		}
		again, err := ParseHostID(id.String(), length)
		if err != nil || again != id || id == (HostID{}) || below(id.octets, length) != id {
			t.Errorf("%q below /%d: %s, and again %s, %v", s, length, id, again, err)
		}
	})
}
