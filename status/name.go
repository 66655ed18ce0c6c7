package status

// NameStatus is a name in full that is not managed, because no zone of the
// provider is known that it is in.
type NameStatus struct {
	// The name, without a trailing dot.
	Name string `json:"name"`
	// `pending` while its zone is looked for, `failing` if none was found, and
	// `left_alone` for the host of a site that is in no zone of the provider.
	State State `json:"state"`
	// Why no zone is known.
	Reason string `json:"reason,omitempty"`
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
