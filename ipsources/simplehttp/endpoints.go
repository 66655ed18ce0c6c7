package simplehttp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// defaultEndpoints are services that answer over both families, run by
// different people, so that they can be checked against each other. Cloudflare
// runs icanhazip.com and the trace: these two count as one and are not neighbors.
var defaultEndpoints = []string{
	"https://icanhazip.com",
	"https://ifconfig.me/ip",
	"https://ident.me",
	"https://one.one.one.one/cdn-cgi/trace",
	"https://api64.ipify.org",
	"https://ipecho.net/plain",
	"https://wtfismyip.com/text",
}

// endpoint is the URL of an echo service.
type endpoint struct {
	url      *url.URL
	host     string
	operator string     // whose answers count as one
	addr     netip.Addr // of a host that is an address
}

// newEndpoints parses a list of URLs with placeholders.
func newEndpoints(raws []string) ([]*endpoint, error) {
	repl := caddy.NewReplacer()
	var endpoints []*endpoint
	seen := make(map[string]bool)
	for _, raw := range raws {
		s, err := repl.ReplaceOrErr(raw, true, true)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", endpointName(raw), err)
		}
		e, err := newEndpoint(s)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", endpointName(raw), err)
		}
		// Asked twice it would say the same.
		if !seen[e.url.String()] {
			seen[e.url.String()] = true
			endpoints = append(endpoints, e)
		}
	}
	return endpoints, nil
}

func newEndpoint(s string) (*endpoint, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("not a URL (%w): write one such as https://icanhazip.com", withoutURL(err))
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case u.Scheme != "https" && u.Scheme != "http", host == "":
		return nil, errors.New("not the URL of a web service: write one such as https://icanhazip.com")
	}
	u.Fragment = ""
	addr, _ := netip.ParseAddr(host)
	if addr.Is4In6() {
		return nil, fmt.Errorf("the host is an IPv4-mapped address: write %s", addr.Unmap())
	}

	if u.Path == "" {
		u.Path = "/"
	}
	port := u.Port()
	if port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		port = ""
	}
	u.Host = host
	if port != "" {
		u.Host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	return &endpoint{url: u, host: host, operator: operatorOf(u), addr: addr}, nil
}

// endpointName names an endpoint in messages by its host. The rest of a URL may
// be secret.
func endpointName(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	if strings.ContainsAny(raw, "@?#") {
		return "..."
	}
	return raw
}

// operatorOf returns who answers at the URL: the host, or Cloudflare for
// icanhazip.com and for the trace of any site behind it.
func operatorOf(u *url.URL) string {
	host := u.Hostname()
	if u.Path == "/cdn-cgi/trace" || host == "icanhazip.com" || strings.HasSuffix(host, ".icanhazip.com") {
		return "cloudflare.com"
	}
	return host
}

// Name implements quorum.Voter.
func (e *endpoint) Name() string { return e.host }

// Operator implements quorum.Voter.
func (e *endpoint) Operator() string { return e.operator }

// countOperators counts those who can be asked over the family.
func countOperators(endpoints []*endpoint, v6 bool) int {
	operators := make(map[string]bool)
	for _, e := range endpoints {
		if e.has(v6) {
			operators[e.operator] = true
		}
	}
	return len(operators)
}

// has reports whether the endpoint may have an address of the family.
func (e *endpoint) has(v6 bool) bool { return !e.addr.IsValid() || e.addr.Is6() == v6 }

// routable reports whether the machine has a route to the address and a source
// address fit for it. Connecting a UDP socket asks the kernel just that and
// sends nothing.
func routable(to netip.Addr) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 443)))
	if err != nil {
		return false
	}
	defer conn.Close()
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	return !from.IsLinkLocalUnicast() || to.IsLinkLocalUnicast()
}

// farAddr returns an address that only a default route leads to: that of
// a.root-servers.net.
func farAddr(v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr("2001:503:ba3e::2:30")
	}
	return netip.MustParseAddr("198.41.0.4")
}
