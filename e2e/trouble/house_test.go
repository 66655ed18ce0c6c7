//go:build linux

// Package trouble makes what goes wrong with dynamic DNS, with real parts, and
// compares what is said of it with what docs/troubleshooting.md shows.
package trouble

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/pagetest"
)

const first4, second4 = "93.184.216.34", "93.184.216.35"

// house is a machine with Caddy, and a name server that takes updates.
type house struct {
	t     *testing.T
	ns    *lab.NS
	bind  *lab.BIND
	caddy *lab.Caddy
	file  string
}

// behindRouter is a house whose router has the WAN address.
func behindRouter(t *testing.T, wan string) (*house, *lab.Router) {
	t.Helper()
	router := lab.StartRouter(t, wan)
	ns := lab.NewNS(t)
	router.Join(ns, "eth0", 2)
	return &house{t: t, ns: ns, bind: lab.StartBIND(t, ns, "example.com")}, router
}

// configure writes the Caddyfile, with options for the dynamic_dns block and
// those that are global.
func (h *house) configure(options string, global ...string) {
	h.t.Helper()
	h.file = filepath.Join(h.t.TempDir(), "Caddyfile")
	provider := "provider nameserver"
	if h.bind != nil {
		provider = fmt.Sprintf("provider rfc2136 {\n server %s\n key_name %s\n key_alg %s\n key %s\n}", h.bind.Addr, h.bind.KeyName, h.bind.KeyAlg, h.bind.Key)
	}
	text := fmt.Sprintf("{\n%s\ndynamic_dns {\n%s\n%s\n}\n}\n", strings.Join(global, "\n"), provider, options)
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// start runs Caddy, until it has checked all.
func (h *house) start(env ...string) {
	h.t.Helper()
	h.caddy = lab.StartCaddy(h.t, h.ns, h.file, env...)
	h.caddy.Run("dynamic-dns", "check")
}

// shows compares what a command says with the page.
func (h *house) shows(heading, command string, wantCode int, args ...string) {
	h.t.Helper()
	said, code := h.caddy.Run(append(strings.Fields(command)[1:], args...)...)
	if code != wantCode {
		h.t.Errorf("%s: exit status %d, want %d", command, code, wantCode)
	}
	if h.bind != nil && strings.Contains(said, h.bind.Key) {
		h.t.Errorf("%s tells the key", command)
	}
	pagetest.Shows(h.t, "../../docs/troubleshooting.md", heading, command, said)
}

// TestCarrierGradeNAT: services on the web see an address that belongs to the
// provider's router.
func TestCarrierGradeNAT(t *testing.T) {
	t.Parallel()
	h, router := behindRouter(t, "100.64.1.2")
	echo := lab.StartEcho(t, router.NS, lab.RouterLAN+":8443")
	echo.Answer(first4)
	h.configure("domains {\n example.com www\n}\nip_source simple_http " + echo.URL)
	h.start(lab.Trust(echo))
	h.shows("Carrier-grade NAT", "caddy dynamic-dns status", 0)
	h.shows("Carrier-grade NAT", "caddy dynamic-dns doctor", 2)
}

// TestDoubleNAT: the router's address is one of another router's LAN.
func TestDoubleNAT(t *testing.T) {
	t.Parallel()
	h, _ := behindRouter(t, "10.1.2.3")
	h.configure("domains {\n example.com www\n}\nip_source natpmp")
	h.start()
	h.shows("Double NAT", "caddy dynamic-dns status", 1)
	h.shows("Double NAT", "caddy dynamic-dns doctor", 2)
}

// TestNotReachable: all is in sync, and whether the router forwards anything is
// not known in here. Nor is there IPv6.
func TestNotReachable(t *testing.T) {
	t.Parallel()
	h, _ := behindRouter(t, first4)
	h.configure("domains {\n example.com www\n}\nip_source natpmp\nip_source interface")
	h.start()
	h.shows("The name resolves, but nobody gets through", "caddy dynamic-dns status", 0)
	h.shows("The name resolves, but nobody gets through", "caddy dynamic-dns doctor", 1)
	h.shows("No AAAA record", "caddy dynamic-dns status", 0)
	h.shows("No AAAA record", "caddy dynamic-dns doctor", 1)
}

// TestVariableIsMissingHere: the running Caddy has a key in its environment that
// whoever asks the doctor has not.
func TestVariableIsMissingHere(t *testing.T) {
	t.Parallel()
	h, _ := behindRouter(t, first4)
	key := h.bind.Key
	h.bind.Key = "{env.TSIG_KEY}"
	h.configure("domains {\n example.com www\n}\nip_source natpmp\nversions ipv4")
	h.bind.Key = key
	h.start("TSIG_KEY=" + key)
	said, code := lab.Run(t, h.ns, nil, "dynamic-dns", "doctor")
	if code == 0 || !strings.Contains(said, "environment variable TSIG_KEY") || !strings.Contains(said, "pidof -s caddy") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
	if said, _ := h.caddy.Run("dynamic-dns", "doctor"); strings.Contains(said, "TSIG_KEY") || strings.Contains(said, key) || !strings.Contains(said, "the records can be read") {
		t.Errorf("in Caddy's environment:\n%s", said)
	}
}

// TestPort53InUse: by another name server.
func TestPort53InUse(t *testing.T) {
	t.Parallel()
	h := &house{t: t, ns: lab.NewNS(t)}
	lab.Link(h.ns, "eth0", h.ns, "eth0p")
	h.ns.IP("addr add "+first4+"/32 dev eth0", "route add default dev eth0")
	ln := h.ns.Listen("127.0.0.53:53")
	t.Cleanup(func() { ln.Close() })
	var conn net.PacketConn
	err := h.ns.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", "127.0.0.53:53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h.configure("domains {\n home.example.com @\n}\nip_source interface\nversions ipv4", "nameserver {\n zone home.example.com\n}")
	for command, want := range map[string]int{"caddy run": 1, "caddy dynamic-dns doctor": 2} {
		said, code := lab.Run(t, h.ns, nil, append(strings.Fields(command)[1:], "--config", h.file)...)
		if code != want {
			t.Errorf("%s: exit status %d, want %d", command, code, want)
		}
		pagetest.Shows(t, "../../docs/troubleshooting.md", "Port 53 is in use", command, said)
	}
}

// internet is beyond the house: the root, the zone com, and a resolver that asks
// its way from there.
func internet(t *testing.T, house *lab.NS, delegation string) (resolver string) {
	t.Helper()
	resolver = "198.51.100.53"
	ns := lab.NewNS(t)
	lab.Link(house, "eth0", ns, "isp0")
	house.IP("addr add "+first4+"/32 dev eth0", "addr add 93.184.216.10/32 dev eth0", "route add default dev eth0")
	ns.IP("addr add "+resolver+"/32 dev isp0", "route add default dev isp0")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := lab.NewTSIGKey(t, "lab-key")
	for name, text := range map[string]string{
		"named.conf": fmt.Sprintf(`%s
options {
	directory %q; pid-file none; session-keyfile none; listen-on { %s; }; listen-on-v6 { none; };
	recursion yes; allow-recursion { any; }; dnssec-validation no; notify no; check-integrity no; qname-minimization off;
};
controls { };
zone "." { type primary; file "root.zone"; };
zone "com" { type primary; file "com.zone"; };
`, key, dir, resolver),
		"root.zone": fmt.Sprintf("$TTL 60\n. SOA ns.com. h.com. 1 3600 600 86400 60\n. NS ns.com.\ncom. NS ns.com.\nns.com. A %s\n", resolver),
		"com.zone":  fmt.Sprintf("$TTL 60\n$ORIGIN com.\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A %s\n%s\n", resolver, delegation),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lab.RunBIND(t, ns, dir, resolver+":53", key, "com")
	return resolver
}

const delegated = "home.example NS ns1.home.example\n"

// ownServer is a house whose Caddy serves its zone itself. Its server has a fixed
// address.
func ownServer(t *testing.T, delegation string) (h *house, resolver, file string) {
	t.Helper()
	h = &house{t: t, ns: lab.NewNS(t)}
	resolver = internet(t, h.ns, delegation)
	file = filepath.Join(t.TempDir(), "address")
	if err := os.WriteFile(file, []byte(first4+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.configure("domains {\n home.example.com @ www\n}\nip_source file "+file+"\nversions ipv4",
		"nameserver 93.184.216.10:53 {\n skip_delegation_check\n zone home.example.com {\n ns ns1 93.184.216.10\n}\n}")
	h.start()
	return h, resolver, file
}

// TestNotDelegated: the parent says nothing of the zone, or not where its server
// is.
func TestNotDelegated(t *testing.T) {
	t.Parallel()
	h, resolver, _ := ownServer(t, "")
	h.shows("The zone is not delegated", "caddy dynamic-dns status", 0)
	h.shows("The zone is not delegated", "caddy dynamic-dns doctor", 2, "--resolver", resolver)
}

func TestGlueIsMissing(t *testing.T) {
	t.Parallel()
	h, resolver, _ := ownServer(t, delegated)
	h.shows("Glue is missing", "caddy dynamic-dns doctor", 2, "--resolver", resolver)
}

// TestTTL: who has asked before has the address of then.
func TestTTL(t *testing.T) {
	t.Parallel()
	h, resolver, file := ownServer(t, delegated+"ns1.home.example A 93.184.216.10")
	ask := func() string {
		out, _ := h.ns.Run(exec.Command("dig", "@"+resolver, "+short", "www.home.example.com"))
		return strings.TrimSpace(out)
	}
	lab.Eventually(t, 30*time.Second, "the resolver has the first address", func() bool { return ask() == first4 })
	h.shows("All is well", "caddy dynamic-dns doctor", 0, "--resolver", resolver)
	if err := os.WriteFile(file, []byte(second4+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 30*time.Second, "the second address is published", func() bool {
		said, code := h.caddy.Run("dynamic-dns", "check")
		return code == 0 && strings.Contains(said, second4)
	})
	h.shows("Some still see the old address", "caddy dynamic-dns status", 0)
	h.shows("Some still see the old address", "caddy dynamic-dns doctor", 2, "--resolver", resolver)
}
