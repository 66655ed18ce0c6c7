package uplink

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestRoutable(t *testing.T) {
	if !Uplink("").Routable(netip.MustParseAddr("127.0.0.1")) {
		t.Error("no route to ourselves")
	}
	if Uplink("").Routable(netip.MustParseAddr("fe80::1")) {
		t.Error("a route to a link-local address without its zone")
	}
}

func TestMissingInterface(t *testing.T) {
	const missing = Uplink("no-such-if")
	if err := missing.Exists(); err == nil || err.Error() != "the interface no-such-if does not exist (yet)" {
		t.Errorf("got %v", err)
	}
	if missing.Routable(netip.MustParseAddr("127.0.0.1")) {
		t.Error("a route through an interface that does not exist")
	}
	if _, err := missing.DialContext(t.Context(), "tcp4", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no-such-if does not exist") {
		t.Errorf("got %v", err)
	}
	if err := Uplink("").Exists(); err != nil {
		t.Error(err)
	}
}

// TestCheck: where a connection cannot be bound, that is said at load.
func TestCheck(t *testing.T) {
	defer func(was func(uintptr, string, *net.Interface) error) { bind = was }(bind)
	if err := Uplink("wan2").Check(); err != nil && bind != nil {
		t.Error(err)
	}
	bind = nil
	if err := Uplink("wan2").Check(); err == nil || !strings.Contains(err.Error(), "only on Linux, macOS and Windows; leave it out") {
		t.Errorf("got %v", err)
	}
	if err := Uplink("").Check(); err != nil {
		t.Error(err)
	}
}
