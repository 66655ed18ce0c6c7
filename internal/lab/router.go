//go:build linux

package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Router is a home router: miniupnpd, which speaks UPnP, NAT-PMP and PCP,
// between a LAN and a WAN address.
type Router struct {
	*process
	NS *NS

	wan   string
	ports int
}

// RouterLAN and RouterLAN6 are the router's addresses in its LAN, which is
// 192.168.77.0/24 and 2606:4700:77::/64.
const (
	RouterLAN  = "192.168.77.1"
	RouterLAN6 = "fe80::1"
)

// StartRouter starts a router with the WAN address. The options are lines of
// miniupnpd.conf.
func StartRouter(t testing.TB, wan string, options ...string) *Router {
	t.Helper()
	Need(t, "miniupnpd", "nft")
	ns, dir := NewNS(t), tempDir(t)
	Link(ns, "wan0", ns, "wan0p")
	ns.IP(
		"link add lan0 type bridge",
		"link set lan0 up",
		"addr add "+RouterLAN+"/24 dev lan0",
		"addr add "+RouterLAN6+"/64 dev lan0 nodad",
		"addr add 2606:4700:77::1/64 dev lan0 nodad",
		"addr add "+wan+"/32 dev wan0",
	)
	rules, conf := filepath.Join(dir, "router.nft"), filepath.Join(dir, "miniupnpd.conf")
	WriteFile(t, rules, routerRules)
	WriteFile(t, conf, routerConfig+strings.Join(options, "\n")+"\n")
	if out, err := ns.Run(exec.Command("nft", "-f", rules)); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	r := &Router{NS: ns, wan: wan, process: newProcess(t, ns, filepath.Join(dir, "miniupnpd.log"), nil,
		"miniupnpd", "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("miniupnpd:\n%s", readFile(t, r.log))
		}
	})
	r.start()
	return r
}

// Restart ends the router's program, which forgets all about its subscribers,
// and starts it again.
func (r *Router) Restart() {
	r.t.Helper()
	r.Kill()
	r.start()
}

// Join gives the host an interface in the router's LAN, with the address
// 192.168.77.<number>, and makes the router its default gateway.
func (r *Router) Join(host *NS, dev string, number int) {
	r.t.Helper()
	r.ports++
	port := fmt.Sprintf("port%d", r.ports)
	Link(r.NS, port, host, dev)
	r.NS.IP("link set " + port + " master lan0")
	host.IP(fmt.Sprintf("addr add 192.168.77.%d/24 dev %s", number, dev), "route add default via "+RouterLAN)
}

// SetWAN gives the router another WAN address instead of its own.
func (r *Router) SetWAN(addr string) {
	r.t.Helper()
	r.NS.ReplaceAddr("wan0", r.wan+"/32", addr+"/32")
	r.wan = addr
}

const routerRules = `
table inet miniupnpd {
	chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd_f; }
	chain miniupnpd_f { }
	chain prerouting { type nat hook prerouting priority -100; policy accept; jump miniupnpd_pre; }
	chain postrouting { type nat hook postrouting priority 100; policy accept; jump miniupnpd_post; }
	chain miniupnpd_pre { }
	chain miniupnpd_post { }
}
`

const routerConfig = `
ext_ifname=wan0
listening_ip=lan0
http_port=5000
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
uuid=7ce93529-1125-4715-8d06-76dc24d15b30
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=miniupnpd_f
upnp_nat_chain=miniupnpd_pre
upnp_nat_postrouting_chain=miniupnpd_post
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`
