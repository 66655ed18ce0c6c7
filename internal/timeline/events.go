package timeline

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const (
	// Most is how many events are remembered.
	Most = 50
	// mostChanges is how many records an event names.
	mostChanges = 10
	// mostText is how many bytes of an error are remembered.
	mostText = 500
)

// merge returns the last of the events of both, the oldest first. Those that
// both have are there once.
func merge(a, b []status.Event) []status.Event {
	seen := make(map[string]bool)
	all := make([]status.Event, 0, len(a)+len(b))
	for _, e := range slices.Concat(a, b) {
		if id := identity(e); !seen[id] {
			seen[id] = true
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b status.Event) int { return a.Time.Compare(b.Time) })
	// A Caddy that is started again and again says nothing new by that.
	var told []status.Event
	for i, e := range all {
		if e.Name != status.EventStarted || i == len(all)-1 || all[i+1].Name != e.Name {
			told = append(told, e)
		}
	}
	return told[max(0, len(told)-Most):]
}

// identity tells events apart.
func identity(e status.Event) string {
	text, _ := json.Marshal(e)
	return string(text)
}

// repeats reports whether the event says nothing new. All who keep a zone are
// told of its failures, a zone that fails may do so in several ways by turns,
// and a process that starts finds the address of the one before.
func repeats(events []status.Event, e status.Event) bool {
	restarted := false
	for _, last := range slices.Backward(events) {
		same := e
		same.Time = last.Time
		switch {
		case e.Time.Sub(last.Time) < time.Second && identity(same) == identity(last):
			return true
		case last.Name == status.EventStarted:
			restarted = true
		case e.Name == status.EventUpdateFailed && !restarted && last.Zone == e.Zone && last.Provider == e.Provider:
			if last.Name == status.EventUpdateFailed || last.Name == status.EventRecovered {
				return last.Name == e.Name
			}
		case e.Name == status.EventAddressChanged && len(e.From) == 0 && last.Family == e.Family && len(last.To) > 0:
			return slices.Equal(last.To, e.To)
		}
	}
	return false
}

// shorten bounds how much is remembered of an event.
func shorten(e status.Event) status.Event {
	if n := len(e.Changes) - mostChanges; n > 0 {
		e.Changes, e.More = e.Changes[:mostChanges:mostChanges], e.More+n
	}
	if len(e.Error) > mostText+len("…") {
		e.Error = strings.ToValidUTF8(e.Error[:mostText], "") + "…"
	}
	return e
}
