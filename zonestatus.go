package dynamicdns

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

var zoneStates = map[reconcile.State]status.State{
	reconcile.InSync:     status.StateInSync,
	reconcile.Left:       status.StateLeftAlone,
	reconcile.Unverified: status.StateUnverified,
	reconcile.Pending:    status.StatePending,
	reconcile.InTheWay:   status.StateBlocked,
	reconcile.InTrouble:  status.StateFailing,
}

func (z *managedZone) status(now time.Time) status.ZoneStatus {
	known := z.zone.Snapshot()
	s := status.ZoneStatus{
		Zone:         dnsname.Display(z.zone.Name),
		Provider:     z.backend.Provider.Name,
		State:        status.StateInSync,
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
		s.State = status.StateFailing
	}
	if known.Last != nil {
		s.LastFailure = &status.Failure{Time: stamp(known.LastAt), Error: oneLine(known.Last.Error())}
	}
	for _, r := range s.Records {
		s.State = status.Worse(s.State, r.State)
		s.InSync = status.BothInSync(s.InSync, r.InSync)
	}
	if isTrue(s.InSync) {
		s.LastInSync = stamp(now)
	}
	return s
}

// records are those of the configuration, of which the zone may know more and
// not all.
func (z *managedZone) records(known reconcile.Snapshot) []status.RecordStatus {
	byKey := make(map[plan.Key]*reconcile.Record, len(known.Records))
	for i := range known.Records {
		byKey[known.Records[i].Key] = &known.Records[i]
	}
	records := []status.RecordStatus{}
	z.each(func(c *claim, key plan.Key) {
		r := byKey[key]
		if r == nil {
			r = &reconcile.Record{Desired: c.desired(c.group.detector.Known.Family(key.Family)), State: reconcile.Pending, Reason: "not read yet"}
		}
		if r.Desired.State == plan.Unknown && !c.concerns(r.Observed) {
			return
		}
		s := status.RecordStatus{
			Name:        key.Name,
			Type:        key.Family.RRType(),
			State:       zoneStates[r.State],
			Reason:      oneLine(r.Reason),
			Desired:     r.Desired.Addrs,
			Observed:    r.Observed,
			Accepted:    r.Accepted,
			TTL:         r.TTL.Seconds(),
			LastChanged: stamp(r.Changed),
			InSync:      r.InSync,
		}
		if r.Desired.State == plan.Unknown {
			s.State, s.Reason, s.InSync = status.StateLeftAlone, unknownAddress(key.Family), nil
			if !c.anyAddress() {
				s.State = status.StatePending
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
