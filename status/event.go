package status

import "time"

// Event is something that happened, as Caddy's event handlers are told of it.
// Fields that its kind has no use for are left out.
type Event struct {
	// When it happened.
	Time time.Time `json:"time"`
	// What happened.
	Name EventName `json:"name"`
	// `ipv4` or `ipv6`.
	Family string `json:"family,omitempty"`
	// The addresses before, or those that were lost.
	From Addresses `json:"from,omitempty"`
	// The addresses after.
	To Addresses `json:"to,omitempty"`
	// The IP source that gave them.
	Source string `json:"source,omitempty"`
	// The name of the zone, without a trailing dot.
	Zone string `json:"zone,omitempty"`
	// The name of the DNS provider module.
	Provider string `json:"provider,omitempty"`
	// The user of the dynamic DNS server who sent the addresses.
	Client string `json:"client,omitempty"`
	// The records that changed, or the first of many.
	Changes []Change `json:"changes,omitempty"`
	// How many more changed.
	More int `json:"more,omitempty"`
	// The instance that joined, is gone, or has taken over.
	Instance string `json:"instance,omitempty"`
	// What went wrong.
	Error string `json:"error,omitempty"`
	// How long it had gone wrong, in seconds.
	After float64 `json:"after,omitempty"`
}

// EventName says what happened.
type EventName string

// The events that the timeline has.
const (
	// Caddy was started. Nothing is known of the time before.
	EventStarted EventName = "started"
	// This machine has other addresses.
	EventAddressChanged EventName = "address_changed"
	// An address family has not been found for several checks.
	EventAddressLost EventName = "address_lost"
	// It has been found again.
	EventAddressFound EventName = "address_found"
	// Records were changed, and seen at the provider.
	EventRecordsChanged EventName = "records_changed"
	// A zone began to fail.
	EventUpdateFailed EventName = "update_failed"
	// It works again.
	EventRecovered EventName = "recovered"
	// Another instance has joined those that share names.
	EventInstanceJoined EventName = "instance_joined"
	// It gives no sign of life any more, or has left.
	EventInstanceGone EventName = "instance_gone"
	// A zone is written by another instance than before.
	EventZoneTakenOver EventName = "zone_taken_over"
)
