// Package dnswhoami is the IP source that asks DNS servers which address they
// see.
package dnswhoami

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
)

func init() {
	caddy.RegisterModule(DNS{})
}

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

	remote.Options

	services *remote.Services[*server]
	ask      func(ctx context.Context, f ipaddr.Family, s *server) (netip.Addr, error)
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
		default:
			ok, err := s.Options.Unmarshal(d)
			if err != nil {
				return err
			}
			if !ok {
				return d.Errf("unrecognized subdirective %q: dns takes endpoint, quorum, timeout and interface", option)
			}
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
	var err error
	s.services, err = remote.New(s.Options, servers, func(ctx context.Context, f ipaddr.Family, server *server) (netip.Addr, error) {
		return s.ask(ctx, f, server)
	}, ctx.Logger())
	if err != nil {
		return err
	}
	s.ask = (&client{dial: s.services.Uplink.DialContext}).ask
	return nil
}

// GetIPs asks the servers over both families at once, but for one without a
// route.
func (s *DNS) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	return s.services.GetIPs(ctx, settings)
}

// ConfirmedBy returns the servers that gave the address when it was accepted,
// and those that have repeated it since.
func (s *DNS) ConfirmedBy(addr netip.Addr) []string { return s.services.ConfirmedBy(addr) }

// Operators implements ipsources.Voter.
func (s *DNS) Operators(v6 bool) []string { return s.services.Operators(v6) }

// VoteWith implements ipsources.Voter.
func (s *DNS) VoteWith(others func(v6 bool) []string) error { return s.services.VoteWith(others) }

var (
	_ caddy.Provisioner     = (*DNS)(nil)
	_ caddyfile.Unmarshaler = (*DNS)(nil)
	_ ipsources.IPSource    = (*DNS)(nil)
	_ ipsources.Confirmer   = (*DNS)(nil)
	_ ipsources.Voter       = (*DNS)(nil)
)
