package show

import (
	"fmt"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/cluster"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Shared adds to the status of a zone who writes it. What this instance knows
// of a zone that another one writes may be old.
func Shared(s *status.ZoneStatus, p cluster.Part, now time.Time) {
	s.Writer = p.Writer
	if p.CutOff == nil && p.Own {
		return
	}
	s.InSync, s.State, s.NextAttempt, s.LastFailure, s.Failures, s.FailingSince = p.InSync, status.StatePending, time.Time{}, nil, 0, time.Time{}
	reason := "no instance writes the zone at the moment"
	switch {
	case p.CutOff != nil:
		s.InSync, reason = nil, "this instance writes nothing: "+p.CutOff.Error()
	case p.Writer != "":
		reason = fmt.Sprintf("the instance %q writes the zone", p.Writer)
	}
	if s.InSync != nil && *s.InSync {
		s.State, s.LastInSync = status.StateInSync, Stamp(now)
	}
	for i := range s.Records {
		r := &s.Records[i]
		r.State, r.Reason, r.InSync, r.Observed, r.Accepted, r.TTL = s.State, reason, s.InSync, nil, nil, 0
	}
}
