// Package status holds what the admin endpoint of the dynamic_dns app answers,
// as JSON and as text. It is for clients of the endpoint as well.
package status

import (
	"time"
)

// Status is what `GET /dynamic_dns/status` and `POST /dynamic_dns/check`
// answer. Times are in UTC, and left out if there is none. Durations are in
// seconds.
type Status struct {
	// When the status was taken.
	Time time.Time `json:"time"`
	// Whether all records are as desired. Null means that this cannot be told,
	// as while the last check did not find an address that is published, or
	// while no address is known of a family that has records.
	InSync *bool `json:"in_sync"`
	// Whether the check was done in time; only in the answer to a check.
	CheckDone *bool `json:"check_done,omitempty"`
	// When the IP sources are asked again.
	NextCheck time.Time `json:"next_check,omitzero"`
	// The setting `check_interval`.
	CheckInterval float64 `json:"check_interval"`
	// The setting `verify_interval`.
	VerifyInterval float64 `json:"verify_interval"`
	// The groups of domains, in the order of the configuration.
	Groups []GroupStatus `json:"groups"`
	// The zones, in the same order.
	Zones []ZoneStatus `json:"zones"`
}

// GroupStatus is what is known of the addresses of a group of domains.
type GroupStatus struct {
	// `default`, or the place in the configuration, such as `providers[0]`.
	Name string `json:"name"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// The address families that are published.
	Families []FamilyStatus `json:"families"`
}

// FamilyStatus is what is known of the addresses of one family.
type FamilyStatus struct {
	// `ipv4` or `ipv6`.
	Family string `json:"family"`
	// The addresses. None means that they are unknown.
	Addresses Addresses `json:"addresses"`
	// The IP source that gave them.
	Source string `json:"source,omitempty"`
	// Who vouches for them, where the source knows.
	ConfirmedBy []string `json:"confirmed_by,omitempty"`
	// When the IP sources were last asked.
	LastCheck time.Time `json:"last_check,omitzero"`
	// Since when they are these.
	Since time.Time `json:"since,omitzero"`
	// Whether the last check found none.
	Failing bool `json:"failing"`
	// The last check that found none.
	LastFailure *Failure `json:"last_failure,omitempty"`
}

// Unchecked reports whether a check was asked for and not done in time. The
// status may then be as old as the check before.
func (s *Status) Unchecked() bool { return s.CheckDone != nil && !*s.CheckDone }
