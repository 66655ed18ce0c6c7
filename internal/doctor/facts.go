// Package doctor judges why dynamic DNS does not work, from facts that others
// have found out, and says what to change. It is pure.
package doctor

import (
	"net/netip"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Facts are what was found out.
type Facts struct {
	Now time.Time
	// Admin is the admin endpoint that was asked for a running Caddy, Running
	// what that answered, if it did, and Silence why it did not, if that is not
	// plain.
	Admin   string
	Running *status.Status
	Silence string
	// Refused is why the configuration cannot be loaded. Nothing more is known
	// then.
	Refused string
	// Variable is an environment variable of the running Caddy's configuration
	// that has no value here.
	Variable string
	Paths    [ipaddr.Families]Path
	// Routers are what the default gateway says of its address.
	Routers []Answer
	Groups  []Group
	Zones   []Zone
	// Homeless are the names of which no zone is known.
	Homeless []Homeless
	// Unread is why what clients have told is not known, if it is not.
	Unread string
	Ports  []Port
}

// RunningDesired is what the running Caddy wants an RRset to hold.
func (f *Facts) RunningDesired(z *Zone, r *Record) []netip.Addr {
	for _, record := range f.running(z).Records {
		if record.Name == r.Name && record.Type == r.Family.RRType() && len(record.Desired) > 0 {
			return record.Desired
		}
	}
	return nil
}

// running is what the running Caddy says of the zone.
func (f *Facts) running(z *Zone) (s status.ZoneStatus) {
	if f.Running != nil {
		for _, zone := range f.Running.Zones {
			if zone.Zone == z.Name && zone.Provider == z.Provider {
				return zone
			}
		}
	}
	return s
}

// Path is how this machine reaches the internet.
type Path struct {
	// Interface is that of the default route, "" if there is none.
	Interface string
	Gateway   netip.Addr
	// Local is the address that the machine has towards the internet.
	Local netip.Addr
	// Addrs are those of the interface.
	Addrs []Addr
	Err   string
}

// Addr is an address, and why it may not be published.
type Addr struct {
	netip.Addr
	Refused string
}

// Kind says how a source knows an address.
type Kind uint8

const (
	// Own is what this machine or a person knows.
	Own Kind = iota
	// Router is what the router says.
	Router
	// Echo is what services on the internet see.
	Echo
)

// Group are sources that are asked together, for names of their own.
type Group struct {
	Name     string
	Families [ipaddr.Families]bool
	// Answers are in the order of the sources, for each family that is wanted.
	Answers []Answer
}

// Answer is what one source says of one family.
type Answer struct {
	Source string
	Kind   Kind
	Family ipaddr.Family
	Addrs  []Addr
	// ConfirmedBy are who vouches for the addresses.
	ConfirmedBy []string
	// Votes are those of services too few of whom agree.
	Votes []Vote
	Err   string
	// NoFamily means that this machine lacks the family, DoubleNAT that the
	// router is behind another one, NoAddress that it has no public address,
	// and Hold that no other source may be believed meanwhile.
	NoFamily, DoubleNAT, NoAddress, Hold bool
}

// Vote is what one operator sees.
type Vote struct {
	Addr     netip.Addr
	Operator string
}

// Zone is a zone at a DNS provider.
type Zone struct {
	// Name has no trailing dot.
	Name, Provider string
	Listing        Listing
	// Read is whether the provider can be read, ReadErr why that failed.
	Read    bool
	ReadErr string
	Records []Record
	Public  Delegation
}

// readable reports whether the records were read.
func (z *Zone) readable() bool { return z.Read && z.ReadErr == "" }

// Homeless is a name of which no zone is known.
type Homeless struct {
	Name, Provider string
	// Reason is why, or "" if it was not found out in time.
	Reason string
}

// Listing is what the provider answers when asked for its zones.
type Listing struct {
	Able  bool
	Zones []string
	Err   string
}

// Record is a managed RRset.
type Record struct {
	// Name is relative to the zone, FQDN has no trailing dot.
	Name, FQDN string
	Family     ipaddr.Family
	// Desired is nil where no address is known. UpdateOnly means that what
	// does not exist stays so.
	Desired    []netip.Addr
	UpdateOnly bool
	// Observed is what the provider holds, Blocked what is in the way there.
	Observed []netip.Addr
	Blocked  string
	// Public is what a server of the zone answers, Cached what the resolver of
	// this machine does.
	Public, Cached Lookup
}

// Lookup is the answer of a DNS server.
type Lookup struct {
	// Server is who was asked, "" if nobody was.
	Server string
	Addrs  []netip.Addr
	TTL    time.Duration
	// CNAME is the target of an alias, Cut the owner of NS records that lead
	// elsewhere.
	CNAME, Cut string
	Err        string
}

// Delegation is what public DNS says of a zone.
type Delegation struct {
	// Reserved zones are in no public DNS.
	Reserved bool
	Parent   string
	// Servers are the name servers that the parent names.
	Servers []Server
	// Signed is whether the parent has a DS record, Keyless whether the zone
	// then has no key.
	Signed, Keyless bool
	// Err is why nothing can be told.
	Err string
}

// Server is a name server that the parent names.
type Server struct {
	// Host has no trailing dot.
	Host string
	// Inside is whether it lies in the zone, so that it needs glue.
	Inside, Glue bool
	Addrs        []netip.Addr
	// Answers are what it says at its addresses.
	Answers []Authority
}

// Authority is what a name server answers when asked for a zone's SOA.
type Authority struct {
	Addr netip.Addr
	// Authoritative is set if it serves the zone, Recursive if somebody
	// answers who resolves for others.
	Authoritative, Recursive bool
	Serial                   uint32
	// Names are the name servers by the zone itself.
	Names []string
	Err   string
}

// Port is where the built-in name server listens.
type Port struct {
	// Listen is network and address, as in udp/:53, and Zones what is to be
	// served there.
	Listen string
	Zones  []string
	// Busy means that another program has it or this Caddy's name server,
	// Denied that this user may not open it.
	Busy, Denied bool
	// Serves is whether the zones are served there, and Parents what the parent
	// of each has to have then.
	Serves  bool
	Parents map[string][]string
	Err     string
}
