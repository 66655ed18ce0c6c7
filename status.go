package dynamicdns

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func (g *group) status() status.GroupStatus {
	s := status.GroupStatus{Name: g.name(), Provider: g.provider.Name}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !g.needs(f) {
			continue
		}
		k := g.detector.Known.Family(f)
		fs := status.FamilyStatus{
			Family:      f.String(),
			Addresses:   k.Addrs,
			Source:      k.Source,
			ConfirmedBy: k.ConfirmedBy,
			Since:       show.Stamp(k.Since),
		}
		setPresence(&fs, k.Presence, k.Failure, k.FailedAt)
		s.Families = append(s.Families, fs)
	}
	if len(g.devices) > 0 {
		k := g.detector.Known.Prefix()
		fs := status.FamilyStatus{Family: status.FamilyPrefix, Source: k.Source, Since: show.Stamp(k.Since)}
		for _, prefix := range g.prefixes(k.Network) {
			fs.Prefixes = append(fs.Prefixes, prefix.String())
		}
		setPresence(&fs, k.Presence, k.Failure, k.FailedAt)
		s.Families = append(s.Families, fs)
	}
	s.WithoutZone = g.withoutZone()
	return s
}

// withoutZone are the names whose zone is not known.
func (g *group) withoutZone() []status.NameStatus {
	var names []status.NameStatus
	add := func(host string, state status.State, why error) {
		n := status.NameStatus{Name: host, State: state}
		if why != nil {
			n.Reason = show.OneLine(why.Error())
		}
		names = append(names, n)
	}
	for _, host := range g.hosts {
		switch a := g.zoneOf(host); {
		case a.Zone != "":
		case a.Err == nil:
			add(host, status.StatePending, nil)
		default:
			add(host, status.StateFailing, a.Err)
		}
	}
	for _, host := range g.offered {
		switch a := g.known.Answer(host); {
		case a.Zone != "":
		case a.Err == nil || g.known.Unlisted() != nil && a.Unsettled():
			add(host, status.StatePending, a.Err)
		default:
			add(host, status.StateLeftAlone, a.Err)
		}
	}
	return names
}

// setPresence sets how a family fares in the checks.
func setPresence(fs *status.FamilyStatus, p detect.Presence, failure string, failedAt time.Time) {
	fs.LastCheck, fs.Failing, fs.Lost = show.Stamp(p.Checked), p.Failing, p.Lost
	if p.Failing || p.Checked.IsZero() {
		fs.MissingSince = show.Stamp(p.Turned)
	} else {
		fs.FoundSince = show.Stamp(p.Turned)
	}
	if !failedAt.IsZero() {
		fs.LastFailure = &status.Failure{Time: show.Stamp(failedAt), Error: failure}
	}
}

func (z *managedZone) status(now time.Time) status.ZoneStatus {
	s := z.ownStatus(z.zone.Snapshot(), now)
	if z.member != nil {
		show.Shared(&s, z.member.Zone(z.zoneID()), now)
	}
	return s
}

// ownStatus is how the zone is doing as far as this instance keeps it.
func (z *managedZone) ownStatus(known reconcile.Snapshot, now time.Time) status.ZoneStatus {
	return show.Zone(z.zone.Name, z.backend.Provider, known, z.records(known), now)
}

// records are those of the configuration, of which the zone may know more and
// not all.
func (z *managedZone) records(known reconcile.Snapshot) []status.RecordStatus {
	byKey := make(map[plan.Key]*reconcile.Record, len(known.Records))
	for i := range known.Records {
		byKey[known.Records[i].Key] = &known.Records[i]
	}
	records := []status.RecordStatus{}
	desired := sync.OnceValue(z.desired)
	z.each(func(set *nameSet, key plan.Key) {
		r := byKey[key]
		switch {
		case r == nil:
			r = &reconcile.Record{Desired: desired()[key], State: reconcile.Pending, Reason: "not read yet"}
		case r.Desired.State == plan.Unknown:
			// What was found a moment ago may not have come to the zone yet.
			if d := desired()[key]; d != nil && d.State != plan.Unknown {
				r = &reconcile.Record{Desired: d, Observed: r.Observed, TTL: r.TTL, State: reconcile.Pending, Reason: "about to be written"}
			}
		}
		if r.Desired.State == plan.Unknown && !set.concerns(r.Observed) {
			return
		}
		s := show.Record(r)
		if r.Desired.State == plan.Unknown {
			// A machine that has never had the family is well, whatever stands there.
			s.State, s.Reason, s.InSync = status.StateLeftAlone, set.whyUnknown(key, true), new(true)
			if !set.anyAddress() || set.group.detector.Known.Family(key.Family).Checked.IsZero() {
				s.State, s.Reason, s.InSync = status.StatePending, set.whyUnknown(key, false), nil
			}
		}
		for _, id := range set.ids[key.Name] {
			s.HostIDs = append(s.HostIDs, id.String())
		}
		records = append(records, s)
	})
	return records
}

// whyUnknown says why nothing is desired of an RRset. never means that what it
// takes has not been found since the start, and was looked for.
func (s *nameSet) whyUnknown(key plan.Key, never bool) string {
	reason := fmt.Sprintf("no %s address is known, so the record stays as it is", [ipaddr.Families]string{"IPv4", "IPv6"}[key.Family])
	if never {
		reason += "; this machine has had none since the start"
	}
	if s.ids != nil {
		reason = "no IPv6 prefix is known, so the record stays as it is"
		if _, refused := s.group.deviceAddrs(s.ids[key.Name], s.group.detector.Known.Prefix().Network); refused != "" {
			reason = refused
		}
	}
	return reason
}

// withServer adds what is known of the clients to the status, which begins with
// zones of its own.
func withServer(s *status.Status, own []*managedZone) *status.Status {
	if server, ok := serverOf(caddy.ActiveContext()); ok {
		server.AddStatus(s, func(z *zone.Zone) *status.ZoneStatus {
			for i := range own {
				if own[i].zone == z {
					return &s.Zones[i]
				}
			}
			return nil
		})
	}
	return s
}
