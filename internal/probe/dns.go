package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	// maxQuestions bounds how many are under way, maxServers and maxNames how
	// many name servers and names of a zone are asked for.
	maxQuestions = 8
	maxServers   = 8
	maxNames     = 50

	// Each question is sent twice.
	dnsTimeout = 2 * time.Second
)

// Exchange sends a question over UDP, and over TCP where the answer does not
// fit.
func Exchange(ctx context.Context, m *dns.Msg, server string) (r *dns.Msg, err error) {
	for range 2 {
		r, _, err = (&dns.Client{Timeout: dnsTimeout}).ExchangeContext(ctx, m, server)
		if err == nil && r.Truncated {
			r, _, err = (&dns.Client{Net: "tcp", Timeout: dnsTimeout}).ExchangeContext(ctx, m, server)
		}
		if err == nil || ctx.Err() != nil || !isTimeout(err) {
			break
		}
	}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil || isTimeout(err):
		return nil, errors.New("it does not answer")
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, errors.New("nothing listens there")
	}
	return nil, err
}

// Resolver finds servers by a resolver, an address with or without a port, or by
// the system's. It is nil where there is none.
func Resolver(address string) (*delegation.Finder, error) {
	f := &delegation.Finder{Ask: Exchange, Port: "53"}
	if address == "" {
		config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(config.Servers) == 0 {
			return nil, nil
		}
		f.Resolver = net.JoinHostPort(config.Servers[0], config.Port)
		return f, nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		ip, err := netip.ParseAddr(address)
		if err != nil {
			return nil, fmt.Errorf("the resolver %q is not an address; write one such as 9.9.9.9 or [2620:fe::fe]:53", address)
		}
		at = netip.AddrPortFrom(ip, 53)
	}
	f.Resolver = at.String()
	return f, nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// public asks public DNS.
type public struct {
	*delegation.Finder
	// v6 is set if servers can be asked over IPv6.
	v6    bool
	slots chan struct{}
}

// ask sends a question that is not to be resolved further.
func (p *public) ask(ctx context.Context, name string, typ uint16, server string) (*dns.Msg, error) {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	m := new(dns.Msg).SetQuestion(name, typ)
	m.RecursionDesired = false
	m.SetEdns0(1232, false)
	return p.Ask(ctx, m, server)
}

// zone finds out how a zone is delegated, and whether its servers serve it.
func (p *public) zone(ctx context.Context, zone string) (d doctor.Delegation) {
	if d.Reserved = delegation.IsReserved(zone); d.Reserved {
		return d
	}
	if p.Finder == nil {
		d.Err = "this machine has no resolver, so public DNS cannot be asked"
		return d
	}
	parent, servers, err := p.Parent(ctx, zone)
	if err != nil {
		d.Err = oneLine(err)
		return d
	}
	d.Parent = strings.TrimSuffix(parent, ".")
	if d.Parent == "" {
		d.Parent = "the root"
	}
	m, by, err := p.delegated(ctx, zone, servers)
	if err != nil {
		d.Err = fmt.Sprintf("no server of %s answers: %s", d.Parent, oneLine(err))
		return d
	}
	d.Servers = p.servers(zone, m)
	var looking sync.WaitGroup
	for i := range d.Servers {
		looking.Go(func() { p.serve(ctx, zone, &d.Servers[i]) })
	}
	looking.Go(func() {
		ds, err := p.ask(ctx, zone, dns.TypeDS, by)
		d.Signed = err == nil && slices.ContainsFunc(ds.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeDS })
	})
	looking.Wait()
	if at := authority(&d); d.Signed && at != "" {
		key, err := p.ask(ctx, zone, dns.TypeDNSKEY, p.at(at))
		d.Keyless = err == nil && len(key.Answer) == 0
	}
	return d
}

// delegated returns what a server of the parent says of the zone, and which one
// it was.
func (p *public) delegated(ctx context.Context, zone string, servers []string) (*dns.Msg, string, error) {
	var failed []error
	for _, server := range servers {
		m, err := p.ask(ctx, zone, dns.TypeNS, server)
		if err == nil && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
		}
		if err == nil {
			return m, server, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", server, err))
	}
	return nil, "", errors.Join(failed...)
}

