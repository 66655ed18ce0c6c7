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
