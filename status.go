package dynamicdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// State says how a zone or a record is doing.
type State string

// The states. That of a zone is the worst of its records, where in this list
// each is worse than the one before.
const (
	// What the provider last showed is as wished.
	StateInSync State = "in_sync"
	// The record is not as the addresses are, and the configuration asks to
	// leave it so, or no address is known of its family.
	StateLeftAlone State = "left_alone"
	// The provider accepted what is wished and does not show it yet.
	StateUnverified State = "unverified"
	// The record is about to be read or written, or no address is known yet.
	StatePending State = "pending"
	// A CNAME record is in the way.
	StateBlocked State = "blocked"
	// Reading or writing failed, and is tried again.
	StateFailing State = "failing"
)

var statesByBadness = []State{StateInSync, StateLeftAlone, StateUnverified, StatePending, StateBlocked, StateFailing}

// Status is what `GET /dynamic_dns/status` and `POST /dynamic_dns/check`
// answer. Times are in UTC and left out where there is none; durations are in
// seconds.
type Status struct {
	// When this was so.
	Time time.Time `json:"time"`
	// Whether all records are as wished: true, false, or null where that
	// cannot be told. That is also so while the last check did not find an
	// address that is published, and while no address is known of a family
	// of which there are records.
	InSync *bool `json:"in_sync"`
	// Whether the check was done in time; only in the answer to a check.
	CheckDone *bool `json:"check_done,omitempty"`
	// When the IP sources are asked again.
	NextCheck time.Time `json:"next_check,omitzero"`
	// The settings `check_interval` and `verify_interval`.
	CheckInterval  float64 `json:"check_interval"`
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
	Addresses []netip.Addr `json:"addresses"`
	// The IP source that gave them, and who vouches for them, where the
	// source can tell.
	Source      string   `json:"source,omitempty"`
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

// Failure is something that went wrong.
type Failure struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// ZoneStatus is what is known of a zone at a DNS provider.
type ZoneStatus struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	State    State  `json:"state"`
	// Whether the zone's records are as wished: true, false, or null where
	// that cannot be told.
	InSync *bool `json:"in_sync"`
	// Whether the provider can be read. If not, what it last accepted is
	// taken for what it holds.
	Readable bool `json:"readable"`
	// When the records were last read.
	LastVerified time.Time `json:"last_verified,omitzero"`
	// When all records were last seen to be as wished.
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	// When the zone is read or written next, unless an address changes before.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// Failures in a row, and since when.
	Failures     int       `json:"failures"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	// The last failure.
	LastFailure *Failure `json:"last_failure,omitempty"`
	// The managed records.
	Records []RecordStatus `json:"records"`
}

// RecordStatus is what is known of the addresses of one name and family.
type RecordStatus struct {
	// The name, relative to the zone; "@" is the zone itself.
	Name string `json:"name"`
	// `A` or `AAAA`.
	Type  string `json:"type"`
	State State  `json:"state"`
	// Why the state is not `in_sync`.
	Reason string `json:"reason,omitempty"`
	// The addresses that should be there and those that were last seen.
	Wished   []netip.Addr `json:"wished"`
	Observed []netip.Addr `json:"observed"`
	// The TTL that was last seen.
	TTL float64 `json:"ttl,omitempty"`
	// When it was last changed by us.
	LastChanged time.Time `json:"last_changed,omitzero"`

	inSync *bool
}

// Health is what `GET /dynamic_dns/health` answers.
type Health struct {
	// Whether every zone is in sync, or was within twice the verify interval.
	Healthy bool `json:"healthy"`
	// The zones that are not.
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason says why a zone makes the app unhealthy.
type HealthReason struct {
	Zone       string    `json:"zone"`
	Provider   string    `json:"provider"`
	State      State     `json:"state"`
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	Reason     string    `json:"reason"`
}

// unchecked reports whether a check was asked for and not done in time, so
// that the status may be as old as the check before.
func (s *Status) unchecked() bool { return s.CheckDone != nil && !*s.CheckDone }

// health judges the zones.
func (s *Status) health() Health {
	h := Health{Healthy: true, Reasons: []HealthReason{}}
	for _, z := range s.Zones {
		grace := time.Duration(2 * s.VerifyInterval * float64(time.Second))
		if isTrue(z.InSync) || !z.LastInSync.IsZero() && s.Time.Sub(z.LastInSync) <= grace {
			continue
		}
		h.Healthy = false
		h.Reasons = append(h.Reasons, HealthReason{
			Zone: z.Zone, Provider: z.Provider, State: z.State, LastInSync: z.LastInSync, Reason: z.reason(),
		})
	}
	return h
}

// reason says why the zone is in its state.
func (z *ZoneStatus) reason() string {
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

// status is how the app is doing.
func (a *App) status(now time.Time) *Status {
	s := &Status{
		Time:           stamp(now),
		NextCheck:      stamp(a.schedule.Next()),
		CheckInterval:  time.Duration(a.CheckInterval).Seconds(),
		VerifyInterval: time.Duration(a.VerifyInterval).Seconds(),
		Groups:         []GroupStatus{},
		Zones:          []ZoneStatus{},
		InSync:         new(true),
	}
	for _, g := range a.groups {
		gs := g.status()
		for _, f := range gs.Families {
			if f.Failing && len(f.Addresses) > 0 {
				s.InSync = nil
			}
		}
		s.Groups = append(s.Groups, gs)
	}
	for _, managed := range a.zones {
		z := managed.status(now)
		s.InSync = bothInSync(s.InSync, z.InSync)
		s.Zones = append(s.Zones, z)
	}
	return s
}

func (g *group) status() GroupStatus {
	s := GroupStatus{Name: g.name(), Provider: g.provider.Name}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !g.enabled(f) {
			continue
		}
		k := g.detector.Known.Family(f)
		fs := FamilyStatus{
			Family:      f.String(),
			Addresses:   append([]netip.Addr{}, k.Addrs...),
			Source:      k.Source,
			LastCheck:   stamp(k.Checked),
			ConfirmedBy: k.ConfirmedBy,
			Since:       stamp(k.Since),
			Failing:     k.Failing,
		}
		if !k.FailedAt.IsZero() {
			fs.LastFailure = &Failure{stamp(k.FailedAt), k.Failure}
		}
		s.Families = append(s.Families, fs)
	}
	return s
}

// name is how the group is called in status and metrics.
func (g *group) name() string {
	if g.where == "" {
		return "default"
	}
	return g.where
}

// bothInSync is true if both are, false if one is known not to be, and
// otherwise nil for unknown.
func bothInSync(a, b *bool) *bool {
	switch {
	case a != nil && !*a, b != nil && !*b:
		return new(false)
	case a == nil || b == nil:
		return nil
	}
	return new(true)
}

func isTrue(b *bool) bool { return b != nil && *b }

func worse(a, b State) State {
	if slices.Index(statesByBadness, b) > slices.Index(statesByBadness, a) {
		return b
	}
	return a
}

// oneLine joins the lines of joined errors.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// stamp is how times are shown.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
