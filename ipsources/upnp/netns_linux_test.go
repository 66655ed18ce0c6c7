package upnp

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestUPnPInNamespace(t *testing.T) {
	router, inside := lab.Inside()
	if !inside {
		for _, version := range []string{"IGD 2", "IGD 1"} {
			t.Run(version, func(t *testing.T) {
				client, router := lab.NewNS(t), lab.NewNS(t)
				startRouter(t, client, router, version == "IGD 1")
				client.Rerun(t, router.Name)
			})
		}
		return
	}
	settings := ipsources.IPSettings{Accepts: func(ip netip.Addr) bool { return !ip.IsPrivate() }}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	source := new(UPnP)
	if err := source.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	get := func() (string, error) {
		ips, err := source.GetIPs(t.Context(), settings)
		if len(ips) == 1 {
			return ips[0].String(), err
		}
		return "", err
	}

	lab.Eventually(t, 20*time.Second, "the router is found", func() bool {
		began := time.Now()
		got, err := get()
		t.Logf("got %q, error %v after %v", got, err, time.Since(began))
		return got == "93.184.216.34"
	})
	began := time.Now()
	if got, err := get(); got != "93.184.216.34" || err != nil {
		t.Errorf("got %q, error %v from the router that was found", got, err)
	}
	t.Logf("asked again, it answered after %v", time.Since(began))

	lab.IP(t, "addr del 93.184.216.34/24 dev wan0\naddr add 93.184.216.99/24 dev wan0\n", "-n", router)
	lab.Eventually(t, 20*time.Second, "the new external address", func() bool {
		got, err := get()
		return got == "93.184.216.99" && err == nil
	})

	lab.IP(t, "addr del 93.184.216.99/24 dev wan0\naddr add 10.64.0.2/24 dev wan0\n", "-n", router)
	lab.Eventually(t, 20*time.Second, "double NAT", func() bool {
		got, err := get()
		switch got {
		case "":
			return errors.Is(err, errNoExternalIP) && strings.Contains(err.Error(), "the router itself is behind NAT")
		case "10.64.0.2":
			return source.ExplainRefusal(netip.Addr{}) == "the router itself is behind NAT"
		}
		return false
	})
}

// startRouter makes router the default gateway of client, with miniupnpd.
func startRouter(t *testing.T, client, router *lab.NS, igd1 bool) {
	t.Helper()
	lab.Need(t, "miniupnpd", "nft")
	lab.Link(router, "vr", client, "vc")
	router.IP(
		"link add wan0 type veth peer name wan0p",
		"link set wan0 up",
		"link set wan0p up",
		"addr add 192.168.77.1/24 dev vr",
		"addr add 93.184.216.34/24 dev wan0",
	)
	client.IP("addr add 192.168.77.2/24 dev vc", "route add default via 192.168.77.1")

	dir := t.TempDir()
	rules, conf := filepath.Join(dir, "router.nft"), filepath.Join(dir, "miniupnpd.conf")
	config := routerConfig
	if igd1 {
		config += "force_igd_desc_v1=yes\n"
	}
	for name, content := range map[string]string{rules: routerRules, conf: config} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := router.Run(exec.Command("nft", "-f", rules)); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	var out bytes.Buffer
	daemon := exec.Command("ip", "netns", "exec", router.Name, "miniupnpd", "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))
	daemon.Stdout, daemon.Stderr = &out, &out
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		if t.Failed() {
			t.Logf("miniupnpd:\n%s", out.Bytes())
		}
	})
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
listening_ip=vr
http_port=5000
enable_upnp=yes
enable_natpmp=no
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
