//go:build linux

package e2e

import "testing"

// TestWithdrawAtTheEnd: the addresses are gone when the process is, and not
// after a reload.
func TestWithdrawAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	app := h.app(map[string][]string{"example.test": {"www", "blog"}})
	app["withdraw"] = true
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4)
	h.expect(soon, "blog.example.test", "A", first4)

	app["domains"] = map[string][]string{"example.test": {"www"}}
	h.caddy.Load(config(app))
	h.expect(soon, "blog.example.test", "A")
	h.expect(soon, "www.example.test", "A", first4)

	h.caddy.Stop()
	h.expect(0, "www.example.test", "A")

	h.caddy.Start()
	h.expect(soon, "www.example.test", "A", first4)
}
