package upnp

import (
	"context"
	"net/netip"
	"net/url"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestUPnPDeadRouter(t *testing.T) {
	for _, dead := range sourcetest.Dead(t) {
		t.Run(dead.Name, func(t *testing.T) {
			u := &UPnP{
				logger: zap.NewNop(), onLink: netip.Addr.IsLoopback, finding: make(chan struct{}, 1),
				endpoint: &url.URL{Scheme: "http", Host: dead.At.String(), Path: "/rootDesc.xml"},
			}
			sourcetest.LeavesNothing(t, func(ctx context.Context) error {
				_, err := u.GetIPs(ctx, ipsources.IPSettings{})
				return err
			})
		})
	}
}
