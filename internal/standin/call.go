package standin

import (
	"math"
	"slices"
	"time"

	"github.com/libdns/libdns"
)

// The names of the methods, in calls and changes.
const (
	Get    = "GetRecords"
	Set    = "SetRecords"
	Append = "AppendRecords"
	Delete = "DeleteRecords"
	List   = "ListZones"
)

// Call is a call of one of the provider's methods.
type Call struct {
	Method string
	// As it was given.
	Zone string
	// The records of the input.
	Records []libdns.RR
	// The call's number among those of this method, from 1, over all zones.
	N int
	// When it began, and when it returned: zero while it has not.
	Began, Ended time.Time
	// What it returned. A call that panicked has none.
	Err error
}

// Fault is what goes wrong in a call. The zero value is nothing.
type Fault struct {
	// Runs at first. It may panic, and it may block whatever the context says;
	// when it returns the call goes on, without regard to its context.
	Do func()
	// What the call returns.
	Err error
	// How many of the call's API calls take effect before the error. It
	// counts records; with [Everything] only the answer is lost.
	After int
	// The call succeeds and has no effect.
	Lost bool
}

// Everything is the Fault.After of a call whose answer alone is lost.
const Everything = math.MaxInt

// OnCall makes a function for [Zones.Fail] by which the fault befalls the
// numbered calls of a method.
func OnCall(method string, fault Fault, numbers ...int) func(Call) Fault {
	return func(c Call) Fault {
		if c.Method == method && slices.Contains(numbers, c.N) {
			return fault
		}
		return Fault{}
	}
}

// Change is a change of a zone that took effect at once.
type Change struct {
	At   time.Time
	Zone string
	// The method of the call that made it; empty if it was made by hand.
	Method string
	// An update in place removes one record and adds another.
	Removed, Added []libdns.RR
}

// Overlap is a write that began while another of the same zone had not ended.
type Overlap struct {
	Zone    string
	At      time.Time
	Methods [2]string
}
