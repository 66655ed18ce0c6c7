//go:build linux

package e2e

import (
	"fmt"
	"testing"
)

// TestPrefixIsRenumbered: when the network gets another IPv6 prefix, the names
// of this machine and of all others follow in one update.
func TestPrefixIsRenumbered(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	const (
		before, after = "2606:2800:220:1", "2606:2800:220:2"
		suffix        = ":21b:21ff:fe3c:4d5e"
	)
	h.ns.AddAddr("wan0", before+"::1/64")
	app := h.app(map[string][]string{"example.test": {"www"}})
	delete(app, "versions")
	app["devices"] = object{"example.test": object{
		"nas": []string{":" + suffix}, "printer": []string{"00:1b:21:3c:4d:5f"}, "tv": []string{"::15", "::16"},
	}}
	h.start(app)
	expect := func(prefix string) {
		t.Helper()
		h.expect(soon, "www.example.test", "AAAA", prefix+"::1")
		h.expect(soon, "nas.example.test", "AAAA", prefix+suffix)
		h.expect(soon, "printer.example.test", "AAAA", prefix+":21b:21ff:fe3c:4d5f")
		h.expect(soon, "tv.example.test", "AAAA", prefix+"::15", prefix+"::16")
	}
	expect(before)
	h.settle()

	updates := h.bind.Updates()
	h.ns.ReplaceAddr("wan0", before+"::1/64", after+"::1/64")
	expect(after)
	h.settle()
	if n := h.bind.Updates() - updates; n != 1 {
		t.Errorf("%d updates for one new prefix", n)
	}
	if log := h.caddy.Log(); !containsAll(log, []string{"IPv6 prefix changed", after + "::/64"}) {
		t.Error("the log has no word of the new prefix")
	}

	// What is lost is left alone.
	h.ns.IP(fmt.Sprintf("addr del %s::1/64 dev wan0", after))
	h.settle()
	expect(after)
}
