package fritzbox

import (
	"context"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestDeadBox(t *testing.T) {
	for _, dead := range sourcetest.Dead(t) {
		t.Run(dead.Name, func(t *testing.T) {
			f := &FritzBox{box: &box{addr: dead.At.Addr(), port: dead.At.Port()}}
			sourcetest.LeavesNothing(t, func(ctx context.Context) error {
				_, err := f.GetIPs(ctx, ipsources.IPSettings{})
				return err
			})
		})
	}
}
