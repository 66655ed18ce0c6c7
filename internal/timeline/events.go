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
	// skew is how far a clock may be set back in passing.
	skew = time.Minute
)

// merge returns the last of the events of both, the oldest first. Those that
// both have, and those that say nothing new, are left out: what was stored may
// come to be known after what has happened since. Of too many, those go first
// that a clock which was wrong then has put later than now: else they would
// crowd out what happens, until that time.
func merge(a, b []status.Event, now time.Time) []status.Event {
	var both, all []*known
	for _, e := range slices.Concat(a, b) {
		both = append(both, &known{Event: e})
	}
	slices.SortStableFunc(both, func(a, b *known) int { return a.Time.Compare(b.Time) })
	for _, e := range both {
		if slices.ContainsFunc(all, func(o *known) bool { return o.Time.Equal(e.Time) && o.says(e) }) || repeats(all, e) {
			continue
		}
		// A Caddy that is started again and again says nothing new by that.
		if n := len(all); n > 0 && e.Name == status.EventStarted && all[n-1].Name == e.Name {
			all = all[:n-1]
		}
		all = append(all, e)
	}
	for len(all) > Most {
		first := slices.IndexFunc(all, func(e *known) bool { return e.Time.After(now.Add(skew)) })
		first = max(first, 0)
		all = slices.Delete(all, first, first+1)
	}
	events := make([]status.Event, len(all))
	for i, e := range all {
		events[i] = e.Event
	}
	return events
}

// known is an event, and what it says apart from its time, once that was asked
// for: to find that out takes long.
type known struct {
	status.Event
	text string
}

// says reports whether both events say the same, whenever that was.
func (k *known) says(same *known) bool {
	for _, e := range []*known{k, same} {
		if e.text == "" {
			timeless := e.Event
			timeless.Time = time.Time{}
			text, _ := json.Marshal(timeless)
			e.text = string(text)
		}
	}
	return k.text == same.text
}

// repeats reports whether the event says nothing new. All who keep a zone are
// told of its failures, a zone that fails may do so in several ways by turns,
// and a process that starts finds the address of the one before.
func repeats(events []*known, e *known) bool {
	restarted := false
	for _, last := range slices.Backward(events) {
		switch {
		case e.Time.Sub(last.Time) < time.Second && last.says(e):
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

// stamp is how times are shown and kept.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