// servers are the name servers that the parent names, with their glue.
func (p *public) servers(zone string, m *dns.Msg) (list []doctor.Server) {
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		ns, ok := rr.(*dns.NS)
		if !ok || dns.CanonicalName(ns.Hdr.Name) != zone || len(list) == maxServers {
			continue
		}
		host := dns.CanonicalName(ns.Ns)
		s := doctor.Server{Host: strings.TrimSuffix(host, "."), Inside: dns.IsSubDomain(zone, host)}
		for _, glue := range m.Extra {
			if addr := addressOf(glue); addr.IsValid() && dns.CanonicalName(glue.Header().Name) == host {
				s.Glue, s.Addrs = true, append(s.Addrs, addr)
			}
		}
		list = append(list, s)
	}
	return list
}

// serve asks a name server at each of its addresses for the zone.
func (p *public) serve(ctx context.Context, zone string, s *doctor.Server) {
	if !s.Glue {
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			rrs, _ := p.Resolve(ctx, dns.Fqdn(s.Host), typ) // one without addresses is a finding
			for _, rr := range rrs {
				if addr := addressOf(rr); addr.IsValid() {
					s.Addrs = append(s.Addrs, addr)
				}
			}
		}
	}
	for _, addr := range s.Addrs {
		if addr.Is6() && !p.v6 {
			continue
		}
		a := doctor.Authority{Addr: addr}
		m, err := p.ask(ctx, zone, dns.TypeSOA, p.at(addr.String()))
		switch {
		case err != nil:
			a.Err = oneLine(err)
		case m.Rcode != dns.RcodeSuccess:
			a.Err = "it answers " + dns.RcodeToString[m.Rcode]
		default:
			a.Recursive = m.RecursionAvailable
			for _, rr := range m.Answer {
				if soa, ok := rr.(*dns.SOA); ok && m.Authoritative && dns.CanonicalName(soa.Hdr.Name) == zone {
					a.Authoritative, a.Serial = true, soa.Serial
				}
			}
		}
		if a.Authoritative {
			a.Names = p.names(ctx, zone, addr)
		}
		s.Answers = append(s.Answers, a)
	}
}

// names are the name servers by the zone itself.
func (p *public) names(ctx context.Context, zone string, addr netip.Addr) (names []string) {
	m, err := p.ask(ctx, zone, dns.TypeNS, p.at(addr.String()))
	if err != nil {
		return nil
	}
	for _, rr := range m.Answer {
		if ns, ok := rr.(*dns.NS); ok {
			names = append(names, strings.TrimSuffix(dns.CanonicalName(ns.Ns), "."))
		}
	}
	return names
}

func (p *public) at(addr string) string { return net.JoinHostPort(addr, p.Port) }

// authority returns the address of a server that serves the zone, or "".
func authority(d *doctor.Delegation) string {
	for _, s := range d.Servers {
		for _, a := range s.Answers {
			if a.Authoritative {
				return a.Addr.String()
			}
		}
	}
	return ""
}

// records asks one of the zone's servers, and the resolver, for each RRset.
func (p *public) records(ctx context.Context, z *doctor.Zone) {
	at := authority(&z.Public)
	if at == "" {
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	for i := range z.Records[:min(len(z.Records), maxNames)] {
		r := &z.Records[i]
		name, typ := dns.Fqdn(r.FQDN), dns.StringToType[r.Family.RRType()]
		asking.Go(func() {
			m, err := p.ask(ctx, name, typ, p.at(at))
			r.Public = lookup(name, at, m, err)
		})
		asking.Go(func() {
			p.slots <- struct{}{}
			defer func() { <-p.slots }()
			m, err := p.Ask(ctx, new(dns.Msg).SetQuestion(name, typ), p.Resolver)
			resolver, _, _ := net.SplitHostPort(p.Resolver)
			r.Cached = lookup(name, resolver, m, err)
		})
	}
}

// lookup reads an answer.
func lookup(name, server string, m *dns.Msg, err error) doctor.Lookup {
	l := doctor.Lookup{Server: server}
	switch {
	case err != nil:
		l.Err = oneLine(err)
		return l
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		l.Err = "it answers " + dns.RcodeToString[m.Rcode]
		return l
	}
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(c.Hdr.Name) == name {
			l.CNAME = dnsname.Display(dns.CanonicalName(c.Target))
		}
		if addr := addressOf(rr); addr.IsValid() {
			l.Addrs, l.TTL = append(l.Addrs, addr), time.Duration(rr.Header().Ttl)*time.Second
		}
	}
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeNS && !m.Authoritative && !m.RecursionAvailable {
			l.Cut = dnsname.Display(dns.CanonicalName(rr.Header().Name))
		}
	}
	l.Addrs = ipaddr.Sort(l.Addrs)
	return l
}

func addressOf(rr dns.RR) (addr netip.Addr) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return addr.Unmap()
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
