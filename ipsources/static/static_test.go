package static

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestStaticCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in      string
		want    []string
		wantErr string
	}{
		{in: "static 198.51.100.7", want: []string{"198.51.100.7"}},
		{in: "static 198.51.100.7 2001:db8::7 192.168.1.1 {env.HOME_IP}", want: []string{"198.51.100.7", "2001:db8::7", "192.168.1.1", "{env.HOME_IP}"}},
		{in: "static", wantErr: "static needs at least one address, such as"},
		{in: "static 198.51.100.7/32", wantErr: "a range is not an address: write 198.51.100.7"},
		{in: "static ::ffff:198.51.100.7", wantErr: "write 198.51.100.7"},
		{in: "static fe80::1%eth0", wantErr: "write fe80::1"},
		{in: "static example.com", wantErr: `"example.com" is not an address: write one such as`},
		{in: "static 198.51.100.7 {\n x\n}", wantErr: "static takes no block"},
		{in: "static 2001:db8:1:2::/64", want: []string{"2001:db8:1:2::/64"}},
		{in: "static 2001:db8::7/64", wantErr: "write 2001:db8::7 for this machine, or 2001:db8::/64 for its devices"},
		{in: "static 2001:db8::7/128", wantErr: "a range is not an address: write 2001:db8::7"},
		{in: "static ::/0", wantErr: "0 is no length of an IPv6 prefix that machines share"},
	} {
		var s Static
		err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err != nil && !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s: no file and line in %v", tc.in, err)
		}
		if err == nil && !slices.Equal(s.IPs, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.in, s.IPs, tc.want)
		}
	}
}

func TestStaticProvision(t *testing.T) {
	t.Setenv("HOME_IP", "198.51.100.7")
	t.Setenv("HOME_IPS", "198.51.100.7 10.0.0.1 2001:db8::7")
	for _, tc := range []struct {
		ips     []string
		wantErr string
	}{
		{ips: []string{"{env.HOME_IP}", "10.0.0.1", "2001:db8::7"}},
		{ips: nil, wantErr: "at least one address"},
		{ips: []string{"{env.NO_SUCH_IP}"}, wantErr: "static: the environment variable NO_SUCH_IP is not set"},
		{ips: []string{"{env.HOME_IP}", "198.51.100.7", "10.0.0.1", "2001:db8::7"}},
		{ips: []string{"{env.HOME_IPS}", "198.51.100.7"}},
		{ips: []string{"198.51.100"}, wantErr: "not an address"},
		{ips: []string{"::ffff:10.0.0.1"}, wantErr: "write 10.0.0.1"},
		{ips: []string{"2001:db8:1::/64", "2001:db8:2::/64"}, wantErr: "devices have one prefix, and 2001:db8:1::/64 is given already"},
	} {
		s := Static{IPs: tc.ips}
		err := s.Provision(caddy.Context{})
		sourcetest.CheckErr(t, strings.Join(tc.ips, " "), err, tc.wantErr)
		if err != nil {
			continue
		}
		for want, versions := range map[int]ipsources.IPVersions{3: {}, 2: sourcetest.Only(ipaddr.V4), 1: sourcetest.Only(ipaddr.V6)} {
			got, err := s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: versions})
			if err != nil || len(got) != want {
				t.Errorf("got %v, %v, want %d addresses", got, err, want)
			}
		}
		if got, _ := s.GetIPs(t.Context(), ipsources.IPSettings{}); got[0] != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("the placeholder became %s", got[0])
		}
	}
}

func TestStaticPrefix(t *testing.T) {
	t.Setenv("HOME_PREFIX", "2001:db8:1:2::/64")
	for _, tc := range []struct {
		ips               []string
		prefix            netip.Prefix
		wantIPs, wantErr6 string
	}{
		{[]string{"{env.HOME_PREFIX}"}, netip.MustParsePrefix("2001:db8:1:2::/64"), "", "the prefix 2001:db8:1:2::/64 is for devices; write this machine's own IPv6 address too"},
		{[]string{"{env.HOME_PREFIX}", "2001:db8::7"}, netip.MustParsePrefix("2001:db8:1:2::/64"), "2001:db8::7", ""},
		{[]string{"2001:db8::7"}, netip.Prefix{}, "2001:db8::7", ""},
	} {
		s := Static{IPs: tc.ips}
		if err := s.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		prefix, err := s.Prefix(t.Context(), ipsources.IPSettings{})
		if err != nil || prefix != tc.prefix {
			t.Errorf("%s: prefix %s, %v, want %s", tc.ips, prefix, err, tc.prefix)
		}
		ips, err := s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
		sourcetest.CheckIPs(t, ips, err, tc.wantIPs, tc.wantErr6)
		ips, err = s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4)})
		sourcetest.CheckIPs(t, ips, err, "", "")
	}
}
