package dynamicdns

import (
	"strings"
	"time"

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
	for _, managed := range a.zones {
		z := managed.status(now)
		s.InSync = status.BothInSync(s.InSync, z.InSync)
		s.Zones = append(s.Zones, z)
	}
	return s
}

func (g *group) status() status.GroupStatus {
	s := status.GroupStatus{Name: g.name(), Provider: g.provider.Name}
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

func isTrue(b *bool) bool { return b != nil && *b }

// oneLine joins the lines of joined errors.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// stamp is how times are shown.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
