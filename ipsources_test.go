package dynamicdns_test

import (
	"context"
	"net/netip"
	"time"

	dynamicdns "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
)

// thirdParty is a source as others write it: it knows the root package alone.
type thirdParty struct{}

func (thirdParty) GetIPs(_ context.Context, settings dynamicdns.IPSettings) ([]netip.Addr, error) {
	v := dynamicdns.IPVersions(settings.IPVersions)
	if !v.V4Enabled() || settings.Accepts != nil && !settings.Accepts(netip.Addr{}) {
		return settings.Known, &dynamicdns.NoFamilyError{}
	}
	return nil, &dynamicdns.SoonError{After: time.Second, Err: &dynamicdns.DoubtError{Err: &dynamicdns.DetailedError{}}}
}

func (thirdParty) ConfirmedBy(netip.Addr) []string { return nil }

func (thirdParty) Configured() {}

func (thirdParty) ExplainRefusal(netip.Addr) string { return "" }

var (
	_ dynamicdns.IPSource   = thirdParty{}
	_ dynamicdns.Confirmer  = thirdParty{}
	_ dynamicdns.Configured = thirdParty{}
	_ dynamicdns.Explainer  = thirdParty{}
)
