package netinterface

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestNetInterfaceInNamespace(t *testing.T) {
	if _, inside := lab.Inside(); !inside {
		lab.NewNS(t).Rerun(t, "nothing")
		return
	}
	source := new(NetInterface)
	if err := source.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	settings := ipsources.IPSettings{Accepts: func(ip netip.Addr) bool { return !ip.IsPrivate() }}
	check := func(want, wantErr string) {
		t.Helper()
		ips, err := source.GetIPs(t.Context(), settings)
		sourcetest.CheckIPs(t, ips, err, want, wantErr)
		settings.Known = ips
	}

	check("", "there is no default route for ipv4")

	lab.IP(t, lab.WANLink+`
link add lan0 type veth peer name lan0p
link set lan0p up
link set lan0 up
addr add 93.184.216.1/24 dev lan0
addr add 93.184.217.34/24 dev wan0
addr add 192.168.7.7/24 dev wan0
route add default via 93.184.216.254 dev lan0 metric 900
route add default via 93.184.217.1 dev wan0 metric 100
`)
	check("93.184.217.34", "")

	lab.IP(t, `
addr del 93.184.217.34/24 dev wan0
addr add 93.184.217.35/24 dev wan0
route replace default via 93.184.217.1 dev wan0 metric 100
`)
	check("93.184.217.35", "")
	lab.IP(t, "addr add 93.184.217.3/24 dev wan0\n")
	check("93.184.217.35", "") // stays, though the new one is lower
	lab.IP(t, "addr del 93.184.217.35/24 dev wan0\naddr add 93.184.217.3/24 dev wan0\nroute replace default via 93.184.217.1 dev wan0 metric 100\n")
	check("93.184.217.3", "")

	if err := os.WriteFile("/proc/sys/net/ipv6/conf/wan0/use_tempaddr", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	lab.IP(t, `
addr add 2606:4700:ffff::1/64 dev wan0 nodad preferred_lft 0
addr add 2606:4700:1::1/64 dev wan0 nodad valid_lft 3600 preferred_lft 0
route add default via 2606:4700:ffff::2 dev wan0
`)
	check("93.184.217.3", "no usable ipv6 address: 2606:4700")

	lab.IP(t, "addr add 2606:4700:2::1/64 dev wan0 nodad mngtmpaddr valid_lft 3600 preferred_lft 1800\n")
	lab.Eventually(t, 20*time.Second, "a temporary address", func() bool {
		addrs, err := netmon.Addrs("wan0")
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(addrs, func(a netmon.Addr) bool { return a.Temporary })
	})
	check("93.184.217.3 2606:4700:2::1", "")
	if prefix, err := source.Prefix(t.Context(), settings); err != nil || prefix != netip.MustParsePrefix("2606:4700:2::/64") {
		t.Errorf("prefix %s, %v", prefix, err)
	}

	// The duplicate address detection of a new address takes a second.
	settings.Known = nil
	lab.IP(t, "addr add 2606:4700:2::2/64 dev wan0\n")
	check("93.184.217.3 2606:4700:2::1", "")

	settings.Known = nil
	lab.IP(t, "addr add 2606:4700:3::1/64 dev wan0 nodad\n")
	check("93.184.217.3 2606:4700:3::1", "")

	// A router renumbers without a word about the old prefix.
	lab.IP(t, `
addr flush dev wan0 scope global
addr add 2606:4700:11::1/64 dev wan0 nodad valid_lft 7200 preferred_lft 3500
route replace default via 2606:4700:11::2 dev wan0
`)
	check("93.184.216.1 2606:4700:11::1", "")
	// The kernel tells the age of addresses in hundredths of a second.
	time.Sleep(50 * time.Millisecond)
	lab.IP(t, "addr add 2606:4700:12::1/64 dev wan0 valid_lft 7200 preferred_lft 3600\n")
	check("93.184.216.1 2606:4700:11::1", "") // while the new address is tentative
	await := func(want string) {
		t.Helper()
		lab.Eventually(t, 10*time.Second, "the new address", func() bool {
			ips, err := source.GetIPs(t.Context(), settings)
			return err == nil && slices.Contains(ips, netip.MustParseAddr(want))
		})
		check("93.184.216.1 "+want, "")
	}
	await("2606:4700:12::1")
	lab.IP(t, "addr change 2606:4700:11::1/64 dev wan0 valid_lft 7200 preferred_lft 7000\n")
	check("93.184.216.1 2606:4700:12::1", "") // the old router speaks up again
	lab.IP(t, "route del 2606:4700:12::/64 dev wan0\n")
	check("93.184.216.1 2606:4700:11::1", "")

	lab.IP(t, "link del wan0\n")
	check("93.184.216.1", "")
}
