// Package sourcetest has what the tests of IP sources share.
package sourcetest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// Only selects one family.
func Only(f ipaddr.Family) ipsources.IPVersions {
	v4, v6 := f == ipaddr.V4, f == ipaddr.V6
	return ipsources.IPVersions{IPv4: &v4, IPv6: &v6}
}

// CheckIPs compares addresses with want, which holds them in order separated
// by spaces, and the error's text with wantErr.
func CheckIPs(t *testing.T, ips []netip.Addr, err error, want, wantErr string) {
	t.Helper()
	var got []string
	for _, ip := range ips {
		got = append(got, ip.String())
	}
	if joined := strings.Join(got, " "); joined != want {
		t.Errorf("got addresses %q, want %q", joined, want)
	}
	CheckErr(t, "GetIPs", err, wantErr)
}

// CheckErr fails the test unless the error has the wanted text, or is nil if
// none is wanted.
func CheckErr(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got error %v, want %q", what, err, want)
	}
}
