// Package delegation compares what the servers of a zone's parent say of it
// with what they should.
package delegation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

// Asker sends a question to a server, given as host:port, and returns its
// answer.
type Asker func(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error)

// Finder finds the servers of a parent zone.
type Finder struct {
	Ask Asker
	// Resolver is the recursive server to find them by, as host:port.
	Resolver string
	// Port is where they listen. It is 53 but in tests.
	Port string
}

// reserved are the names below which nothing is delegated to anybody (RFC 6761
// and others).
var reserved = []string{"test.", "example.", "invalid.", "localhost.", "local.", "internal.", "home.arpa.", "onion.", "alt."}

// IsReserved reports whether a zone lies where nothing is delegated.
func IsReserved(zone string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return dns.IsSubDomain(r, zone) })
}

// maxServers bounds how many servers of a parent zone are asked.
const maxServers = 6

// Check asks the parent's servers for a zone. What they should say is the NS
// records of the zone, and the addresses of those servers that lie in it.
func (f *Finder) Check(ctx context.Context, zone string, want []dns.RR) (*report.Delegation, error) {
	parent, servers, err := f.Parent(ctx, zone)
	if err != nil {
		return nil, err
	}
	r := &report.Delegation{Parent: parent}
	var failed []error
	for _, server := range servers {
		q := new(dns.Msg).SetQuestion(zone, dns.TypeNS)
		q.RecursionDesired = false
		q.SetEdns0(1232, false)
		m, err := f.Ask(ctx, q, server)
		if err == nil && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", server, err))
			continue
		}
		r.Servers = append(r.Servers, server)
		write, remove := Compare(zone, want, m)
		r.Write, r.Delete = union(r.Write, write), union(r.Delete, remove)
	}
	if len(r.Servers) == 0 {
		return nil, fmt.Errorf("no server of %s answers: %w", parent, errors.Join(failed...))
	}
	r.Right = len(r.Write)+len(r.Delete) == 0
	return r, nil
}

// Parent returns the parent zone and the addresses of its servers.
func (f *Finder) Parent(ctx context.Context, zone string) (parent string, servers []string, err error) {
	for off, end := dns.NextLabel(zone, 0); !end; off, end = dns.NextLabel(zone, off) {
		parent = zone[off:]
		hosts, err := f.Resolve(ctx, parent, dns.TypeNS)
		if err != nil {
			return "", nil, err
		}
		for _, rr := range hosts {
			ns, ok := rr.(*dns.NS)
			if !ok || dns.CanonicalName(ns.Hdr.Name) != parent {
				continue
			}
			for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
				addrs, _ := f.Resolve(ctx, ns.Ns, typ) // one that has no addresses cannot be asked
				for _, rr := range addrs {
					switch rr := rr.(type) {
					case *dns.A:
						servers = append(servers, net.JoinHostPort(rr.A.String(), f.Port))
					case *dns.AAAA:
						servers = append(servers, net.JoinHostPort(rr.AAAA.String(), f.Port))
					}
				}
			}
		}
		if len(servers) > 0 {
			return parent, servers[:min(len(servers), maxServers)], nil
		}
	}
	return "", nil, fmt.Errorf("the servers of the parent zone of %s cannot be found", zone)
}

// Resolve asks the resolver, and returns the records of its answer.
func (f *Finder) Resolve(ctx context.Context, name string, typ uint16) ([]dns.RR, error) {
	m, err := f.Ask(ctx, new(dns.Msg).SetQuestion(name, typ), f.Resolver)
	if err != nil {
		return nil, fmt.Errorf("asking the resolver %s for %s: %w", f.Resolver, name, err)
	}
	return m.Answer, nil
}

// Compare returns which records an answer of the parent lacks, and which it has
// too many.
func Compare(zone string, want []dns.RR, answer *dns.Msg) (write, remove []string) {
	var got []dns.RR
	hosts := make(map[string]bool)
	for _, rr := range append(slices.Clone(want), append(answer.Answer, answer.Ns...)...) {
		if ns, ok := rr.(*dns.NS); ok && dns.CanonicalName(ns.Hdr.Name) == zone && dns.IsSubDomain(zone, dns.CanonicalName(ns.Ns)) {
			hosts[dns.CanonicalName(ns.Ns)] = true
		}
	}
	for _, rr := range append(append(slices.Clone(answer.Answer), answer.Ns...), answer.Extra...) {
		h := rr.Header()
		name := dns.CanonicalName(h.Name)
		switch {
		case h.Rrtype == dns.TypeNS && name == zone, (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) && hosts[name]:
			got = append(got, rr)
		}
	}
	have, should := lines(got), lines(want)
	for _, line := range should {
		if !slices.Contains(have, line) {
			write = append(write, line)
		}
	}
	for _, line := range have {
		if !slices.Contains(should, line) {
			remove = append(remove, line)
		}
	}
	return write, remove
}

// lines returns records as they are written at the parent, without their TTL.
func lines(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		data := strings.TrimPrefix(rr.String(), rr.Header().String())
		if ns, ok := rr.(*dns.NS); ok {
			data = dns.CanonicalName(ns.Ns)
		}
		out = union(out, []string{fmt.Sprintf("%s IN %s %s", dns.CanonicalName(rr.Header().Name), dns.TypeToString[rr.Header().Rrtype], data)})
	}
	return out
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}
