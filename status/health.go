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
	Zone       string    `json:"zone"`
	Provider   string    `json:"provider"`
	State      State     `json:"state"`
	LastInSync time.Time `json:"last_in_sync,omitzero"`
	Reason     string    `json:"reason"`
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
