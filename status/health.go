package status

import "time"

// Health is what `GET /dynamic_dns/health` answers.
type Health struct {
	// Whether every zone is in sync, or was within twice the verify interval.
	Healthy bool `json:"healthy"`
	// The zones that are not.
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason says why a zone makes the app unhealthy.
type HealthReason struct {
	// The name, without a trailing dot.
	Zone string `json:"zone"`
	// The name of the DNS provider module.
	Provider string `json:"provider"`
	// The state of the zone.
	State State `json:"state"`
	// When all records were last observed as desired.
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	// Why the zone is in this state.
	Reason string `json:"reason"`
}

// Health judges the zones.
func (s *Status) Health() Health {
	h := Health{Healthy: true, Reasons: []HealthReason{}}
	for _, z := range s.Zones {
		grace := time.Duration(2 * s.VerifyInterval * float64(time.Second))
		inSync := z.InSync != nil && *z.InSync
		if inSync || !z.LastInSync.IsZero() && s.Time.Sub(z.LastInSync) <= grace {
			continue
		}
		h.Healthy = false
		h.Reasons = append(h.Reasons, HealthReason{
			Zone: z.Zone, Provider: z.Provider, State: z.State, LastInSync: z.LastInSync, Reason: z.Reason(),
		})
	}
	return h
}
