package dyndns

import (
	"cmp"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// ServerStatus returns what is known of the clients. each is called with what
// is known of each zone that their hosts are in.
func (a *App) ServerStatus(now time.Time, each func(*zone.Zone, status.ZoneStatus)) []status.ClientStatus {
	states := make(map[string]status.State)
	for _, z := range a.sorted() {
		each(z.zone, a.zoneStatus(z, now, states))
	}
	hosts := make(map[string][]status.HostStatus)
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for e := range entries {
			if a.Serves(e.Host) {
				hosts[e.User] = append(hosts[e.User], a.hostStatus(e, states[e.Host]))
			}
		}
	})
	clients := []status.ClientStatus{}
	// The last update of a host may be that of a user who has left since.
	users := slices.AppendSeq(slices.Clone(a.users), maps.Keys(hosts))
	slices.Sort(users)
	for _, name := range slices.Compact(users) {
		visit := a.shared.seen.of(name)
		c := status.ClientStatus{Name: name, LastSeen: show.Stamp(visit.at), Agent: visit.agent, Result: string(visit.result), Hosts: hosts[name]}
		if visit.client.IsValid() {
			c.Address = visit.client.String()
		}
		slices.SortFunc(c.Hosts, func(a, b status.HostStatus) int { return strings.Compare(a.Name, b.Name) })
		clients = append(clients, c)
	}
	return clients
}

// sorted are the zones in an order that does not change.
func (a *App) sorted() []*keptZone {
	return slices.SortedFunc(slices.Values(a.kept()), func(a, b *keptZone) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.backend.Provider.Name, b.backend.Provider.Name), strings.Compare(a.backend.Memory.Config, b.backend.Memory.Config))
	})
}

// Verify has all zones read now. The channels are closed when that is done.
func (a *App) Verify() []<-chan struct{} {
	var rounds []<-chan struct{}
	for _, z := range a.kept() {
		rounds = append(rounds, z.zone.Verify())
	}
	return rounds
}

func (a *App) hostStatus(e *ledger.Entry, state status.State) status.HostStatus {
	h := status.HostStatus{Name: e.Host, Updated: e.Updated, State: state}
	if err := a.whyNowhere(e.Host); err != nil {
		h.State, h.Reason = status.StateFailing, show.OneLine(err.Error())
		if errors.Is(err, errNotYet) {
			h.State = status.StatePending
		}
	}
	for _, r := range e.Records {
		if r.State == plan.Set {
			h.Addresses = append(h.Addresses, r.Addrs...)
		}
	}
	return h
}

// zoneStatus returns that of the clients' RRsets in the zone, and notes that of
// their hosts.
func (a *App) zoneStatus(z *keptZone, now time.Time, states map[string]status.State) status.ZoneStatus {
	s := z.status(now)
	if z.member != nil {
		part := z.member.Zone(z.id)
		if !part.Own || part.CutOff != nil {
			s.Records = a.others(z)
		}
		show.Shared(&s, part, now)
	}
	for _, r := range s.Records {
		host := strings.TrimSuffix(dnsname.Absolute(r.Name, z.name), ".")
		if states[host] == "" {
			states[host] = r.State
		}
		states[host] = status.Worse(states[host], r.State)
	}
	return s
}

// others are the RRsets of a zone that another instance writes.
func (a *App) others(z *keptZone) []status.RecordStatus {
	records := []status.RecordStatus{}
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for e := range entries {
			at, name, desired := a.desired(e)
			for f, d := range desired {
				if at == z && d != nil {
					records = append(records, show.Record(&reconcile.Record{Key: plan.Key{Name: name, Family: ipaddr.Family(f)}, Desired: d}))
				}
			}
		}
	})
	slices.SortFunc(records, func(a, b status.RecordStatus) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return records
}

// Measure implements observe.Measurer, for a configuration without a
// dynamic_dns app.
func (a *App) Measure() (*observe.Counts, *status.Status) {
	now := time.Now()
	s := &status.Status{Time: show.Stamp(now)}
	s.Clients = a.ServerStatus(now, func(_ *zone.Zone, z status.ZoneStatus) { s.Zones = append(s.Zones, z) })
	return a.observer.Counts, s
}

var _ observe.Measurer = (*App)(nil)
