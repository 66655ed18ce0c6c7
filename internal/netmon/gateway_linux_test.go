package netmon

import (
	"net"
	"net/netip"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

func TestGatewayInNamespace(t *testing.T) {
	if _, inside := lab.Inside(); !inside {
		lab.NewNS(t).Rerun(t, "nothing")
		return
	}
	expect := func(f ipaddr.Family, want string) {
		t.Helper()
		got, err := Gateway(f)
		if err != nil || got.IsValid() != (want != "") || want != "" && got.String() != want {
			t.Errorf("%s: got %v, error %v, want %q", f, got, err, want)
		}
	}
	expect(ipaddr.V4, "")
	lab.IP(t, lab.WANLink+`
link add tun0 type veth peer name tun0p
link set tun0p up
link set tun0 up
addr add 192.168.77.2/24 dev wan0
route add default via 192.168.77.1 dev wan0 metric 100
route add default via 192.168.77.9 dev wan0 metric 200
route add default dev tun0 metric 50
route add 198.51.100.0/24 via 192.168.77.8
route add default via fe80::1 dev wan0
`)
	expect(ipaddr.V4, "192.168.77.1")
	expect(ipaddr.V6, "fe80::1%wan0")

	for addr, want := range map[string]bool{
		"192.168.77.1": true, "192.168.77.2": true,
		"192.168.78.1": false, "198.51.100.1": false, "127.0.0.1": false, "169.254.169.254": false, "0.0.0.0": false, "224.0.0.1": false,
	} {
		if OnLink(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s is on link: %v", addr, !want)
		}
	}
	if local, err := LocalTo(netip.MustParseAddr("192.168.77.1")); err != nil || local.String() != "192.168.77.2" {
		t.Errorf("local address %v, error %v", local, err)
	}
}

func TestInNetworks(t *testing.T) {
	var list []net.Addr
	for _, s := range []string{"192.168.1.7/24", "10.1.2.3/32", "2001:db8:1::7/64", "0.0.0.0/0"} {
		ip, ipNet, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &net.IPNet{IP: ip, Mask: ipNet.Mask})
	}
	for addr, want := range map[string]bool{
		"192.168.1.1": true, "192.168.2.1": false, "10.1.2.3": true, "10.1.2.4": false, "2001:db8:1::1": true, "2001:db8:2::1": false, "8.8.8.8": false,
	} {
		if inNetworks(netip.MustParseAddr(addr), list) != want {
			t.Errorf("%s: got %v", addr, !want)
		}
	}
}
