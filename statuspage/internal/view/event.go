package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Event is a line of the timeline.
type Event struct {
	When *Moment
	// Kind is a word for it, Class that for the style sheet.
	Kind, Class string
	Text        string
	// Details are lines about single records or addresses.
	Details []string
	Error   string
}

// mostDetails is how many records of a change are named.
const mostDetails = 5

func newEvent(e *status.Event, now time.Time) Event {
	v := Event{When: at(e.Time, now)}
	after := ""
	if e.After >= 1 {
		after = ", after " + span(seconds(e.After))
	}
	from := ""
	if e.Source != "" {
		from = ", from " + e.Source
	}
	family := families[e.Family]
	switch e.Name {
	case status.EventStarted:
		v.Kind, v.Class, v.Text = "Start", quiet, "Caddy was started"
	case status.EventAddressChanged:
		v.Kind, v.Class = "Address", "address"
		v.Text = fmt.Sprintf("New %s address%s", family, from)
		v.Details = []string{arrow(e.From, e.To)}
	case status.EventAddressLost:
		v.Kind, v.Class, v.Text, v.Error = "Trouble", bad, fmt.Sprintf("No %s address is found any more", family), e.Error
		v.Details = []string{"it was " + e.From.String()}
	case status.EventAddressFound:
		v.Kind, v.Class = "Recovery", good
		v.Text = fmt.Sprintf("The %s address is found again%s%s", family, after, from)
		v.Details = texts(e.To)
	case status.EventRecordsChanged:
		v.Kind, v.Class, v.Text = "DNS", "dns", changed(e)
		few := e.Changes[:min(len(e.Changes), mostDetails)]
		for _, c := range few {
			v.Details = append(v.Details, fmt.Sprintf("%s %s: %s", fullName(c.Name, e.Zone), c.Type, arrow(c.From, c.To)))
		}
		if more := len(e.Changes) - len(few) + e.More; more > 0 {
			v.Details = append(v.Details, fmt.Sprintf("and %d more", more))
		}
	case status.EventUpdateFailed:
		v.Kind, v.Class, v.Error = "Trouble", bad, e.Error
		v.Text = fmt.Sprintf("%s at %s cannot be updated", e.Zone, e.Provider)
	case status.EventRecovered:
		v.Kind, v.Class = "Recovery", good
		v.Text = fmt.Sprintf("%s at %s works again%s", e.Zone, e.Provider, after)
	case status.EventInstanceJoined:
		v.Kind, v.Class, v.Text = "Cluster", quiet, fmt.Sprintf("The instance %s has joined", e.Instance)
	case status.EventInstanceGone:
		v.Kind, v.Class, v.Text = "Cluster", waiting, fmt.Sprintf("The instance %s is gone", e.Instance)
	case status.EventZoneTakenOver:
		v.Kind, v.Class = "Cluster", quiet
		v.Text = fmt.Sprintf("%s is written by %s now", strings.TrimSuffix(e.Zone, "."), e.Instance)
	default:
		v.Kind, v.Class, v.Text = "Event", quiet, strings.ReplaceAll(string(e.Name), "_", " ")
	}
	return v
}

// changed sums the changes up.
func changed(e *status.Event) string {
	n := len(e.Changes) + e.More
	text := fmt.Sprintf("%s of %s changed", plural(n, "record"), e.Zone)
	if e.Client != "" {
		text += ", as the client " + e.Client + " asked"
	}
	return text
}

// arrow says what became of addresses.
func arrow(from, to status.Addresses) string {
	switch {
	case from.String() == to.String():
		return to.String() + " (TTL)"
	case len(from) == 0:
		return to.String() + " (new)"
	case len(to) == 0:
		return from.String() + " (removed)"
	}
	return from.String() + " → " + to.String()
}
