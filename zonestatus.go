package dynamicdns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
)

var zoneStates = map[reconcile.State]State{
	reconcile.InSync:     StateInSync,
	reconcile.Left:       StateLeftAlone,
	reconcile.Unverified: StateUnverified,
	reconcile.Pending:    StatePending,
	reconcile.InTheWay:   StateBlocked,
	reconcile.InTrouble:  StateFailing,
}

func (z *managedZone) status(now time.Time) ZoneStatus {
	known := z.zone.Snapshot()
	s := ZoneStatus{
		Zone:         dnsname.Display(z.zone.Name),
		Provider:     z.backend.Provider.Name,
		State:        StateInSync,
		InSync:       new(true),
		Readable:     z.backend.Provider.CanRead(),
		LastInSync:   stamp(known.Synced),
		NextAttempt:  stamp(known.Next),
		Failures:     known.Failures,
		FailingSince: stamp(known.Since),
		Records:      z.records(known),
	}
	if s.Readable {
		s.LastVerified = stamp(known.Verified)
	}
	if known.Err != nil {
		s.State = StateFailing
	}
	if known.Last != nil {
		s.LastFailure = &Failure{stamp(known.LastAt), oneLine(known.Last.Error())}
	}
	for _, r := range s.Records {
		s.State = worse(s.State, r.State)
		s.InSync = bothInSync(s.InSync, r.inSync)
	}
	if isTrue(s.InSync) {
		s.LastInSync = stamp(now)
	}
	return s
}

// records are those of the configuration, of which the zone may know more and
// not all.
func (z *managedZone) records(known reconcile.Snapshot) []RecordStatus {
	byKey := make(map[plan.Key]*reconcile.Record, len(known.Records))
	for i := range known.Records {
		byKey[known.Records[i].Key] = &known.Records[i]
	}
	records := []RecordStatus{}
	z.each(func(c *claim, key plan.Key) {
		r := byKey[key]
		if r == nil {
			r = &reconcile.Record{Desired: c.desired(c.group.detector.Known.Family(key.Family)), State: reconcile.Pending, Reason: "not read yet"}
		}
		if r.Desired.State == plan.Unknown && !c.concerns(r.Observed) {
			return
		}
		s := RecordStatus{
			Name:        key.Name,
			Type:        key.Family.RRType(),
			State:       zoneStates[r.State],
			Reason:      oneLine(r.Reason),
			Wished:      append([]netip.Addr{}, r.Desired.Addrs...),
			Observed:    append([]netip.Addr{}, r.Observed...),
			TTL:         r.TTL.Seconds(),
			LastChanged: stamp(r.Changed),
			inSync:      r.InSync,
		}
		if r.Desired.State == plan.Unknown {
			s.State, s.Reason, s.inSync = StateLeftAlone, unknownAddress(key.Family), nil
			if !c.anyAddress() {
				s.State = StatePending
			}
		}
		records = append(records, s)
	})
	return records
}

// each calls fn for all RRsets of the configuration.
func (z *managedZone) each(fn func(*claim, plan.Key)) {
	for _, c := range z.claims {
		for _, name := range c.names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if c.families[f] {
					fn(c, plan.Key{Name: name, Family: f})
				}
			}
		}
	}
}

// anyAddress reports whether an address of any family is known.
func (c *claim) anyAddress() bool {
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if c.families[f] && len(c.group.detector.Known.Family(f).Addrs) > 0 {
			return true
		}
	}
	return false
}

// concerns reports whether an RRset of which no address is known is worth a
// word: where the machine has none of that family, just what is there already.
func (c *claim) concerns(observed []netip.Addr) bool { return len(observed) > 0 || !c.anyAddress() }

func unknownAddress(f ipaddr.Family) string {
	return fmt.Sprintf("no %s address is known, so the record stays as it is", [ipaddr.Families]string{"IPv4", "IPv6"}[f])
}

// dryRun reads the zone and says what would change.
func (z *managedZone) dryRun(ctx context.Context) ZonePlan {
	p := ZonePlan{
		Zone: dnsname.Display(z.zone.Name), Provider: z.backend.Provider.Name,
		Changes: []Change{}, LeftAlone: []LeftAlone{},
	}
	if !slices.ContainsFunc(z.claims, (*claim).anyAddress) {
		p.Error = "no address is known"
		return p
	}
	observed, known, err := z.zone.DryRun(ctx)
	if err != nil {
		p.Error = oneLine(err.Error())
		return p
	}
	z.compare(&p, observed, known)
	return p
}
