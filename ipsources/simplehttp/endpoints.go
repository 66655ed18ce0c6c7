package simplehttp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
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
	urls, err := placeholders.Words(raws)
	if err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	var endpoints []*endpoint
	seen := make(map[string]bool)
	for _, s := range urls {
		e, err := newEndpoint(s)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", endpointName(s), err)
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

// operatorOf returns who answers at the URL, which for the trace of any site
// behind Cloudflare is Cloudflare.
func operatorOf(u *url.URL) string {
	if u.Path == "/cdn-cgi/trace" {
		return quorum.Cloudflare
	}
	return quorum.OperatorOf(u.Hostname())
}

// Name implements quorum.Voter.
func (e *endpoint) Name() string { return e.host }

// Addr implements remote.Service.
func (e *endpoint) Addr() netip.Addr { return e.addr }

// Operator implements quorum.Voter.
func (e *endpoint) Operator() string { return e.operator }

// networks are what the families are called when dialing.
var networks = [ipaddr.Families]string{ipaddr.V4: "tcp4", ipaddr.V6: "tcp6"}
