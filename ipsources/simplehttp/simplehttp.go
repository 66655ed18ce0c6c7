package simplehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(SimpleHTTP{})
}

const (
	echoTimeout    = 10 * time.Second
	echoMinTimeout = 100 * time.Millisecond
)

// SimpleHTTP is an IP source that asks echo services on the web which address
// they see. An address that differs from the one last confirmed is believed
// only when several services agree on it.
//
// A service is asked over IPv4 and over IPv6, with a new connection each time
// and without a proxy. It must answer with status 200 and nothing but an
// address of that family: bare, as a JSON object `{"ip": "<address>"}`, or in
// the form of Cloudflare's `/cdn-cgi/trace`. Redirects are followed to HTTPS
// only, at most three, and at most 4 KiB are read.
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

	// How many endpoints must agree before an address that is not the one
	// last confirmed is believed. Endpoints of one host count once, and so do
	// those that Cloudflare answers (icanhazip.com and every
	// `/cdn-cgi/trace`). When fewer answer at all, what they say is believed
	// after three checks in a row with the same outcome, 10 seconds apart.
	// Default: 2 where there are at least 3 endpoints, else 1.
	Quorum int `json:"quorum,omitempty"`

	// How long one check may take, all endpoints together. The next endpoint
	// is asked after 250 ms already. Default: 10s. Minimum: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	endpoints []*echoEndpoint
	timeout   time.Duration
	v4, v6    *echoFamily

	ask      func(ctx context.Context, network string, endpoint *url.URL) (netip.Addr, error)
	routable func(to netip.Addr) bool

	logger *zap.Logger
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
				return d.Err("quorum needs one number: how many endpoints must agree on a changed address")
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.Errf("quorum %q is no number of endpoints: write 1 or more", value)
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
			if err != nil || timeout < echoMinTimeout {
				return d.Errf("timeout %q is no duration of at least %s: write one such as 10s", value, echoMinTimeout)
			}
			if s.Timeout != 0 {
				return d.Err("timeout is given twice: remove one of them")
			}
			s.Timeout = caddy.Duration(timeout)

		default:
			return d.Errf("unrecognized subdirective %q: simple_http takes endpoint, quorum and timeout", option)
		}
		if d.NextBlock(1) {
			return d.Err("the options of simple_http take no block")
		}
	}
	return nil
}

// Provision sets up the source.
func (s *SimpleHTTP) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger()

	raws := s.Endpoints
	if len(raws) == 0 {
		raws = defaultEchoEndpoints
	}
	var err error
	if s.endpoints, err = newEchoEndpoints(raws); err != nil {
		return err
	}
	for _, e := range s.endpoints {
		if e.url.Scheme == "http" {
			s.logger.Warn("an echo service is asked over plain HTTP, so anybody on the way can forge its answer; write https:// if it has that",
				zap.String("host", e.host))
		}
	}

	if s.Quorum < 0 {
		return fmt.Errorf("quorum %d is no number of endpoints: write 1 or more", s.Quorum)
	}
	for _, f := range []*echoFamily{{}, {v6: true}} {
		if n := countOperators(s.endpoints, f.v6); n > 0 && s.Quorum > n {
			return fmt.Errorf("quorum %d cannot be reached: over %s, the endpoints are of %d different hosts; lower it, or add endpoints of other hosts", s.Quorum, f, n)
		}
	}

	s.timeout = time.Duration(s.Timeout)
	switch {
	case s.timeout == 0:
		s.timeout = echoTimeout
	case s.timeout < echoMinTimeout:
		return fmt.Errorf("timeout %s is shorter than %s: write one such as 10s", s.timeout, echoMinTimeout)
	}

	s.v4, s.v6 = &echoFamily{}, &echoFamily{v6: true}
	s.ask = (&echoClient{dial: new(net.Dialer).DialContext}).ask
	s.routable = echoRoutable
	return nil
}

// GetIPs asks for the wanted families, both at once. A family that the
// machine has no route for is not asked.
func (s *SimpleHTTP) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	var wanted []*echoFamily
	if settings.IPVersions.V4Enabled() {
		wanted = append(wanted, s.v4)
	}
	if settings.IPVersions.V6Enabled() {
		wanted = append(wanted, s.v6)
	}
	outcomes := make([]echoOutcome, len(wanted))
	done := make(chan struct{}, len(wanted))
	for i, f := range wanted {
		go func() {
			outcomes[i] = s.check(ctx, f, settings)
			done <- struct{}{}
		}()
	}
	for range wanted {
		<-done
	}

	var addrs []netip.Addr
	var errs, noRoute []error
	for _, o := range outcomes {
		switch {
		case o.err == nil:
			addrs = append(addrs, o.addr)
		case errors.Is(o.err, ErrNoRoute):
			noRoute = append(noRoute, o.err)
		default:
			errs = append(errs, o.err)
		}
	}
	s.logFailures(outcomes)
	if len(addrs) == 0 && len(errs) == 0 {
		errs = noRoute
	}
	err := errors.Join(errs...)
	if _, ok := errors.AsType[*ipsources.SoonError](err); ok {
		err = &ipsources.SoonError{After: echoRepeatAfter, Err: err}
	}
	return addrs, err
}

// ConfirmedBy returns the hosts that gave the address when it was accepted,
// and those that have repeated it since.
func (s *SimpleHTTP) ConfirmedBy(addr netip.Addr) []string {
	if addr.Is4() {
		return s.v4.confirmedBy(addr)
	}
	return s.v6.confirmedBy(addr)
}

// addEndpoints takes the rest of the line. What depends on placeholders is
// looked at once these are known.
func (s *SimpleHTTP) addEndpoints(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		raw := d.Val()
		if !strings.Contains(raw, "{") {
			if _, err := newEchoEndpoint(raw); err != nil {
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
)
