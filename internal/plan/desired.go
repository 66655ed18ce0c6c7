// Package plan decides which RRsets must change for a zone to be as desired.
// It is pure: it knows no network, no clock and no provider.
package plan

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Key identifies an address RRset within a zone.
type Key struct {
	// Name is relative to the zone, in canonical form.
	Name   string
	Family ipaddr.Family
}

func (k Key) String() string { return k.Name + " " + k.Family.RRType() }

// Compare orders keys by name, then by family.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Name, other.Name), cmp.Compare(k.Family, other.Family))
}

// State says how much is known of what an RRset should hold.
type State uint8

const (
	// Unknown means that the RRset is left alone.
	Unknown State = iota
	// None means that what we published is taken away.
	None
	// Set means that the RRset should hold just the addresses.
	Set
)

// Class says whose addresses an RRset holds, which decides how often it may
// change.
type Class uint8

const (
	// Own are the addresses of this machine.
	Own Class = iota
	// Client are addresses that others have sent.
	Client
)

// Desired is what an RRset should hold. It is never changed once it is in
// use, so that many RRsets can share one.
type Desired struct {
	State State
	// Addrs are sorted. With Set they are what the RRset should hold, at
	// least one; with None what is to be taken away from it.
	Addrs []netip.Addr
	// TTL is what the records should have. 0 leaves it as it is.
	TTL time.Duration
	// UpdateOnly keeps an RRset that does not exist from being created.
	UpdateOnly bool
	// Withdraw has what is published be kept in mind, so that it can be taken
	// away once nobody desires it any more. With None it is for that: the RRset
	// is given up once it is done.
	Withdraw bool
	// Source is the IP source of the addresses.
	Source string
	Class  Class
}

// RRset is an address RRset as a provider shows it.
type RRset struct {
	// Addrs are sorted, each once.
	Addrs []netip.Addr
	TTL   time.Duration
	// Twice is set where several records have the same address.
	Twice bool
}

// Observed is what a provider showed of the names that something is desired
// of.
type Observed struct {
	Sets map[Key]RRset
	Obstacles
}
