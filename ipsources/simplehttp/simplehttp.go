// Package simplehttp is the IP source that asks echo services on the web.
package simplehttp

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/uplink"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(SimpleHTTP{})
}

const (
	defaultTimeout = 10 * time.Second
	minTimeout     = 100 * time.Millisecond
)

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

	// How many operators must agree before an address that is not the one last
	// confirmed is believed. Endpoints whose hosts have one registrable domain
	// are of one operator, and so are those that are known to be: Cloudflare
	// runs icanhazip.com, 1.1.1.1 and every `/cdn-cgi/trace`. Those of other
	// sources in the list, such as `dns`, count as well. When fewer answer at
	// all, and they agree, what they say is believed after three checks alike,
	// 10 seconds apart, and a warning says so. Default: 2, or 1 if there is but
	// one operator in the list, which is warned of.
	Quorum int `json:"quorum,omitempty"`

	// How long one check may take, all endpoints together. The next endpoint
	// is asked after 250 ms already. Default: 10s. Minimum: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The network interface to ask through, for machines with several ways to
	// the internet: the address that is found is the one that this way has.
	// Names are looked up as ever. The interface needs a default route of its
	// own, which may be one of a higher metric, and need not exist when the
	// configuration is loaded. Placeholders are resolved. Works on Linux (before
	// 5.7 with the capability CAP_NET_RAW), macOS and Windows, and is refused
	// elsewhere. Default: whichever way the system's routes say.
	Interface string `json:"interface,omitempty"`

	poll     *quorum.Poll[*endpoint]
	ask      askFunc
	routable func(to netip.Addr) bool
	uplink   uplink.Uplink
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

		case "quorum":
			var value string
			if !d.AllArgs(&value) {
				return d.Err("quorum needs one number: how many operators must agree on a changed address")
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.Errf("quorum %q is no number of operators: write 1 or more", value)
			}
			if s.Quorum != 0 && s.Quorum != n {
				return d.Errf("quorum is given twice, as %d and as %d: remove one of them", s.Quorum, n)
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
			if s.Timeout != 0 && s.Timeout != caddy.Duration(timeout) {
				return d.Errf("timeout is given twice, as %s and as %s: remove one of them", time.Duration(s.Timeout), timeout)
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
			return d.Errf("unrecognized subdirective %q: simple_http takes endpoint, quorum, timeout and interface", option)
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
	s.ask = wanted.keep((&client{dial: s.uplink.DialContext}).ask)
	s.routable = s.uplink.Routable
	s.poll = &quorum.Poll[*endpoint]{
		Voters: byFamily(endpoints), Quorum: s.Quorum, Timeout: timeout,
		Reach: s.reach,
		Ask: func(ctx context.Context, f ipaddr.Family, e *endpoint) (netip.Addr, error) {
			return s.ask(ctx, networks[f], e.url)
		},
		Logger: logger,
	}
	return nil
}

// GetIPs asks the services for both families at once. They are not asked for
// a family without a route.
func (s *SimpleHTTP) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	return s.poll.GetIPs(ctx, settings)
}

// ConfirmedBy returns the hosts that gave the address when it was accepted,
// and those that have repeated it since.
func (s *SimpleHTTP) ConfirmedBy(addr netip.Addr) []string { return s.poll.ConfirmedBy(addr) }

// Operators implements ipsources.Voter.
func (s *SimpleHTTP) Operators(v6 bool) []string { return s.poll.Operators(v6) }

// VoteWith implements ipsources.Voter.
func (s *SimpleHTTP) VoteWith(others func(v6 bool) []string) error { return s.poll.VoteWith(others) }

// reach returns the endpoints that the machine has a route to over the family.
// For names, a default route decides.
func (s *SimpleHTTP) reach(f ipaddr.Family) (endpoints []*endpoint, err error) {
	if err := s.uplink.Exists(); err != nil {
		return nil, err
	}
	far := sync.OnceValue(func() bool { return s.routable(farAddrs[f]) })
	for _, e := range s.poll.Voters[f] {
		if e.addr.IsValid() && s.routable(e.addr) || !e.addr.IsValid() && far() {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints, nil
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
