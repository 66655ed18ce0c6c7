//go:build linux

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// TestFileIsFollowed: what another program puts in place reaches DNS at once,
// and half of it changes nothing.
func TestFileIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	dir := t.TempDir()
	path := filepath.Join(dir, "addresses")
	replace := func(content string) {
		t.Helper()
		lab.WriteFile(t, path+".new", content)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace("# from the router\n" + first4 + "\n" + first6 + "\n")
	app := h.app(map[string][]string{"example.test": {"www"}})
	delete(app, "versions")
	app["ip_sources"] = []object{{"source": "file", "path": path}}
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4)
	h.expect(soon, "www.example.test", "AAAA", first6)

	replace(second4 + "\n2606:28")
	h.expectLog(soon, `"level":"warn"`, "2606:28", path)
	h.expect(soon, "www.example.test", "A", first4)
	h.expect(soon, "www.example.test", "AAAA", first6)

	replace(second4 + "\n" + second6 + "\n")
	h.expect(soon, "www.example.test", "A", second4)
	h.expect(soon, "www.example.test", "AAAA", second6)
}

// TestDNSAndTheWebVoteTogether: a DNS server and a service on the web, asked
// over TLS both, agree on a new address, and neither moves anything alone.
func TestDNSAndTheWebVoteTogether(t *testing.T) {
	t.Parallel()
	h, echoes := newHomeWithISP(t, "example.test", "198.41.0.4")
	isp := lab.NewNS(t)
	lab.Link(h.ns, "wan1", isp, "isp0")
	isp.IP("addr add 151.101.1.69/32 dev isp0", "route add default dev isp0")
	h.ns.IP("route add 151.101.1.69/32 dev wan1 src " + first4)
	whoami := lab.StartWhoami(t, isp, "151.101.1.69:853")

	app := h.app(map[string][]string{"example.test": {"www"}})
	app["ip_sources"] = []object{
		{"source": "simple_http", "endpoints": []string{echoes[0].URL}, "quorum": 2},
		{"source": "dns", "endpoints": []object{{"server": "151.101.1.69", "name": "whoami.example", "type": "TXT"}}},
	}
	h.start(app, lab.Trust(echoes[0], whoami))
	h.expect(soon, "www.example.test", "A", first4)

	check := func() {
		t.Helper()
		if status, answer := h.caddy.Admin(http.MethodPost, "/dynamic_dns/check", nil); status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("check: %d %s", status, answer)
		}
	}
	echoes[0].Answer(second4)
	asked := whoami.Asked()
	check()
	lab.Eventually(t, soon, "the DNS server is asked", func() bool { return whoami.Asked() > asked })
	h.expect(soon, "www.example.test", "A", first4)

	whoami.Answer(second4)
	check()
	h.expect(soon, "www.example.test", "A", second4)
}
