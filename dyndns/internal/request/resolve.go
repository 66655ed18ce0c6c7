package request

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Rules are what the server's configuration says of all requests.
type Rules struct {
	// PrefixLength is how much of an address that a device sends is the
	// prefix of its network.
	PrefixLength int
	Filter       *ipaddr.Filter
	AllowOffline bool
}

// Host is what is known of a host before the request.
type Host struct {
	// Name is the full name, as in Request.Hosts.
	Name string
	// IDs are those of a device: a host whose IPv6 addresses are made of a
	// prefix and these.
	IDs []ipaddr.HostID
	// Desired are the addresses that are desired at present, of each family.
	Desired [ipaddr.Families][]netip.Addr
}

// Outcome is what becomes of a host.
type Outcome struct {
	Host string
	// States say of each family whether it is left alone, taken away or set.
	States [ipaddr.Families]plan.State
	// Desired are the addresses of the families that are set, sorted.
	Desired [ipaddr.Families][]netip.Addr
	// Gave are the addresses of all families that are set, in the order in
	// which they were sent.
	Gave []netip.Addr
	// LeftAlone says why a family for which a prefix was sent is left alone
	// all the same, for the log.
	LeftAlone string
}

// Resolve decides what becomes of the hosts, of all or none. client is the
// address that the request came from, which counts where it gives none; it is
// invalid if it cannot be known. The error is a [*reply.Error].
func (r *Request) Resolve(hosts []Host, rules *Rules, client netip.Addr) ([]Outcome, error) {
	switch {
	case r.Offline && !rules.AllowOffline:
		return nil, refuse("offline is not allowed; allow_offline would allow it")
	case !r.Offline && !r.addressed && !client.IsValid():
		return nil, refuse("no address is given, and the client's is not known: the trusted proxy names none")
	}
	outcomes := make([]Outcome, len(hosts))
	for i, host := range hosts {
		var err error
		if outcomes[i], err = r.resolve(&host, rules, client.Unmap()); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

func (r *Request) resolve(host *Host, rules *Rules, client netip.Addr) (Outcome, error) {
	o := Outcome{Host: host.Name}
	if r.Offline {
		for family := range o.States {
			o.States[family] = plan.None
		}
		return o, nil
	}
	families := r.of(host.Name)
	if !r.addressed {
		families[ipaddr.FamilyOf(client)] = asked{named: true, state: plan.Set, items: []item{{addr: client}}}
	}
	var given []item
	for family := range ipaddr.Families {
		m := made{asked: families[family], networks: r.networks(families[family], family)}
		if family == ipaddr.V6 && len(host.IDs) > 0 {
			m.ofDevice(host.IDs, rules.PrefixLength)
		} else {
			m.ofHost(host.Desired[family])
		}
		o.States[family] = m.state
		if m.why != "" {
			o.LeftAlone = m.why
		}
		for _, i := range m.items {
			if reason := rules.Filter.Refuse(i.addr, false); reason != "" {
				return o, refuse("host %q: %s may not be published: %s", host.Name, i.addr, reason)
			}
			if !slices.Contains(o.Desired[family], i.addr) {
				o.Desired[family] = append(o.Desired[family], i.addr)
				given = append(given, i)
			}
		}
		o.Desired[family] = ipaddr.Sort(o.Desired[family])
	}
	if o.LeftAlone != "" && o.States == [ipaddr.Families]plan.State{} {
		return o, refuse("host %q: %s", host.Name, o.LeftAlone)
	}
	slices.SortStableFunc(given, func(a, b item) int { return cmp.Compare(a.position, b.position) })
	for _, i := range given {
		o.Gave = append(o.Gave, i.addr)
	}
	return o, nil
}

// networks are the prefixes that are sent for a family of a host.
func (r *Request) networks(a asked, family ipaddr.Family) []item {
	var networks []item
	for _, i := range a.items {
		if i.prefix.IsValid() {
			networks = append(networks, i)
		}
	}
	if family == ipaddr.V6 && !a.override {
		networks = append(networks, r.prefixes...)
	}
	return networks
}

// made is what is made of what was asked.
type made struct {
	asked asked
	// networks are prefixes that were sent.
	networks []item

	state plan.State
	items []item
	// why is set where prefixes were sent, but make no address.
	why string
}

// ofDevice joins prefixes with IDs. An address counts for its prefix.
func (m *made) ofDevice(ids []ipaddr.HostID, prefixLength int) {
	if len(m.networks) == 0 {
		for _, i := range m.asked.items {
			prefix, _ := i.addr.Prefix(prefixLength)
			m.networks = append(m.networks, item{prefix: prefix, position: i.position})
		}
	}
	if len(m.networks) == 0 {
		m.state = m.asked.state
		return
	}
	for _, n := range m.networks {
		for _, id := range ids {
			if !id.Fits(n.prefix.Bits()) {
				m.items = nil
				m.why = fmt.Sprintf("the host id %s has bits within the prefix %s that was sent; have a shorter one sent", id, n.prefix)
				return
			}
			m.items = append(m.items, item{addr: ipaddr.Join(n.prefix, id), position: n.position})
		}
	}
	m.state = plan.Set
}

// ofHost takes what was said of the family, and otherwise moves the addresses
// on record into the prefixes.
func (m *made) ofHost(record []netip.Addr) {
	for _, i := range m.asked.items {
		if i.addr.IsValid() {
			m.state = plan.Set
			m.items = append(m.items, i)
		}
	}
	if m.state == plan.Set {
		return
	}
	if len(m.networks) == 0 || m.asked.named && m.asked.state != plan.Set {
		m.state = m.asked.state
		return
	}
	for _, n := range m.networks {
		for _, addr := range record {
			if moved, ok := ipaddr.Move(addr, n.prefix); ok {
				m.state = plan.Set
				m.items = append(m.items, item{addr: moved, position: n.position})
			}
		}
	}
	if m.state != plan.Set {
		m.why = "a prefix was sent, and there is neither a host id of a device nor an address on record that would say what is below it"
	}
}
