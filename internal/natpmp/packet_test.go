package natpmp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// testMapping is the one that the packets of a real miniupnpd below are about.
var testMapping = mapping{netip.MustParseAddrPort("192.168.77.2:46698"), nonce{0xf4, 0x80, 0x86, 0x49, 0xbe, 0x56, 0x20, 0x61, 0x37, 0xf3, 0xc7, 0x6b}}

const (
	mapped   = "02810000" + "00000078" + "00000002" + "000000000000000000000000" + "f4808649be56206137f3c76b" + "11000000" + "b66ab66a" + "00000000000000000000ffff5db8d822"
	noMapped = "02810008" + "0000001e" + "00000002" + "000000000000000000000000" + "f4808649be56206137f3c76b" + "11000000" + "b66ab66a" + "00000000000000000000ffff0a010203"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestParseAddress(t *testing.T) {
	for _, tc := range []struct {
		name, packet, want string
		result             uint8
		foreign            bool
	}{
		{name: "an address", packet: "00800000000000025db8d822", want: "93.184.216.34"},
		{name: "zeros", packet: "008000000000000200000000", want: "0.0.0.0"},
		{name: "no address", packet: "008000030000000200000000", result: pmpNoAddress},
		{name: "refused", packet: "008000020000000200000000", result: pmpRefused},
		{name: "an unsupported version", packet: "0080000100000002", result: unsupportedVersion},
		{name: "one that speaks PCP alone", packet: "028000010000000000000002" + strings.Repeat("00", 12), result: unsupportedVersion},
		{name: "short PCP", packet: "02800001", result: unsupportedVersion},
		{name: "the question", packet: "0000", foreign: true},
		{name: "a question as long as an answer", packet: "00000000000000025db8d822", foreign: true},
		{name: "the answer to another question", packet: "00810000000000025db8d822", foreign: true},
		{name: "another version", packet: "01800000000000025db8d822", foreign: true},
		{name: "cut", packet: "00800000000000025db8d8", foreign: true},
		{name: "without address", packet: "0080000000000002", foreign: true},
		{name: "with more behind", packet: "00800000000000025db8d82200", foreign: true},
		{name: "a result that does not exist", packet: "00800100000000025db8d822", foreign: true},
		{name: "PCP with success", packet: "028000000000000000000002" + strings.Repeat("00", 12), foreign: true},
		{name: "empty", foreign: true},
	} {
		a, err := parseAddress(unhex(tc.packet))
		if (err != nil) != tc.foreign || a.result != tc.result || a.addr.IsValid() != (tc.want != "") || tc.want != "" && a.addr.String() != tc.want {
			t.Errorf("%s: got %+v, error %v", tc.name, a, err)
		}
	}
}

func TestMapping(t *testing.T) {
	want := unhex("0201000000000078" + "00000000000000000000ffffc0a84d02" + "f4808649be56206137f3c76b" + "11000000" + "b66a0000" + "00000000000000000000ffff00000000")
	if got := testMapping.question(120); !bytes.Equal(got, want) {
		t.Errorf("the question is\n%x, want\n%x", got, want)
	}
	six := mapping{local: netip.MustParseAddrPort("[2001:db8::7]:7")}
	if got := six.question(0); len(got) != mapSize || hex.EncodeToString(got[8:24]) != "20010db8000000000000000000000007" || !bytes.Equal(got[44:], make([]byte, 16)) {
		t.Errorf("the question over IPv6 is %x", got)
	}
	change := func(at int, to byte) string {
		b := unhex(mapped)
		b[at] = to
		return hex.EncodeToString(b)
	}
	for _, tc := range []struct {
		name, packet, want string
		result             uint8
		foreign            bool
	}{
		{name: "mapped", packet: mapped, want: "93.184.216.34"},
		{name: "mapped, with options", packet: mapped + "02000000", want: "93.184.216.34"},
		{name: "refused, with the reason", packet: noMapped, result: pcpNoResources, want: "10.1.2.3"},
		{name: "refused, and short", packet: "0281000c" + strings.Repeat("00", 20), result: pcpMismatch},
		{name: "NAT-PMP alone", packet: "0081000100000002", result: unsupportedVersion},
		{name: "another nonce", packet: change(24, 0), foreign: true},
		{name: "another port", packet: change(40, 0), foreign: true},
		{name: "another protocol", packet: change(36, 6), foreign: true},
		{name: "another opcode", packet: change(1, 0x80), foreign: true},
		{name: "a question", packet: change(1, 1), foreign: true},
		{name: "another version", packet: change(0, 3), foreign: true},
		{name: "the other family", packet: change(44, 0x20), foreign: true},
		{name: "cut", packet: mapped[:118], foreign: true},
		{name: "empty", foreign: true},
	} {
		a, err := testMapping.parse(unhex(tc.packet))
		if (err != nil) != tc.foreign || a.result != tc.result || a.addr.IsValid() != (tc.want != "") || tc.want != "" && a.addr.String() != tc.want {
			t.Errorf("%s: got %+v, error %v", tc.name, a, err)
		}
	}
}

func TestParseAnnouncement(t *testing.T) {
	for packet, want := range map[string]bool{
		"00800000000000025db8d822":                            true,
		"028000000000000000000000" + strings.Repeat("00", 12): true,
		"00000000000000025db8d822":                            false,
		"00800000000000025db8d8":                              false,
		"0200000000000000" + strings.Repeat("00", 16):         false,
		"028000010000000000000000" + strings.Repeat("00", 12): false,
		"028100000000000000000000" + strings.Repeat("00", 12): false,
		"": false,
	} {
		if _, err := parseAnnouncement(unhex(packet)); (err == nil) != want {
			t.Errorf("%s: error %v", packet, err)
		}
	}
}

// FuzzParse: nothing makes the parsers fail, and what they take is an answer
// to the question.
func FuzzParse(f *testing.F) {
	for _, s := range []string{mapped, noMapped, "00800000000000025db8d822", "0080000100000002", "028000000000000000000000" + strings.Repeat("00", 12)} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := parseAddress(b); err == nil && a.result == success && (!a.addr.Is4() || len(b) != addressSize) {
			t.Errorf("%x is understood as %+v", b, a)
		}
		if a, err := testMapping.parse(b); err == nil && a.result == success && (!a.addr.Is4() || !bytes.Contains(b, testMapping.nonce[:])) {
			t.Errorf("%x is understood as %+v", b, a)
		}
		if a, err := parseAnnouncement(b); err == nil && a.addr.IsValid() && !a.addr.Is4() {
			t.Errorf("%x is understood as %+v", b, a)
		}
	})
}
