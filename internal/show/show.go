// Package show turns what is known inside into what is reported.
package show

import (
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// States are the public names of the states of an RRset.
var States = map[reconcile.State]status.State{
	reconcile.InSync:     status.StateInSync,
	reconcile.Left:       status.StateLeftAlone,
	reconcile.Unverified: status.StateUnverified,
	reconcile.Pending:    status.StatePending,
	reconcile.InTheWay:   status.StateBlocked,
	reconcile.InTrouble:  status.StateFailing,
}

// Change is a change of an RRset.
func Change(c plan.Change) status.Change {
	return status.Change{
		Name: c.Key.Name, Type: c.Key.Family.RRType(), Reason: c.Reason(),
		From: c.From, To: c.To, TTL: c.TTL.Seconds(), Source: c.Source,
	}
}

// OneLine joins the lines of joined errors.
func OneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// Stamp is how times are shown.
func Stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

// Record shows an RRset.
func Record(r *reconcile.Record) status.RecordStatus {
	return status.RecordStatus{
		Name:        r.Key.Name,
		Type:        r.Key.Family.RRType(),
		State:       States[r.State],
		Reason:      OneLine(r.Reason),
		Desired:     r.Desired.Addrs,
		Observed:    r.Observed,
		Accepted:    r.Accepted,
		TTL:         r.TTL.Seconds(),
		LastChanged: Stamp(r.Changed),
		InSync:      r.InSync,
	}
}

// Zone shows a zone with those of its RRsets.
func Zone(name string, p *provider.Provider, known reconcile.Snapshot, records []status.RecordStatus, now time.Time) status.ZoneStatus {
	s := status.ZoneStatus{
		Zone:         dnsname.Display(name),
		Provider:     p.Name,
		State:        status.StateInSync,
		InSync:       new(true),
		Readable:     p.CanRead(),
		LastInSync:   Stamp(known.Synced),
		NextAttempt:  Stamp(known.Next),
		Failures:     known.Failures,
		FailingSince: Stamp(known.Since),
		Records:      records,
	}
	if s.Readable {
		s.LastVerified = Stamp(known.Verified)
	}
	if known.Err != nil {
		s.State = status.StateFailing
	} else {
		s.Note = p.Note(name)
	}
	if known.Last != nil {
		s.LastFailure = &status.Failure{Time: Stamp(known.LastAt), Error: OneLine(known.Last.Error())}
	}
	for _, r := range s.Records {
		s.State = status.Worse(s.State, r.State)
		s.InSync = status.BothInSync(s.InSync, r.InSync)
	}
	if s.InSync != nil && *s.InSync {
		s.LastInSync = Stamp(now)
	}
	return s
}
