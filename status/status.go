// Package status holds what the admin endpoint of the dynamic_dns app answers,
// as JSON and as text. It is for clients of the endpoint as well.
package status

import (
	"encoding/json"
	"fmt"
	"io"
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
	// while no address at all is known.
	InSync *bool `json:"in_sync"`
	// Why that cannot be told, if it is because of an address that the last
	// check did not find, or of a name whose zone is not known yet.
	Reason string `json:"reason,omitempty"`
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
	// The instances that share names, if this one does.
	Cluster *ClusterStatus `json:"cluster,omitempty"`
	// The zones, in the same order.
	Zones []ZoneStatus `json:"zones"`
	// The users of the dynamic DNS server, where there is one. The zones that
	// their hosts are in are listed above, too.
	Clients []ClientStatus `json:"clients,omitempty"`
	// What happened last, the newest first. It is kept in Caddy's storage.
	Timeline []Event `json:"timeline,omitempty"`
}

// FamilyPrefix is the family of the prefix that devices are in.
const FamilyPrefix = "ipv6_prefix"

// GroupStatus is what is known of the addresses of a group of domains.
type GroupStatus struct {
	// `default`, or the place in the configuration, such as `providers[0]`.
	Name string `json:"name"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// The address families that are published.
	Families []FamilyStatus `json:"families"`
	// Names in full, of `hosts` or of the sites, that are not managed, because
	// no zone of the provider is known that they are in.
	WithoutZone []NameStatus `json:"without_zone,omitempty"`
}

// FamilyStatus is what is known of the addresses of one family.
type FamilyStatus struct {
	// `ipv4`, `ipv6`, or `ipv6_prefix` for the prefix that the group's devices
	// are in.
	Family string `json:"family"`
	// The addresses. None means that they are unknown. A prefix has none.
	Addresses Addresses `json:"addresses"`
	// The prefix, or several, of `ipv6_prefix`. None means that it is unknown.
	Prefixes []string `json:"prefixes,omitempty"`
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
	// Whether the family was known, and three checks in a row or more have not
	// found it.
	Lost bool `json:"lost,omitempty"`
	// Since when checks have found it.
	FoundSince time.Time `json:"found_since,omitzero"`
	// Since when checks have not found it; if none ever has, since the first
	// one.
	MissingSince time.Time `json:"missing_since,omitzero"`
	// The last check that found none.
	LastFailure *Failure `json:"last_failure,omitempty"`
}

// Unchecked reports whether a check was asked for and not done in time. The
// status may then be as old as the check before.
func (s *Status) Unchecked() bool { return s.CheckDone != nil && !*s.CheckDone }

// Progress says how far a check has come that began at a time.
func (s *Status) Progress(began time.Time) string {
	asked, read := false, 0
	for _, g := range s.Groups {
		for _, f := range g.Families {
			asked = asked || !f.LastCheck.Before(began)
		}
	}
	for _, z := range s.Zones {
		if !z.LastVerified.Before(began) {
			read++
		}
	}
	if len(s.Groups) > 0 && !asked && read == 0 {
		return "asking the IP sources"
	}
	return fmt.Sprintf("reading zones, %d of %d done", read, len(s.Zones))
}

// Missing returns the families that the last check did not find and that were
// known; or the first family, if none is known and it was looked for.
func (g *GroupStatus) Missing() (missing []*FamilyStatus) {
	known := false
	for i := range g.Families {
		f := &g.Families[i]
		known = known || f.known()
		if f.Failing && f.known() {
			missing = append(missing, f)
		}
	}
	if !known && len(g.Families) > 0 && !g.Families[0].MissingSince.IsZero() {
		missing = append(missing, &g.Families[0])
	}
	return missing
}

// Lacking returns the names that should be managed and whose zone is not known,
// the failing ones first.
func (g *GroupStatus) Lacking() (lacking []NameStatus) {
	for _, state := range []State{StateFailing, StatePending} {
		for _, h := range g.WithoutZone {
			if h.State == state {
				lacking = append(lacking, h)
			}
		}
	}
	return lacking
}

// known reports whether there is anything to publish.
func (f *FamilyStatus) known() bool { return len(f.Addresses)+len(f.Prefixes) > 0 }

// Doubt says why nobody can tell whether what is published is right.
func (f *FamilyStatus) Doubt(now time.Time) string {
	switch {
	case !f.known() && f.Family == FamilyPrefix:
		return "no IPv6 prefix has been found since the start"
	case !f.known():
		return "no address has been found since the start"
	case f.Lost:
		return "no " + familyNames[f.Family] + " has been found for " + short(now.Sub(f.MissingSince))
	}
	return "the last check found no " + familyNames[f.Family]
}

var familyNames = map[string]string{"ipv4": "IPv4 address", "ipv6": "IPv6 address", FamilyPrefix: "IPv6 prefix"}

// Encode writes what the admin endpoint answers, as it does.
func Encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(v)
}
