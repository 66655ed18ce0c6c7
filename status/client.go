package status

import "time"

// ClientStatus is what is known of a user of the dynamic DNS server.
type ClientStatus struct {
	// The user's name.
	Name string `json:"name"`
	// When the user's last update came, since Caddy was started.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// The address that it came from.
	Address string `json:"address,omitempty"`
	// The family of the client, such as `ddclient`, or `other`.
	Agent string `json:"agent,omitempty"`
	// The word that it was answered with, such as `good`.
	Result string `json:"result,omitempty"`
	// The hosts of which the user's update was the last.
	Hosts []HostStatus `json:"hosts,omitempty"`
}

// HostStatus is what is on record of a host.
type HostStatus struct {
	// The full name.
	Name string `json:"name"`
	// The addresses that clients have sent for it. None means that they were
	// taken away.
	Addresses Addresses `json:"addresses"`
	// When they were last changed.
	Updated time.Time `json:"updated"`
	// How its records are doing.
	State State `json:"state"`
	// Why it is not managed, if no zone is known that it is in.
	Reason string `json:"reason,omitempty"`
}
