// Package dnswhoami is the IP source that asks DNS servers which address they
// see.
package dnswhoami

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/uplink"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(DNS{})
}

const (
	defaultTimeout = 10 * time.Second
	minTimeout     = 100 * time.Millisecond
)

// DNS is an IP source that asks DNS servers which address they see, over TLS
// (RFC 7858) and with their certificates verified. An address that differs from
// the one last confirmed is believed only when servers of several operators
// agree on it, among whom those of other sources in the list count as well.
//
// A server is asked over IPv4 and over IPv6, with a new connection each time.
// What it says counts for the family of the connection alone.
type DNS struct {
	// The servers and what to ask them. Default: Cloudflare's and OpenDNS's, at
	// their addresses.
	Endpoints []Endpoint `json:"endpoints,omitempty"`

	// How many operators must agree before an address that is not the one last
	// confirmed is believed; see `simple_http`. Default: 2, or 1 if there is but
	// one operator in the list, which is warned of.
	Quorum int `json:"quorum,omitempty"`

	// How long one check may take, all servers together. The next server is
	// asked after 250 ms already. Default: 10s. Minimum: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The network interface to ask through; see `simple_http`.
	Interface string `json:"interface,omitempty"`

	poll     *quorum.Poll[*server]
	ask      func(ctx context.Context, f ipaddr.Family, s *server) (netip.Addr, error)
	routable func(to netip.Addr) bool
	uplink   uplink.Uplink
}

// CaddyModule returns the Caddy module information.
func (DNS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.dns",
		New: func() caddy.Module { return new(DNS) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	dns {
//		endpoint  <server> <name> [CH] [TXT]
//		quorum    <number>
//		timeout   <duration>
//		interface <name>
//	}
func (s *DNS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected argument %q: write servers in a block, as in: endpoint 1.1.1.1 whoami.cloudflare CH TXT", d.Val())
	}
	for d.NextBlock(0) {
		option := d.Val()
		switch option {
		case "endpoint":
			e, err := parseEndpoint(d.RemainingArgs())
			if err != nil {
				return d.WrapErr(err)
			}
			s.Endpoints = append(s.Endpoints, e)
		case "quorum":
			var value string
			if !d.AllArgs(&value) {
				return d.Err("quorum needs one number: how many operators must agree on a changed address")
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.Errf("quorum %q is no number of operators: write 1 or more", value)
			}
			if s.Quorum != 0 {
				return d.Err("quorum is given twice: remove one of them")
			}
			s.Quorum = n
		case "timeout":
			var value string
			if !d.AllArgs(&value) {
				return d.Err("timeout needs one duration, such as 10s")
			}
			timeout, err := caddy.ParseDuration(value)
			if err != nil || timeout < minTimeout {
				return d.Errf("timeout %q is no duration of at least %s: write one such as 10s", value, minTimeout)
			}
			if s.Timeout != 0 {
				return d.Err("timeout is given twice: remove one of them")
			}
			s.Timeout = caddy.Duration(timeout)
		case "interface":
			if s.Interface != "" {
				return d.Err("interface is given twice: remove one of them")
			}
			if !d.AllArgs(&s.Interface) || s.Interface == "" {
				return d.Err("interface needs the name of one network interface, such as wan2")
			}
		default:
			return d.Errf("unrecognized subdirective %q: dns takes endpoint, quorum, timeout and interface", option)
		}
		if d.NextBlock(1) {
			return d.Err("the options of dns take no block")
		}
	}
	return nil
}

// Provision sets up the source.
func (s *DNS) Provision(ctx caddy.Context) error {
	endpoints := s.Endpoints
	if len(endpoints) == 0 {
		endpoints = defaultEndpoints
	}
	var servers []*server
	for i, e := range endpoints {
		server, err := newServer(e)
		if err != nil {
			return fmt.Errorf("endpoints[%d]: %w", i, err)
		}
		servers = append(servers, server)
	}
	if s.Quorum < 0 {
		return fmt.Errorf("quorum %d is no number of operators: write 1 or more", s.Quorum)
	}
	timeout := cmp.Or(time.Duration(s.Timeout), defaultTimeout)
	if timeout < minTimeout {
		return fmt.Errorf("timeout %s is shorter than %s: write one such as 10s", timeout, minTimeout)
	}
	name, err := placeholders.Resolve(s.Interface)
	if err != nil {
		return fmt.Errorf("interface: %w", err)
	}
	s.uplink = uplink.Uplink(name)
	if err := s.uplink.Check(); err != nil {
		return err
	}
	s.ask = (&client{dial: s.uplink.DialContext}).ask
	s.routable = s.uplink.Routable
	s.poll = &quorum.Poll[*server]{
		Voters: byFamily(servers), Quorum: s.Quorum, Timeout: timeout,
		Reach: s.reach,
		Ask: func(ctx context.Context, f ipaddr.Family, server *server) (netip.Addr, error) {
			return s.ask(ctx, f, server)
		},
		Logger: ctx.Logger(),
	}
	return nil
}

// GetIPs asks the servers over both families at once, but for one without a
// route.
func (s *DNS) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	return s.poll.GetIPs(ctx, settings)
}

// ConfirmedBy returns the servers that gave the address when it was accepted,
// and those that have repeated it since.
func (s *DNS) ConfirmedBy(addr netip.Addr) []string { return s.poll.ConfirmedBy(addr) }

// Operators implements ipsources.Voter.
func (s *DNS) Operators(v6 bool) []string { return s.poll.Operators(v6) }

// VoteWith implements ipsources.Voter.
func (s *DNS) VoteWith(others func(v6 bool) []string) error { return s.poll.VoteWith(others) }

// reach returns the servers that the machine has a route to over the family.
// For names, a default route decides.
func (s *DNS) reach(f ipaddr.Family) (servers []*server, err error) {
	if err := s.uplink.Exists(); err != nil {
		return nil, err
	}
	far := sync.OnceValue(func() bool { return s.routable(farAddrs[f]) })
	for _, server := range s.poll.Voters[f] {
		if server.addr.IsValid() && s.routable(server.addr) || !server.addr.IsValid() && far() {
			servers = append(servers, server)
		}
	}
	return servers, nil
}

// farAddrs are addresses that only a default route leads to: those of
// a.root-servers.net.
var farAddrs = [ipaddr.Families]netip.Addr{
	ipaddr.V4: netip.MustParseAddr("198.41.0.4"),
	ipaddr.V6: netip.MustParseAddr("2001:503:ba3e::2:30"),
}

var (
	_ caddy.Provisioner     = (*DNS)(nil)
	_ caddyfile.Unmarshaler = (*DNS)(nil)
	_ ipsources.IPSource    = (*DNS)(nil)
	_ ipsources.Confirmer   = (*DNS)(nil)
	_ ipsources.Voter       = (*DNS)(nil)
)
