package reconcile

import (
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Event is something that happened.
type Event interface{ event() }

type (
	// Claim gives RRsets to a holder, with what it desires of them. All others
	// that it has are given up. It comes with what the holder's provider can
	// do and how often it is to be read.
	Claim struct {
		Holder      Holder
		Desired     map[plan.Key]*plan.Desired
		Abilities   Abilities
		VerifyEvery time.Duration
	}
	// Desire changes what is desired of an RRset. One that is new is taken in.
	Desire struct {
		Holder  Holder
		Key     plan.Key
		Desired *plan.Desired
	}
	// Release gives up all that a holder has.
	Release struct{ Holder Holder }
	// Verify asks for the zone to be read now.
	Verify struct{}
	// Estrange says that somebody else has kept the zone for a while, so that
	// what is known of it is no evidence any more.
	Estrange struct{}
	// Read is what a read returned. Where the provider cannot be read it is
	// what it last accepted.
	Read struct {
		Observed plan.Observed
		Err      error
	}
	// Wrote is what a write returned.
	Wrote struct{ Err error }
	// Abandoned says that a call is no longer waited for. It may be a read
	// that the machine did not begin.
	Abandoned struct{ Err error }
	// Returned says that a call that was abandoned has returned.
	Returned struct{ Do Do }
)

func (Claim) event()     {}
func (Desire) event()    {}
func (Release) event()   {}
func (Verify) event()    {}
func (Estrange) event()  {}
func (Read) event()      {}
func (Wrote) event()     {}
func (Abandoned) event() {}
func (Returned) event()  {}
