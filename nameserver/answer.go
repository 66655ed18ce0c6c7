package nameserver

import (
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// maxChain bounds how many CNAME records one answer follows.
const maxChain = 16

// outcome is what the limiter and the counters need to know of an answer.
type outcome struct {
	zone *zone // nil where the name lies in none
	kind answerKind
	name string // in canonical form
}

// answer fills the reply to its own question (RFC 1034, section 4.3.2).
func (c catalog) answer(m *dns.Msg, tcp bool) (o outcome) {
	q := m.Question[0]
	o.kind = kindError
	if rcode := refuseQuestion(q); rcode != dns.RcodeSuccess {
		m.Rcode = rcode
		return o
	}
	asked := q.Name
	for range maxChain {
		name := dns.CanonicalName(asked)
		z := c.closest(name, q.Qtype)
		if z == nil {
			if o.zone == nil {
				m.Rcode = dns.RcodeRefused
			}
			return o
		}
		if o.zone == nil {
			o.zone = z
		}
		s := z.served.Load()
		if s == nil {
			m.Rcode = dns.RcodeServerFailure
			return o
		}
		next, kind := answerFrom(s, m, asked, name, q.Qtype, tcp)
		if o.kind == kindError || kind != kindAnswer {
			o.kind, o.name = kind, name
		}
		if o.kind != kindAnswer {
			o.name = z.name
		}
		if next == "" {
			return o
		}
		if looped(m.Answer, next) {
			break
		}
		asked = next
	}
	m.Rcode = dns.RcodeServerFailure // there is no end to the chain
	return o
}

func refuseQuestion(q dns.Question) int {
	switch {
	case q.Qclass != dns.ClassINET:
		return dns.RcodeRefused
	case q.Qtype == dns.TypeMAILA || q.Qtype == dns.TypeMAILB:
		return dns.RcodeNotImplemented
	case q.Qtype == dns.TypeOPT || q.Qtype == dns.TypeTSIG || q.Qtype == dns.TypeTKEY || q.Qtype == dns.TypeNone ||
		q.Qtype == dns.TypeNXNAME: // RFC 9824, section 3.4
		return dns.RcodeFormatError
	}
	return dns.RcodeSuccess
}

// looped reports whether a chain of CNAME records has come back to a name.
func looped(chain []dns.RR, next string) bool {
	next = dns.CanonicalName(next)
	for _, rr := range chain {
		if dns.CanonicalName(rr.Header().Name) == next {
			return true
		}
	}
	return false
}

// answerFrom adds to the reply what a zone knows of a name, which is given as it
// was asked and in canonical form. If that is an alias, it returns its target.
func answerFrom(s *zonedata.Snapshot, m *dns.Msg, asked, name string, qtype uint16, tcp bool) (alias string, kind answerKind) {
	found := s.Lookup(name, qtype)
	if found.Cut != "" {
		refer(s, m, found.Cut)
		return "", kindReferral
	}
	m.Authoritative = true
	if !found.Exists {
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, s.NegativeSOA())
		return "", kindNoName
	}
	kind = kindAnswer
	if found.Wildcard {
		kind = kindWildcard
	}
	if qtype == dns.TypeANY && !found.Empty() || name == s.Origin && (qtype == dns.TypeSOA || qtype == dns.TypeANY) {
		answerWhole(s, m, asked, name, found, qtype, tcp)
		return "", kind
	}
	if set := found.RRset(asked, qtype); len(set) > 0 {
		m.Answer = append(m.Answer, set...)
		return "", kind
	}
	if set := found.RRset(asked, dns.TypeCNAME); len(set) > 0 {
		m.Answer = append(m.Answer, set...)
		return set[0].(*dns.CNAME).Target, kind
	}
	m.Ns = append(m.Ns, s.NegativeSOA())
	return "", kindNoData
}

// answerWhole answers for the SOA record, and for ANY: over TCP with all there
// is, and over UDP, where that would serve amplification, with an HINFO record
// or, at an alias, the CNAME record (RFC 8482, section 4).
func answerWhole(s *zonedata.Snapshot, m *dns.Msg, asked, name string, found zonedata.Match, qtype uint16, tcp bool) {
	soa := []dns.RR{zonedata.Renamed(s.SOA, asked)}
	switch {
	case qtype == dns.TypeSOA:
		m.Answer = append(m.Answer, soa...)
	case tcp:
		if name == s.Origin {
			m.Answer = append(m.Answer, soa...)
		}
		m.Answer = append(m.Answer, found.All(asked)...)
	case len(found.RRset(asked, dns.TypeCNAME)) > 0:
		m.Answer = append(m.Answer, found.All(asked)...)
	default:
		h := dns.RR_Header{Name: asked, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: s.SOA.Hdr.Ttl}
		m.Answer = append(m.Answer, &dns.HINFO{Hdr: h, Cpu: "RFC8482"})
	}
}

// refer sends the asker on to the servers of a delegated zone, with their glue.
func refer(s *zonedata.Snapshot, m *dns.Msg, cut string) {
	servers := s.Delegation(cut)
	m.Ns = append(m.Ns, servers...)
	for _, rr := range servers {
		m.Extra = append(m.Extra, s.Glue(rr.(*dns.NS).Ns)...)
	}
}
