package dynamicdns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// namespaceVar tells a test that it runs inside a namespace, and the name of
// the namespace of its router.
const namespaceVar = "DYNAMIC_DNS_TEST_ROUTER"

var namespaceCount atomic.Int32

// newNamespace makes a network namespace for the duration of the test.
func newNamespace(t *testing.T) string {
	t.Helper()
	needPrograms(t, "ip")
	name := fmt.Sprintf("ddns-%d-%d", os.Getpid(), namespaceCount.Add(1))
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
	return name
}

// needPrograms skips a test that cannot run here, except where it must.
func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	refuse := t.Skipf
	if os.Getenv("CI") == "true" {
		refuse = t.Fatalf
	}
	if os.Getuid() != 0 {
		refuse("needs root")
	}
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			refuse("needs %s: %v", name, err)
		}
	}
}

// rerunIn runs the test again in a process inside the namespace, because the
// threads of a Go process cannot all be moved there.
func rerunIn(t *testing.T, namespace, router string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", namespace, program,
		"-test.run=^"+name+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), namespaceVar+"="+router)
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+name+" ")) {
		t.Errorf("failed in the namespace: %v", err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// ip runs commands of ip(8), one a line, as closely together as it can.
func ip(t *testing.T, commands string, options ...string) {
	t.Helper()
	cmd := exec.Command("ip", append(options, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s\n%s", err, commands, out)
	}
}

// eventually waits for a condition that the system brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

const wanLink = `
link add wan0 type veth peer name wan0p
link set wan0 addrgenmode none
link set wan0p addrgenmode none
link set wan0p up
link set wan0 up
`

func TestNetInterfaceInNamespace(t *testing.T) {
	if os.Getenv(namespaceVar) == "" {
		rerunIn(t, newNamespace(t), "none")
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
		checkIPs(t, ips, err, want, wantErr)
		settings.Known = ips
	}

	check("", "there is no default route for ipv4")

	ip(t, wanLink+`
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

	ip(t, `
addr del 93.184.217.34/24 dev wan0
addr add 93.184.217.35/24 dev wan0
route replace default via 93.184.217.1 dev wan0 metric 100
`)
	check("93.184.217.35", "")
	ip(t, "addr add 93.184.217.3/24 dev wan0\n")
	check("93.184.217.35", "") // stays, though the new one is lower
	ip(t, "addr del 93.184.217.35/24 dev wan0\naddr add 93.184.217.3/24 dev wan0\nroute replace default via 93.184.217.1 dev wan0 metric 100\n")
	check("93.184.217.3", "")

	if err := os.WriteFile("/proc/sys/net/ipv6/conf/wan0/use_tempaddr", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	ip(t, `
addr add 2606:4700:ffff::1/64 dev wan0 nodad preferred_lft 0
addr add 2606:4700:1::1/64 dev wan0 nodad valid_lft 3600 preferred_lft 0
route add default via 2606:4700:ffff::2 dev wan0
`)
	check("93.184.217.3", "no usable ipv6 address: 2606:4700")

	ip(t, "addr add 2606:4700:2::1/64 dev wan0 nodad mngtmpaddr valid_lft 3600 preferred_lft 1800\n")
	eventually(t, "a temporary address", func() bool {
		addrs, err := interfaceAddrs("wan0")
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(addrs, func(a interfaceAddr) bool { return a.temporary })
	})
	check("93.184.217.3 2606:4700:2::1", "")

	// The duplicate address detection of a new address takes a second.
	settings.Known = nil
	ip(t, "addr add 2606:4700:2::2/64 dev wan0\n")
	check("93.184.217.3 2606:4700:2::1", "")

	settings.Known = nil
	ip(t, "addr add 2606:4700:3::1/64 dev wan0 nodad\n")
	check("93.184.217.3 2606:4700:3::1", "")

	ip(t, "link del wan0\n")
	check("93.184.216.1", "")
}

func TestWatchAddressesInNamespace(t *testing.T) {
	if os.Getenv(namespaceVar) == "" {
		rerunIn(t, newNamespace(t), "none")
		return
	}
	ip(t, wanLink+"addr add 93.184.216.34/32 dev wan0\n")

	t.Run("what matters", func(t *testing.T) {
		for _, tc := range []struct {
			command string
			matters bool
		}{
			{"addr add 93.184.216.35/32 dev wan0 valid_lft 3600 preferred_lft 1800", true},
			{"addr change 93.184.216.35/32 dev wan0 valid_lft 7200 preferred_lft 3600", false},
			{"addr change 93.184.216.35/32 dev wan0 valid_lft 7200 preferred_lft 0", true},
			{"addr del 93.184.216.35/32 dev wan0", true},
			{"addr add fe80::7/64 dev wan0 nodad", false},
			{"addr add 2606:4700::7/64 dev wan0", false}, // until it is known to be unique
			{"route add 198.51.100.0/24 dev wan0", false},
			{"route add default dev wan0 metric 7", true},
			{"route add default dev wan0 metric 7 table 77", false},
			{"route del default dev wan0 metric 7", true},
			{"route add default via fe80::1 dev wan0", true},
		} {
			before, err := snapshotAddresses()
			if err != nil {
				t.Fatal(err)
			}
			ip(t, tc.command+"\n")
			after, err := snapshotAddresses()
			if err != nil {
				t.Fatal(err)
			}
			if (before != after) != tc.matters {
				t.Errorf("%s: matters %v, want %v\nbefore:\n%s\nafter:\n%s", tc.command, !tc.matters, tc.matters, before, after)
			}
		}
	})

	t.Run("at once and once settled", func(t *testing.T) {
		goroutines := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		signals := watchAddresses(ctx, zap.NewNop())
		ip(t, "addr del 93.184.216.34/32 dev wan0\naddr add 93.184.216.36/32 dev wan0\n")
		await(t, signals)
		await(t, signals)
		cancel()
		for range signals {
		}
		eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
	})

	t.Run("latency", func(t *testing.T) {
		w := &addressWatch{logger: zap.NewNop(), subscribe: subscribeAddresses, snapshot: snapshotAddresses, wallClock: time.Now}
		ctx, cancel := context.WithCancel(t.Context())
		events := w.start(ctx)
		var took []time.Duration
		for i := range 20 {
			command := []string{"addr", "add", fmt.Sprintf("93.184.217.%d/32", i), "dev", "wan0"}
			began := time.Now()
			run(t, "ip", command...)
			took = append(took, await(t, events).Sub(began))
		}
		slices.Sort(took)
		t.Logf("from the start of ip(8) to the event: min %v, median %v, max %v", took[0], took[10], took[19])
		if took[10] > 50*time.Millisecond {
			t.Errorf("the median is %v", took[10])
		}
		cancel()
		for range events {
		}
	})
}

// await returns when the signal came.
func await(t *testing.T, signals <-chan struct{}) time.Time {
	t.Helper()
	select {
	case _, ok := <-signals:
		if !ok {
			t.Fatal("the watch has ended")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no signal within 10s")
	}
	return time.Now()
}

func TestConcernsAddresses(t *testing.T) {
	route := func(destination byte) []byte {
		data := make([]byte, unix.SizeofRtMsg)
		data[1] = destination
		return data
	}
	for _, tc := range []struct {
		name        string
		messageType uint16
		data        []byte
		want        bool
	}{
		{"new address", unix.RTM_NEWADDR, nil, true},
		{"deleted address", unix.RTM_DELADDR, nil, true},
		{"new default route", unix.RTM_NEWROUTE, route(0), true},
		{"deleted default route", unix.RTM_DELROUTE, route(0), true},
		{"other route", unix.RTM_NEWROUTE, route(24), false},
		{"cut route", unix.RTM_NEWROUTE, []byte{unix.AF_INET}, false},
		{"new link", unix.RTM_NEWLINK, nil, false},
	} {
		if got := concernsAddresses(tc.messageType, tc.data); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestUPnPInNamespace(t *testing.T) {
	if os.Getenv(namespaceVar) == "" {
		for _, version := range []string{"IGD 2", "IGD 1"} {
			t.Run(version, func(t *testing.T) {
				client, router := newNamespace(t), newNamespace(t)
				startRouter(t, client, router, version == "IGD 1")
				rerunIn(t, client, router)
			})
		}
		return
	}
	router := os.Getenv(namespaceVar)
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

	eventually(t, "the router is found", func() bool {
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

	ip(t, "addr del 93.184.216.34/24 dev wan0\naddr add 93.184.216.99/24 dev wan0\n", "-n", router)
	eventually(t, "the new external address", func() bool {
		got, err := get()
		return got == "93.184.216.99" && err == nil
	})

	ip(t, "addr del 93.184.216.99/24 dev wan0\naddr add 10.64.0.2/24 dev wan0\n", "-n", router)
	eventually(t, "double NAT", func() bool {
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
func startRouter(t *testing.T, client, router string, igd1 bool) {
	t.Helper()
	needPrograms(t, "miniupnpd", "nft")
	ip(t, fmt.Sprintf("link add vr netns %s type veth peer name vc netns %s\n", router, client))
	ip(t, `
link add wan0 type veth peer name wan0p
link set vr up
link set wan0 up
link set wan0p up
addr add 192.168.77.1/24 dev vr
addr add 93.184.216.34/24 dev wan0
`, "-n", router)
	ip(t, "link set vc up\naddr add 192.168.77.2/24 dev vc\nroute add default via 192.168.77.1\n", "-n", client)

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
	run(t, "ip", "netns", "exec", router, "nft", "-f", rules)
	var out bytes.Buffer
	daemon := exec.Command("ip", "netns", "exec", router, "miniupnpd", "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))
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
