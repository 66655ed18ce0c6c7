package simplehttp

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestSimpleHTTPOneFamily: the family that is not asked for is not so much as
// looked for, and not spoken of.
func TestSimpleHTTPOneFamily(t *testing.T) {
	addrs := []netip.Addr{ipaddr.V4: netip.MustParseAddr("93.184.216.34"), ipaddr.V6: netip.MustParseAddr("2606:2800:220:1::1")}
	for _, down := range []bool{false, true} {
		for on := ipaddr.V4; on < ipaddr.Families; on++ {
			var mu sync.Mutex
			var seen []ipaddr.Family
			see := func(f ipaddr.Family) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, f)
			}
			s := newTestEcho(t, SimpleHTTP{Endpoints: []string{"https://a.example", "https://b.example", "https://c.example", "https://[2606:2800::1]", "https://198.41.0.4"}})
			s.services.Routable = func(to netip.Addr) bool { see(ipaddr.FamilyOf(to)); return true }
			s.ask = func(_ context.Context, network string, _ *url.URL) (netip.Addr, error) {
				f := map[string]ipaddr.Family{"tcp4": ipaddr.V4, "tcp6": ipaddr.V6}[network]
				see(f)
				if down {
					return netip.Addr{}, errors.New("down")
				}
				return addrs[f], nil
			}
			got, err := s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(on)})
			if down == (err == nil) || !down && !slices.Equal(got, addrs[on:on+1]) {
				t.Errorf("got %v, %v", got, err)
			}
			if off := []string{"IPv6", "IPv4"}[on]; err != nil && strings.Contains(err.Error(), off) {
				t.Errorf("spoke of %s: %v", off, err)
			}
			mu.Lock()
			if slices.Contains(seen, 1-on) || !slices.Contains(seen, on) {
				t.Errorf("looked for the families %v", seen)
			}
			mu.Unlock()
		}
	}
}
