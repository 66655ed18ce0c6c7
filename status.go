package dynamicdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// status is how the app is doing.
func (a *App) status(now time.Time) *status.Status {
	s := &status.Status{
		Time:           stamp(now),
		NextCheck:      stamp(a.schedule.Next()),
		CheckInterval:  time.Duration(a.CheckInterval).Seconds(),
		VerifyInterval: time.Duration(a.VerifyInterval).Seconds(),
		Groups:         []status.GroupStatus{},
		Zones:          []status.ZoneStatus{},
		InSync:         new(true),
	}
	for _, g := range a.groups {
		gs := g.status()
		for _, f := range gs.Families {
			if f.Failing && len(f.Addresses) > 0 {
				s.InSync = nil
			}
		}
		s.Groups = append(s.Groups, gs)
	}
	for _, k := range a.keepers {
		z := k.status(now)
		s.InSync = status.BothInSync(s.InSync, z.InSync)
		s.Zones = append(s.Zones, z)
	}
	return s
}

func (g *group) status() status.GroupStatus {
	s := status.GroupStatus{Name: g.name(), Provider: g.provider.name}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !g.enabled(f) {
			continue
		}
		k := g.detector.Known.Family(f)
		fs := status.FamilyStatus{
			Family:      f.String(),
			Addresses:   k.Addrs,
			Source:      k.Source,
			LastCheck:   stamp(k.Checked),
			ConfirmedBy: k.ConfirmedBy,
			Since:       stamp(k.Since),
			Failing:     k.Failing,
		}
		if !k.FailedAt.IsZero() {
			fs.LastFailure = &status.Failure{Time: stamp(k.FailedAt), Error: k.Failure}
		}
		s.Families = append(s.Families, fs)
	}
	return s
}

// name is how the group is called in status and metrics.
func (g *group) name() string {
	if g.where == "" {
		return "default"
	}
	return g.where
}

func (k *keeper) status(now time.Time) status.ZoneStatus {
	z := k.zone
	z.mu.Lock()
	defer z.mu.Unlock()
	s := status.ZoneStatus{
		Zone:       dnsname.Display(z.name),
		Provider:   k.provider.name,
		State:      status.StateInSync,
		InSync:     new(true),
		Readable:   k.provider.getter != nil,
		LastInSync: stamp(z.synced),
		Failures:   z.failures,
		Records:    k.records(),
	}
	if s.Readable {
		s.LastVerified = stamp(z.verified)
	}
	if next, ok := z.due(k); ok && z.hung == nil {
		s.NextAttempt = stamp(latest(next, now))
	}
	if z.lastErr != "" {
		s.State, s.FailingSince = status.StateFailing, stamp(z.failedAt)
	}
	if z.failure != "" {
		s.LastFailure = &status.Failure{Time: stamp(z.failureAt), Error: oneLine(z.failure)}
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

// wishes returns the claims that are in force. The caller holds zone.mu.
func (k *keeper) wishes() []claim {
	if k.zone.owner() == k {
		return k.zone.claims
	}
	return k.claims
}

// records judges each record that is managed. The caller holds zone.mu.
func (k *keeper) records() []status.RecordStatus {
	z, claims := k.zone, k.wishes()
	p := makePlan(claims, z.view, z.asked)
	differs := make(map[rrKey]bool)
	for _, c := range p.changes {
		differs[c.key] = !c.onlyTTL
	}
	left := make(map[rrKey]leftAlone)
	for _, l := range p.leftAlone {
		left[l.key] = l
	}
	records := []status.RecordStatus{}
	for i := range claims {
		c := &claims[i]
		for _, name := range c.names {
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				key := rrKey{name, f}
				seen := z.view.sets[key]
				if !c.manages(f, len(seen.addrs) > 0) {
					continue
				}
				r := status.RecordStatus{
					Name:        name,
					Type:        f.RRType(),
					Desired:     c.addrs[f],
					Observed:    seen.addrs,
					TTL:         seen.ttl.Seconds(),
					LastChanged: stamp(z.changed[key]),
				}
				if reason := c.unknown(f); reason != "" {
					r.State, r.Reason = status.StatePending, reason
					if anyAddrs(claims[i : i+1]) {
						r.State = status.StateLeftAlone
					}
				} else {
					r.State, r.Reason, r.InSync = z.judge(key, c.addrs[f], left, differs[key])
				}
				records = append(records, r)
			}
		}
	}
	return records
}

// judge says how a record is doing whose address is known, and whether it is
// as desired, where that can be told. The caller holds z.mu.
func (z *zone) judge(key rrKey, desired []netip.Addr, left map[rrKey]leftAlone, differs bool) (status.State, string, *bool) {
	failure, failed := z.failed[key]
	accepted, waiting := z.unverified[key]
	l, isLeft := left[key]
	switch {
	case z.view.sets == nil && z.lastErr != "":
		return status.StateFailing, oneLine(z.lastErr), nil
	case z.view.sets == nil:
		return status.StatePending, "not read yet", nil
	case isLeft && l.blocked:
		return status.StateBlocked, l.reason, new(false)
	case isLeft:
		return status.StateLeftAlone, l.reason, new(true)
	case differs && waiting && slices.Equal(accepted.to, desired):
		return status.StateUnverified, "the provider accepted this, and does not show it yet", nil
	case differs && failed:
		return status.StateFailing, oneLine(failure), new(false)
	case differs && z.lastErr != "":
		return status.StateFailing, oneLine(z.lastErr), new(false)
	case differs:
		return status.StatePending, "about to be written", new(false)
	case failed:
		return status.StateFailing, oneLine(failure), nil
	case z.lastErr != "" && len(z.failed) == 0:
		return status.StateFailing, oneLine(z.lastErr), nil
	}
	return status.StateInSync, "", new(true)
}

// manages reports whether the claim has a say in the records of the family:
// where the machine has no address of it, just in what is there already.
func (c *claim) manages(f ipaddr.Family, exists bool) bool {
	return c.enabled[f] && (exists || len(c.addrs[f]) > 0 || len(c.addrs[ipaddr.V4])+len(c.addrs[ipaddr.V6]) == 0)
}

// unknown says that there is nothing to desire, if so.
func (c *claim) unknown(f ipaddr.Family) string {
	if len(c.addrs[f]) > 0 {
		return ""
	}
	return fmt.Sprintf("no %s address is known, so the record stays as it is", [ipaddr.Families]string{"IPv4", "IPv6"}[f])
}

func isTrue(b *bool) bool { return b != nil && *b }

// oneLine joins the lines of joined errors.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stamp is how times are shown.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
