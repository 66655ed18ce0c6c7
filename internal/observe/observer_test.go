package observe

import (
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const addr1, addr2 = "203.0.113.1", "203.0.113.2"

// TestPlaceholders: what event handlers that run a command or log see.
func TestPlaceholders(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr(addr1), netip.MustParseAddr(addr2)}
	c := changeList{show.Change(plan.Change{Key: plan.Key{Name: "www"}, To: addrs})}
	for got, want := range map[string]string{
		caddy.ToString(status.Addresses(addrs)): addr1 + " " + addr2,
		caddy.ToString(status.Addresses(nil)):   "none",
		caddy.ToString(c):                       "www A none -> " + addr1 + " " + addr2,
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
