package status

import (
	"slices"
	"time"
)

// State says how a zone or a record is doing.
type State string

// The states, each worse than the one before. A zone has that of its worst
// record.
const (
	// The record was last observed as desired.
	StateInSync State = "in_sync"
	// The record differs, and stays so: the configuration asks for that, or no
	// address is known of its family.
	StateLeftAlone State = "left_alone"
	// The provider accepted what is desired and does not show it yet.
	StateUnverified State = "unverified"
	// The record is about to be read or written, or no address is known yet.
	StatePending State = "pending"
	// Something is in the way, such as a CNAME record.
	StateBlocked State = "blocked"
	// Reading or writing failed, and is tried again.
	StateFailing State = "failing"
)

var statesByBadness = []State{StateInSync, StateLeftAlone, StateUnverified, StatePending, StateBlocked, StateFailing}

// Failure is something that went wrong.
type Failure struct {
	// When it happened.
	Time time.Time `json:"time"`
	// What went wrong, in one line and without secrets.
	Error string `json:"error"`
}

// Worse returns the worse of two states.
func Worse(a, b State) State {
	if slices.Index(statesByBadness, b) > slices.Index(statesByBadness, a) {
		return b
	}
	return a
}

// BothInSync merges two values of in_sync: true if both are, false if one is
// known not to be, and otherwise nil, which means unknown.
func BothInSync(a, b *bool) *bool {
	switch {
	case a != nil && !*a, b != nil && !*b:
		return new(false)
	case a == nil || b == nil:
		return nil
	}
	return new(true)
}
