//go:build linux

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// newExampleHome is the machine that the examples are for: an interface eth0,
// and the BIND of examples/bind on port 53 with only its directories moved.
func newExampleHome(t *testing.T) *home {
	t.Helper()
	ns := lab.NewNS(t)
	lab.Link(ns, "eth0", ns, "eth0p")
	ns.AddAddr("eth0", first4+"/32")
	ns.AddAddr("eth0", first6+"/128")

	dir := t.TempDir()
	key := lab.NewTSIGKey(t, "caddy")
	lab.WriteFile(t, filepath.Join(dir, "caddy.key"), key)
	lab.WriteFile(t, filepath.Join(dir, "example.com.zone"), example(t, "bind/example.com.zone"))
	conf := strings.NewReplacer("/etc/bind", dir, "/var/lib/bind", dir).Replace(example(t, "bind/named.conf"))
	// What named writes under /run and /var/cache by default is not the
	// example's matter, but would collide with another named.
	conf = strings.Replace(conf, "options {", "controls { };\noptions { pid-file none; session-keyfile none;", 1)
	lab.WriteFile(t, filepath.Join(dir, "named.conf"), conf)
	return &home{t: t, ns: ns, bind: lab.RunBIND(t, ns, dir, "127.0.0.1:53", key, "example.com")}
}

func TestExampleBIND(t *testing.T) {
	t.Parallel()
	h := newExampleHome(t)
	h.run("Caddyfile", example(t, "bind/Caddyfile"))
	for _, name := range []string{"example.com", "www.example.com"} {
		h.expect(soon, name, "A", first4)
		h.expect(soon, name, "AAAA", first6)
	}
	h.expect(soon, "mail.example.com", "A", "198.51.100.25")
}

func TestExampleJSONAPI(t *testing.T) {
	t.Parallel()
	lab.Need(t, "curl")
	h := newExampleHome(t)
	h.caddy = lab.StartCaddy(t, h.ns, "", "TSIG_KEY="+h.bind.Key)
	out, err := h.ns.Run(exec.Command("../examples/json-api/update.sh"))
	if err != nil {
		t.Fatalf("update.sh: %v: %s", err, out)
	}
	for _, name := range []string{"example.com", "www.example.com", "blog.example.com", "shop.example.com"} {
		h.expect(soon, name, "A", first4)
		h.expect(soon, name, "AAAA", first6)
	}
	if strings.Contains(out, h.bind.Key) || !strings.Contains(out, "{env.TSIG_KEY}") {
		t.Errorf("the key is not a placeholder in %s", out)
	}
	if status, body := h.caddy.Admin(http.MethodGet, "/config/apps/dynamic_dns/domains", nil); status != http.StatusOK ||
		strings.TrimSpace(body) != `{"example.com":["@","www","blog","shop"]}` {
		t.Errorf("GET domains: %d %s", status, body)
	}
}

func example(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
