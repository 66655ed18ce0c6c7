// Package show turns what is known inside into what is reported.
package show

import (
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
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
