package reconcile

import (
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Report is something that is worth telling.
type Report interface{ report() }

type (
	// Confirmed says that an RRset is as desired. One that is to be left alone
	// always is.
	Confirmed struct {
		Key     plan.Key
		Desired *plan.Desired
		// Changed means that we have changed the addresses, Drifted that we
		// have undone what others had changed, OnlyTTL that we have changed
		// the TTL alone, and OtherTTL that the provider made another of ours.
		Changed, Drifted, OnlyTTL, OtherTTL bool
		// Ours means that we have changed the RRset at some time.
		Ours bool
		// Late means that it was told before that the change does not show.
		Late     bool
		From, To []netip.Addr
		TTL      time.Duration
	}
	// Withdrawn says that nothing of ours is left in an RRset that was to be
	// given up, and that it is.
	Withdrawn struct{ Key plan.Key }
	// Failed says that an RRset could not be made as desired. It is tried
	// again.
	Failed struct {
		Key plan.Key
		Err error
	}
	// LeftAlone says that an RRset is not to be written. New means that it
	// has not been told before.
	LeftAlone struct {
		plan.LeftAlone
		New bool
	}
	// Superseded says that what a holder desires of an RRset does not count,
	// for a newer one holds it.
	Superseded struct {
		Key    plan.Key
		Holder Holder
	}
	// Waiting says that writes were accepted that do not show yet.
	Waiting struct {
		Keys []plan.Key
		In   time.Duration
	}
	// Failing says that an attempt has failed, and when the next one is.
	Failing struct {
		Err error
		// Keys are the RRsets that could not be written. There are none where
		// the zone could not be read.
		Keys []plan.Key
		// Attempt counts failures in a row, since Since.
		Attempt int
		Since   time.Time
		Pause   time.Duration
	}
	// Recovered says that an attempt has gone well after others have failed.
	Recovered struct{ After time.Duration }
	// Verified says that the attempt that was asked for is over.
	Verified struct{}
)

func (Confirmed) report()  {}
func (Withdrawn) report()  {}
func (Failed) report()     {}
func (LeftAlone) report()  {}
func (Superseded) report() {}
func (Waiting) report()    {}
func (Failing) report()    {}
func (Recovered) report()  {}
func (Verified) report()   {}
