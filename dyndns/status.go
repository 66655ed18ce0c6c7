package dyndns

import (
	"cmp"
	"context"
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

// errUnread is the reason where nobody knows what was told of a host. The log
// says more, which is not for a page.
var errUnread = errors.New("what is on record of it cannot be read from the storage, as the log says; trying again")

// AddStatus adds to a status what is known of the clients, and of the zones that
// their hosts are in. of returns the zone of the status that is the same, or nil.
func (a *App) AddStatus(s *status.Status, of func(*zone.Zone) *status.ZoneStatus) {
	states := make(map[string]status.State)
	ready := true
	select {
	case <-a.shared.ledger.Ready():
	default:
		ready = false
		s.Reason = cmp.Or(s.Reason, "what is on record of the clients' hosts could not be read from the storage yet")
	}
	for _, z := range a.sorted() {
		known := a.zoneStatus(z, s.Time, states)
		if !ready {
			known.InSync, known.State, known.LastInSync = nil, status.StatePending, time.Time{}
		}
		s.InSync = status.BothInSync(s.InSync, known.InSync)
		if same := of(z.zone); same != nil {
			same.Join(known)
		} else {
			s.Zones = append(s.Zones, known)
		}
	}
	s.Clients = a.clients(states)
	for _, c := range s.Clients {
		for _, h := range c.Hosts {
			switch {
			case h.Reason == "":
			case h.State == status.StateFailing:
				s.InSync = new(false)
			default:
				s.InSync = status.BothInSync(s.InSync, nil)
			}
		}
	}
}

// clients is what is known of the users, whose hosts have these states.
func (a *App) clients(states map[string]status.State) []status.ClientStatus {
	hosts := make(map[string][]status.HostStatus)
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for e := range entries {
			if a.Serves(e.Host) {
				hosts[e.User] = append(hosts[e.User], a.hostStatus(e, states[e.Host]))
			}
		}
	})
	for _, host := range a.shared.ledger.Unread() {
		if a.Serves(host) {
			_, parent, _ := strings.Cut(host, ".")
			owner := cmp.Or(a.owners[host], a.owners["."+parent])
			hosts[owner] = append(hosts[owner], status.HostStatus{Name: host, Addresses: status.Addresses{}, State: status.StateFailing, Reason: errUnread.Error()})
		}
	}
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

// Status is what the admin endpoint answers for a configuration without a
// dynamic_dns app.
func (a *App) Status(now time.Time) *status.Status {
	s := &status.Status{
		Time: show.Stamp(now), InSync: new(true), VerifyInterval: verifyEvery.Seconds(),
		Groups: []status.GroupStatus{}, Zones: []status.ZoneStatus{}, Timeline: a.observer.Timeline.Events(),
	}
	a.AddStatus(s, func(*zone.Zone) *status.ZoneStatus { return nil })
	return s
}

// Measure implements observe.Measurer, for a configuration without a
// dynamic_dns app.
func (a *App) Measure() (*observe.Counts, *status.Status) {
	return a.observer.Counts, a.Status(time.Now())
}

// Check has all zones read now. The channel is closed when that is done, or
// when it takes too long.
func (a *App) Check() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(a.ctx, checkTimeout)
		defer cancel()
		for _, round := range a.Verify() {
			select {
			case <-round:
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

var _ observe.Measurer = (*App)(nil)
