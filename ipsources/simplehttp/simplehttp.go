// Package simplehttp is the IP source that asks echo services on the web.
package simplehttp

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
)

func init() {
	caddy.RegisterModule(SimpleHTTP{})
}

// SimpleHTTP is an IP source that asks echo services on the web which address
// they see. An address that differs from the one last confirmed is believed
// only when services of several operators agree on it.
//
// A service is asked over IPv4 and over IPv6, with a new connection each time
// and without a proxy. It must answer with status 200 and nothing but an
// address of that family: bare, as a JSON object `{"ip": "<address>"}`, or in
// the form of Cloudflare's `/cdn-cgi/trace`. Redirects are followed to HTTPS
// only, at most three, and at most 4 KiB are read. A service that answers with
// status 429 or 503 and Retry-After (RFC 9110) is left alone for that time, up to
// a day, also after a reload.
type SimpleHTTP struct {
	// The URLs of the services, in which placeholders are resolved. One whose
	// host is an address is asked over the family of that address only. HTTPS
	// should be used, since answers over plain HTTP can be forged. Default:
	//
	// - https://icanhazip.com
	// - https://ifconfig.me/ip
	// - https://ident.me
	// - https://one.one.one.one/cdn-cgi/trace
	// - https://api64.ipify.org
	// - https://ipecho.net/plain
	// - https://wtfismyip.com/text
	Endpoints []string `json:"endpoints,omitempty"`

	remote.Options

	services *remote.Services[*endpoint]
	ask      askFunc
}

// CaddyModule returns the Caddy module information.
func (SimpleHTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.simple_http",
		New: func() caddy.Module { return new(SimpleHTTP) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	simple_http [<url>...] {
//		endpoint <url>...
//		quorum   <number>
//		timeout  <duration>
//		interface <name>
//	}
func (s *SimpleHTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := s.addEndpoints(d); err != nil {
		return err
	}
	for d.NextBlock(0) {
		switch option := d.Val(); option {
		case "endpoint":
			if d.CountRemainingArgs() == 0 {
				return d.Err("endpoint needs the URL of an echo service, such as https://icanhazip.com")
			}
			if err := s.addEndpoints(d); err != nil {
				return err
			}

		default:
			ok, err := s.Options.Unmarshal(d)
			if err != nil {
				return err
			}
			if !ok {
				return d.Errf("unrecognized subdirective %q: simple_http takes endpoint, quorum, timeout and interface", option)
			}
		}
		if d.NextBlock(1) {
			return d.Err("the options of simple_http take no block")
		}
	}
	return nil
}

// Provision sets up the source.
func (s *SimpleHTTP) Provision(ctx caddy.Context) error {
	raws := s.Endpoints
	if len(raws) == 0 {
		raws = defaultEndpoints
	}
	endpoints, err := newEndpoints(raws)
	if err != nil {
		return err
	}
	logger := ctx.Logger()
	for _, e := range endpoints {
		if e.url.Scheme == "http" {
			logger.Warn("an echo service is asked over plain HTTP, so anybody on the way can forge its answer; write https:// if it has that",
				zap.String("host", e.host))
		}
	}
	s.services, err = remote.New(s.Options, endpoints, func(ctx context.Context, f ipaddr.Family, e *endpoint) (netip.Addr, error) {
		return s.ask(ctx, networks[f], e.url)
	}, logger)
	if err != nil {
		return err
	}
	s.ask = wanted.keep((&client{dial: s.services.Uplink.DialContext}).ask)
	return nil
}

// GetIPs asks the services for both families at once. They are not asked for
// a family without a route.
func (s *SimpleHTTP) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	return s.services.GetIPs(ctx, settings)
}

// ConfirmedBy returns the hosts that gave the address when it was accepted,
// and those that have repeated it since.
func (s *SimpleHTTP) ConfirmedBy(addr netip.Addr) []string { return s.services.ConfirmedBy(addr) }

// Operators implements ipsources.Voter.
func (s *SimpleHTTP) Operators(v6 bool) []string { return s.services.Operators(v6) }

// VoteWith implements ipsources.Voter.
func (s *SimpleHTTP) VoteWith(others func(v6 bool) []string) error {
	return s.services.VoteWith(others)
}

// addEndpoints takes the rest of the line. URLs with placeholders are parsed in
// Provision.
func (s *SimpleHTTP) addEndpoints(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		raw := d.Val()
		if !strings.Contains(raw, "{") {
			if _, err := newEndpoint(raw); err != nil {
				return d.WrapErr(fmt.Errorf("endpoint %q: %w", endpointName(raw), err))
			}
		}
		s.Endpoints = append(s.Endpoints, raw)
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*SimpleHTTP)(nil)
	_ caddyfile.Unmarshaler = (*SimpleHTTP)(nil)
	_ ipsources.IPSource    = (*SimpleHTTP)(nil)
	_ ipsources.Confirmer   = (*SimpleHTTP)(nil)
	_ ipsources.Voter       = (*SimpleHTTP)(nil)
)
