package dynamicdns

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

// Plan is what `GET /dynamic_dns/plan` answers: what would be written if the
// zones were to be made as wished now.
type Plan struct {
	// When this was so.
	Time time.Time `json:"time"`
	// The groups of domains with their addresses, in the order of the
	// configuration.
	Groups []GroupStatus `json:"groups"`
	// The zones, in the order of the configuration.
	Zones []ZonePlan `json:"zones"`
}

// ZonePlan is what would happen to a zone at a DNS provider.
type ZonePlan struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// Why there is no telling.
	Error string `json:"error,omitempty"`
	// The records that would be written.
	Changes []Change `json:"changes"`
	// The records that would be left as they are although they are not as
	// wished.
	LeftAlone []LeftAlone `json:"left_alone"`
}

// Change is the change of all addresses of one name and family.
type Change struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type string `json:"type"`
	// Why it changes.
	Reason string `json:"reason"`
	// The addresses before and after.
	From ipaddr.List `json:"from"`
	To   ipaddr.List `json:"to"`
	// The TTL after, in seconds.
	TTL float64 `json:"ttl"`
	// The IP source that gave the addresses.
	Source string `json:"source"`
}

// LeftAlone is a record that is not as wished and stays so.
type LeftAlone struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
	// Whether something is in the way, rather than that the configuration
	// asks for the restraint.
	Blocked bool `json:"blocked"`
}

func newChange(c plan.Change) Change {
	return Change{
		Name: c.Key.Name, Type: c.Key.Family.RRType(), Reason: c.Reason(),
		From: c.From, To: c.To, TTL: c.TTL.Seconds(), Source: c.Source,
	}
}

// dryRun reads all zones at once and says what would change.
func (a *App) dryRun(ctx context.Context) *Plan {
	p := &Plan{Groups: []GroupStatus{}, Zones: make([]ZonePlan, len(a.zones))}
	var wg sync.WaitGroup
	for i, z := range a.zones {
		wg.Go(func() { p.Zones[i] = z.dryRun(ctx) })
	}
	wg.Wait()
	p.Time = stamp(time.Now())
	for _, g := range a.groups {
		p.Groups = append(p.Groups, g.status())
	}
	return p
}

// compare plans from what is there, but not what the provider was told before.
func (z *managedZone) compare(p *ZonePlan, observed plan.Observed, known reconcile.Snapshot) {
	desired := func(yield func(plan.Key, *plan.Desired) bool) {
		for _, r := range known.Records {
			if !yield(r.Key, r.Desired) {
				return
			}
		}
	}
	told := make(map[plan.Key]*reconcile.Record)
	for i := range known.Records {
		if r := &known.Records[i]; len(r.Accepted) > 0 || r.Asked > 0 {
			told[r.Key] = r
		}
	}
	planned := plan.Make(desired, observed)
	for _, c := range planned.Changes {
		switch r := told[c.Key]; {
		case r != nil && slices.Equal(r.Accepted, c.To):
			p.leave(c.Key, "the provider accepted this, and does not show it yet", false)
		case r != nil && c.OnlyTTL && r.Asked == c.TTL:
		default:
			p.Changes = append(p.Changes, newChange(c))
		}
	}
	for _, l := range planned.LeftAlone {
		p.leave(l.Key, l.Reason, l.Blocked)
	}
	for _, r := range known.Records {
		if r.Desired.State == plan.Unknown {
			z.leaveUnknown(p, r.Key, observed.Sets[r.Key].Addrs)
		}
	}
	slices.SortStableFunc(p.LeftAlone, func(a, b LeftAlone) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

func (z *managedZone) leaveUnknown(p *ZonePlan, key plan.Key, there []netip.Addr) {
	z.each(func(c *claim, own plan.Key) {
		if own == key && c.concerns(there) {
			p.leave(key, unknownAddress(key.Family), false)
		}
	})
}

// blocked reports whether something is in the way of a record.
func (p *ZonePlan) blocked() bool {
	return slices.ContainsFunc(p.LeftAlone, func(l LeftAlone) bool { return l.Blocked })
}

func (p *ZonePlan) leave(key plan.Key, reason string, blocked bool) {
	p.LeftAlone = append(p.LeftAlone, LeftAlone{key.Name, key.Family.RRType(), reason, blocked})
}
