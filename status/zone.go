package status

import (
	"fmt"
	"time"
)

// ZoneStatus is what is known of a zone at a DNS provider.
type ZoneStatus struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// The instance that writes it, where several share it.
	Writer string `json:"writer,omitempty"`
	// The state of the worst of its records.
	State State `json:"state"`
	// Whether all its records are as desired. Null means that this cannot be
	// told.
	InSync *bool `json:"in_sync"`
	// Whether the provider can be read. If not, `observed` is what it last
	// accepted.
	Readable bool `json:"readable"`
	// When the records were last read.
	LastVerified time.Time `json:"last_verified,omitzero"`
	// When all records were last observed as desired.
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	// When the zone is read or written next, unless an address changes before.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// Failures in a row.
	Failures int `json:"failures"`
	// When the first of them was.
	FailingSince time.Time `json:"failing_since,omitzero"`
	// The last failure.
	LastFailure *Failure `json:"last_failure,omitempty"`
	// What else is to be known of it, such as that nobody may serve it. Empty
	// if nothing is.
	Note string `json:"note,omitempty"`
	// The managed records.
	Records []RecordStatus `json:"records"`
}

// RecordStatus is what is known of the addresses of one name and family.
type RecordStatus struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type string `json:"type"`
	// The host IDs, if this is another machine of `devices`.
	HostIDs []string `json:"host_ids,omitempty"`
	// How it is doing.
	State State `json:"state"`
	// Why the state is not `in_sync`.
	Reason string `json:"reason,omitempty"`
	// The addresses that should be there.
	Desired Addresses `json:"desired"`
	// The addresses that were last observed.
	Observed Addresses `json:"observed"`
	// The addresses that the provider has accepted since, and does not show
	// yet.
	Accepted Addresses `json:"accepted,omitempty"`
	// The TTL that was last observed, in seconds.
	TTL float64 `json:"ttl,omitempty"`
	// When this app last changed it.
	LastChanged time.Time `json:"last_changed,omitzero"`

	// Whether it is as desired. Nil means that this cannot be told. It is not
	// part of the JSON; see BothInSync for the zone's.
	InSync *bool `json:"-"`
}

// Join adds what is known of the zone's other records, which somebody else
// manages.
func (z *ZoneStatus) Join(other ZoneStatus) {
	z.Records = append(z.Records, other.Records...)
	z.State, z.InSync = Worse(z.State, other.State), BothInSync(z.InSync, other.InSync)
	if other.LastInSync.Before(z.LastInSync) {
		z.LastInSync = other.LastInSync
	}
	if other.Failures > z.Failures {
		z.Failures, z.FailingSince, z.LastFailure = other.Failures, other.FailingSince, other.LastFailure
	}
}

// Reason says why the zone is in its state.
func (z *ZoneStatus) Reason() string {
	for _, r := range z.Records {
		if r.State == z.State {
			return fmt.Sprintf("%s %s: %s", r.Name, r.Type, r.Reason)
		}
	}
	if z.LastFailure != nil {
		return z.LastFailure.Error
	}
	return string(z.State)
}
