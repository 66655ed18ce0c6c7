//go:build linux

package e2e

import (
	"testing"
)

// A router that renumbers the network without a word about the old prefix, and
// one that takes the old prefix's route: either time the name moves within
// seconds, though the old address is valid for hours.
func TestRenumberedNetworkIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	app := h.app(map[string][]string{"example.test": {"www"}})
	app["versions"] = object{"ipv4": false}
	h.ns.IP("addr add 2606:2800:11::1/64 dev wan0 nodad valid_lft 7200 preferred_lft 3500")
	h.start(app)
	h.expect(soon, "www.example.test", "AAAA", "2606:2800:11::1")

	// The system needs a second to see that nobody else has the new address.
	h.ns.IP("addr add 2606:2800:12::1/64 dev wan0 valid_lft 7200 preferred_lft 3600")
	h.expect(soon, "www.example.test", "AAAA", "2606:2800:12::1")

	// The old router is heard once more, and that is no reason to go back.
	h.ns.IP("addr change 2606:2800:11::1/64 dev wan0 valid_lft 7200 preferred_lft 7000")
	h.ns.IP("addr add 2606:2800:13::1/64 dev wan0 nodad valid_lft 7200 preferred_lft 600")
	h.settle()
	h.expect(soon, "www.example.test", "AAAA", "2606:2800:12::1")

	h.ns.IP("route del 2606:2800:12::/64 dev wan0", "route del 2606:2800:13::/64 dev wan0")
	h.expect(soon, "www.example.test", "AAAA", "2606:2800:11::1")
}
