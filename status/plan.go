package status

import (
	"slices"
	"time"
)

// Plan is what `GET /dynamic_dns/plan` answers: what would be written if
// all records were made as desired now.
type Plan struct {
	// When the plan was made.
	Time time.Time `json:"time"`
	// The groups of domains with their addresses, in the order of the
	// configuration.
	Groups []GroupStatus `json:"groups"`
	// The zones, in the order of the configuration.
	Zones []ZonePlan `json:"zones"`
}

// ZonePlan is what would happen to a zone at a DNS provider.
type ZonePlan struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// Why there is no telling.
	Error string `json:"error,omitempty"`
	// The records that would be written.
	Changes []Change `json:"changes"`
	// The records that differ from what is desired and would be left alone.
	LeftAlone []LeftAlone `json:"left_alone"`
}

// Change is the change of all addresses of one name and family.
type Change struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type string `json:"type"`
	// Why it changes.
	Reason string `json:"reason"`
	// The addresses before.
	From Addresses `json:"from"`
	// The addresses after.
	To Addresses `json:"to"`
	// The TTL after, in seconds.
	TTL float64 `json:"ttl"`
	// The IP source that gave the addresses.
	Source string `json:"source"`
}

// LeftAlone is a record that differs from what is desired and stays so.
type LeftAlone struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type string `json:"type"`
	// Why it is left alone.
	Reason string `json:"reason"`
	// Whether something is in the way, rather than that the configuration
	// asks for the restraint.
	Blocked bool `json:"blocked"`
}

// Blocked reports whether something is in the way of a record.
func (p *ZonePlan) Blocked() bool {
	return slices.ContainsFunc(p.LeftAlone, func(l LeftAlone) bool { return l.Blocked })
}
