//go:build linux

package e2e

import (
	"net/http"
	"strings"
	"testing"
)

func TestReloadTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test", "example.net")
	h.ns.AddAddr("wan0", first4+"/32")
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4)

	app["domains"] = map[string][]string{"example.test": {"www", "api"}}
	h.caddy.Load(config(app))
	h.expect(soon, "api.example.test", "A", first4)

	status, body := h.caddy.Admin(http.MethodPatch, "/config/apps/dynamic_dns/domains",
		map[string][]string{"example.test": {"www", "blog"}, "example.net": {"@"}})
	if status != http.StatusOK {
		t.Fatalf("PATCH: %d %s", status, body)
	}
	h.expect(soon, "blog.example.test", "A", first4)
	h.expect(soon, "example.net", "A", first4)

	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	for _, name := range []string{"www.example.test", "blog.example.test", "example.net"} {
		h.expect(soon, name, "A", second4)
	}
	// A name that is no longer ours is left as it was.
	h.expect(soon, "api.example.test", "A", first4)

	status, body = h.caddy.Admin(http.MethodPatch, "/config/apps/dynamic_dns/domains",
		map[string][]string{"example.test": {"not a name"}})
	if status == http.StatusOK || !strings.Contains(body, "not a name") {
		t.Errorf("PATCH with a bad name: %d %s", status, body)
	}
	h.ns.ReplaceAddr("wan0", second4+"/32", third4+"/32")
	h.expect(soon, "www.example.test", "A", third4)
}

func TestUnchangedReloadCostsNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	cfg := config(h.app(map[string][]string{"example.test": {"www"}}))
	h.start(cfg["apps"].(object)["dynamic_dns"].(object))
	h.expect(soon, "www.example.test", "A", first4)

	// What one change costs, without and with reloads before it.
	cost := func(from, to string) [2]int {
		before := [2]int{h.bind.Updates(), h.bind.Transfers()}
		h.ns.ReplaceAddr("wan0", from+"/32", to+"/32")
		h.expect(soon, "www.example.test", "A", to)
		h.settle()
		return [2]int{h.bind.Updates() - before[0], h.bind.Transfers() - before[1]}
	}
	h.settle()
	plain := cost(first4, second4)
	for i := range 10 {
		// Something else must differ, or Caddy itself does nothing.
		cfg["apps"].(object)["http"] = object{"http_port": 8000 + i}
		h.caddy.Load(cfg)
	}
	if reloaded := cost(second4, third4); reloaded != plain {
		t.Errorf("a change after ten reloads cost %v updates and transfers, one without cost %v", reloaded, plain)
	}
}
