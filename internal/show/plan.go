package show

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// NoPlan is the plan for a zone of which there is no telling, for a reason, or
// none yet.
func NoPlan(zone string, p *provider.Provider, reason string) status.ZonePlan {
	return status.ZonePlan{
		Zone: dnsname.Display(zone), Provider: p.Name, Error: OneLine(reason),
		Changes: []status.Change{}, LeftAlone: []status.LeftAlone{},
	}
}

// Plan shows what would change of what is there, leaving out what the provider
// has accepted and does not show yet. unknown says why an RRset stays as it is
// of which nothing is known, or returns "" if nobody asks.
func Plan(zone string, p *provider.Provider, observed plan.Observed, known reconcile.Snapshot, unknown func(plan.Key, []netip.Addr) string) status.ZonePlan {
	shown := NoPlan(zone, p, "")
	desired := func(yield func(plan.Key, *plan.Desired) bool) {
		for _, r := range known.Records {
			if !yield(r.Key, r.Desired) {
				return
			}
		}
	}
	accepted := make(map[plan.Key]*reconcile.Record)
	for i := range known.Records {
		if r := &known.Records[i]; len(r.Accepted) > 0 || r.Asked > 0 {
			accepted[r.Key] = r
		}
	}
	leave := func(key plan.Key, reason string, blocked bool) {
		shown.LeftAlone = append(shown.LeftAlone, status.LeftAlone{Name: key.Name, Type: key.Family.RRType(), Reason: reason, Blocked: blocked})
	}
	planned := plan.Make(desired, observed)
	for _, c := range planned.Changes {
		switch r := accepted[c.Key]; {
		case r != nil && slices.Equal(r.Accepted, c.To):
			leave(c.Key, "the provider accepted this, and does not show it yet", false)
		case r != nil && c.OnlyTTL && r.Asked == c.TTL:
		default:
			shown.Changes = append(shown.Changes, Change(c))
		}
	}
	for _, l := range planned.LeftAlone {
		leave(l.Key, l.Reason, l.Blocked)
	}
	for _, r := range known.Records {
		if r.Desired.State == plan.Unknown {
			if reason := unknown(r.Key, observed.Sets[r.Key].Addrs); reason != "" {
				leave(r.Key, reason, false)
			}
		}
	}
	slices.SortStableFunc(shown.LeftAlone, func(a, b status.LeftAlone) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return shown
}
