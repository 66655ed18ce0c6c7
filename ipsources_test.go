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

// inherited is a source as it is written for mholt/caddy-dynamicdns.
type inherited struct{}

func (inherited) GetIPs(ctx context.Context, settings dynamicdns.IPSettings) ([]netip.Addr, error) {
	if ip := netip.IPv4Unspecified(); settings.V4Enabled() && !settings.V6Enabled() && settings.Contains(ip) {
		return []netip.Addr{ip}, nil
	}
	return nil, ctx.Err()
}

func (thirdParty) ConfirmedBy(netip.Addr) []string { return nil }

func (thirdParty) Configured() {}

func (thirdParty) ExplainRefusal(netip.Addr) string { return "" }

var (
	_ dynamicdns.IPSource   = thirdParty{}
	_ dynamicdns.IPSource   = inherited{}
	_ dynamicdns.Confirmer  = thirdParty{}
	_ dynamicdns.Configured = thirdParty{}
	_ dynamicdns.Explainer  = thirdParty{}
)
