package status

import "time"

const (
	// lostTooLong is how long a family that was known may be lost.
	lostTooLong = 15 * time.Minute
	// neverTooLong is how long it may take to find any address at all.
	neverTooLong = 5 * time.Minute
)

// Health is what `GET /dynamic_dns/health` answers.
type Health struct {
	// Whether every zone is in sync, or was within twice the verify interval,
	// the zones of all names are known, and the addresses are known: some address was found within 5 minutes of
	// the start, and none of a family that was known has been lost for 15
	// minutes. One of several instances that is cut off from the others is not.
	Healthy bool `json:"healthy"`
	// Why it is not.
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason says why a zone, or an address that is not found, makes the app
// unhealthy.
type HealthReason struct {
	// The name of the zone, without a trailing dot.
	Zone string `json:"zone,omitempty"`
	// The name of the DNS provider module.
	Provider string `json:"provider,omitempty"`
	// The state of the zone, or of a name whose zone is not known.
	State State `json:"state,omitempty"`
	// When all records of the zone were last observed as desired.
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	// The group of domains that misses its addresses.
	Group string `json:"group,omitempty"`
	// The family that is missed. None means that no family is known.
	Family string `json:"family,omitempty"`
	// Since when it has not been found.
	MissingSince time.Time `json:"missing_since,omitzero"`
	// What is the matter.
	Reason string `json:"reason"`
}

// Health judges the addresses and the zones.
func (s *Status) Health() Health {
	h := Health{Reasons: []HealthReason{}}
	for _, g := range s.Groups {
		h.Reasons = append(h.Reasons, g.unhealthy(s.Time)...)
		h.Reasons = append(h.Reasons, g.unhealthyNames()...)
	}
	for _, c := range s.Clients {
		for _, host := range c.Hosts {
			if host.Reason != "" {
				h.Reasons = append(h.Reasons, HealthReason{State: host.State, Reason: host.Name + ": " + host.Reason})
			}
		}
	}
	if s.Cluster != nil && s.Cluster.CutOff != "" {
		h.Reasons = append(h.Reasons, HealthReason{Reason: "this instance writes nothing: " + s.Cluster.CutOff})
	}
	for _, z := range s.Zones {
		grace := time.Duration(2 * s.VerifyInterval * float64(time.Second))
		inSync := z.InSync != nil && *z.InSync
		if inSync || !z.LastInSync.IsZero() && s.Time.Sub(z.LastInSync) <= grace {
			continue
		}
		h.Reasons = append(h.Reasons, HealthReason{
			Zone: z.Zone, Provider: z.Provider, State: z.State, LastInSync: z.LastInSync, Reason: z.Reason(),
		})
	}
	h.Healthy = len(h.Reasons) == 0
	return h
}

// unhealthy says which addresses of the group have not been found for too long.
// A family that was never found is missed only where no other one is known.
func (g *GroupStatus) unhealthy(now time.Time) (reasons []HealthReason) {
	for _, f := range g.Missing() {
		missing := now.Sub(f.MissingSince)
		if !(f.Lost && missing >= lostTooLong) && (f.known() || missing < neverTooLong) {
			continue
		}
		r := HealthReason{Group: g.Name, MissingSince: f.MissingSince, Reason: f.Doubt(now)}
		if f.known() {
			r.Family = f.Family
		}
		if f.LastFailure != nil {
			r.Reason += ": " + f.LastFailure.Error
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// unhealthyNames says of the names whose zone is not known that they are not well.
func (g *GroupStatus) unhealthyNames() (reasons []HealthReason) {
	for _, h := range g.Lacking() {
		reason := h.Name + ": its zone is not known yet"
		if h.Reason != "" {
			reason = h.Name + ": " + h.Reason
		}
		reasons = append(reasons, HealthReason{Group: g.Name, Provider: g.Provider, State: h.State, Reason: reason})
	}
	return reasons
}
