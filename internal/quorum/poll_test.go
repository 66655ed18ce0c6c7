package quorum

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestAskPanics: an answer that brings its parser down is no vote, and the others
// count.
func TestAskPanics(t *testing.T) {
	voters := []voter{"a", "b", "c"}
	p := &Poll[voter]{
		Voters:  [ipaddr.Families][]voter{ipaddr.V4: voters},
		Timeout: time.Minute,
		Reach:   func(ipaddr.Family) ([]voter, error) { return voters, nil },
		Ask: func(_ context.Context, _ ipaddr.Family, v voter) (netip.Addr, error) {
			if v == "a" {
				panic("index out of range")
			}
			return netip.MustParseAddr("93.184.216.34"), nil
		},
		Logger: zap.NewNop(),
	}
	settings := ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4)}
	ips, err := p.GetIPs(t.Context(), settings)
	sourcetest.CheckIPs(t, ips, err, "93.184.216.34", "")

	voters = voters[:1]
	ips, err = p.GetIPs(t.Context(), settings)
	sourcetest.CheckIPs(t, ips, err, "", "a: asking panicked: index out of range")
}
