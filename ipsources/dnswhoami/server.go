package dnswhoami

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/quorum"
)

// Endpoint is a DNS server, and the question that it answers with the address
// that it sees.
type Endpoint struct {
	// The server: a name or an address, with a port if that is not 853, and with
	// the name on its certificate after a `#` if that is another one, such as
	// `208.67.222.222#dns.opendns.com`. One that is written as an address is
	// asked over the family of that address only. Placeholders are resolved.
	Server string `json:"server,omitempty"`
	// The name to ask for. Placeholders are resolved.
	Name string `json:"name,omitempty"`
	// The class: IN or CH. Default: IN.
	Class string `json:"class,omitempty"`
	// The type: TXT, whose one string is the address; or A and AAAA, as the
	// family is, which is the default.
	Type string `json:"type,omitempty"`
}

var defaultEndpoints = []Endpoint{
	{Server: "1.1.1.1#one.one.one.one", Name: "whoami.cloudflare", Class: "CH", Type: "TXT"},
	{Server: "208.67.222.222#dns.opendns.com", Name: "myip.opendns.com"},
	{Server: "[2606:4700:4700::1111]#one.one.one.one", Name: "whoami.cloudflare", Class: "CH", Type: "TXT"},
	{Server: "[2620:119:35::35]#dns.opendns.com", Name: "myip.opendns.com"},
}

// parseEndpoint reads the words of a Caddyfile.
func parseEndpoint(words []string) (Endpoint, error) {
	if len(words) < 2 {
		return Endpoint{}, errors.New("endpoint needs a server and a name to ask for, as in: endpoint 1.1.1.1 whoami.cloudflare CH TXT")
	}
	e := Endpoint{Server: words[0], Name: words[1]}
	for _, word := range words[2:] {
		switch upper := strings.ToUpper(word); upper {
		case "IN", "CH":
			e.Class = upper
		case "TXT":
			e.Type = upper
		default:
			return e, fmt.Errorf("%q is neither a class nor a type: write CH, TXT or both; without a type, A or AAAA is asked for", word)
		}
	}
	if placeholders.In(e.Server) || placeholders.In(e.Name) {
		return e, nil
	}
	_, err := newServer(e)
	return e, err
}

// server is an endpoint that can be asked.
type server struct {
	host     string
	port     string
	certName string
	addr     netip.Addr // of a host that is an address
	name     string
	class    uint16
	txt      bool
}

func newServer(e Endpoint) (*server, error) {
	text, err := placeholders.Resolve(e.Server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", e.Server, err)
	}
	name, err := placeholders.Resolve(e.Name)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", e.Name, err)
	}
	s := &server{name: dns.CanonicalName(name), txt: e.Type == "TXT"}
	if s.class = dns.StringToClass[e.Class]; e.Class == "" {
		s.class = dns.ClassINET
	}
	if s.class != dns.ClassINET && s.class != dns.ClassCHAOS {
		return nil, fmt.Errorf("class %q: write IN or CH", e.Class)
	}
	if e.Type != "" && e.Type != "TXT" {
		return nil, fmt.Errorf("type %q: write TXT, or leave it out for A and AAAA", e.Type)
	}
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, fmt.Errorf("%q is no name to ask for: write one such as whoami.cloudflare", name)
	}
	text, s.certName, _ = strings.Cut(text, "#")
	s.host, s.port = strings.Trim(text, "[]"), "853"
	if host, port, err := net.SplitHostPort(text); err == nil {
		s.host, s.port = host, port
	}
	s.host = strings.ToLower(s.host)
	s.addr, _ = netip.ParseAddr(s.host)
	if s.addr.Is4In6() {
		return nil, fmt.Errorf("the server is an IPv4-mapped address: write %s", s.addr.Unmap())
	}
	_, portErr := strconv.ParseUint(s.port, 10, 16)
	_, isName := dns.IsDomainName(s.host)
	isName = isName && s.host != "" && !strings.ContainsAny(s.host, ":/@ ")
	if portErr != nil || !s.addr.IsValid() && !isName {
		return nil, fmt.Errorf("%q is no DNS server: write a name or an address, such as 1.1.1.1 or dns.example.net:853", e.Server)
	}
	if s.certName == "" {
		s.certName = s.host
	}
	return s, nil
}

// Name implements quorum.Voter.
func (s *server) Name() string { return s.certName }

// Addr implements remote.Service.
func (s *server) Addr() netip.Addr { return s.addr }

// Operator implements quorum.Voter.
func (s *server) Operator() string {
	if s.addr.IsValid() && s.certName != s.host {
		return quorum.OperatorOf(s.certName)
	}
	return quorum.OperatorOf(s.host)
}
