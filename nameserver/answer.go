package nameserver

import (
	"github.com/miekg/dns"
)

// maxChain bounds how many CNAME records one answer follows.
const maxChain = 16

// catalog is the zones that are served, by canonical name. A zone without a
// snapshot is one that could not be loaded.
type catalog map[string]*zone

// answer fills the reply to its own question (RFC 1034, section 4.3.2).
func (c catalog) answer(m *dns.Msg, tcp bool) {
	q := m.Question[0]
	if rcode := refuseQuestion(q); rcode != dns.RcodeSuccess {
		m.Rcode = rcode
		return
	}
	asked := q.Name
	for i := range maxChain {
		name := dns.CanonicalName(asked)
		z := c.closest(name, q.Qtype)
		if z == nil {
			if i == 0 {
				m.Rcode = dns.RcodeRefused
			}
			return
		}
		s := z.served.Load()
		if s == nil {
			m.Rcode = dns.RcodeServerFailure
			return
		}
		next := s.answer(m, asked, name, q.Qtype, tcp)
		if next == "" {
			return
		}
		if looped(m.Answer, next) {
			break
		}
		asked = next
	}
	m.Rcode = dns.RcodeServerFailure // there is no end to the chain
}

func refuseQuestion(q dns.Question) int {
	switch {
	case q.Qclass != dns.ClassINET:
		return dns.RcodeRefused
	case q.Qtype == dns.TypeMAILA || q.Qtype == dns.TypeMAILB:
		return dns.RcodeNotImplemented
	case q.Qtype == dns.TypeOPT || q.Qtype == dns.TypeTSIG || q.Qtype == dns.TypeTKEY || q.Qtype == dns.TypeNone:
		return dns.RcodeFormatError
	}
	return dns.RcodeSuccess
}

// closest returns the zone that a name lies in. The DS record of a zone is
// its parent's (RFC 4035, section 3.1.4.1).
func (c catalog) closest(name string, qtype uint16) *zone {
	var own *zone
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if z := c[name[off:]]; z != nil {
			if off > 0 || qtype != dns.TypeDS {
				return z
			}
			own = z
		}
	}
	return own
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

// answer adds to the reply what the zone knows of a name, which is given as it
// was asked and in canonical form. If that is an alias, it returns its target.
func (s *snapshot) answer(m *dns.Msg, asked, name string, qtype uint16, tcp bool) (alias string) {
	if cut := s.cutAbove(name, qtype); cut != "" {
		s.refer(m, cut)
		return ""
	}
	m.Authoritative = true
	node, ok := s.nodes[name]
	if !ok {
		if node, ok = s.wildcard(name); !ok {
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, s.negativeSOA())
			return ""
		}
	}
	if qtype == dns.TypeANY && node.from < node.to || name == s.origin && (qtype == dns.TypeSOA || qtype == dns.TypeANY) {
		s.answerWhole(m, asked, name, node, qtype, tcp)
		return ""
	}
	if set := s.rrset(node, qtype); len(set) > 0 {
		m.Answer = appendAs(m.Answer, asked, set)
		return ""
	}
	if set := s.rrset(node, dns.TypeCNAME); len(set) > 0 {
		m.Answer = appendAs(m.Answer, asked, set)
		return set[0].rr.(*dns.CNAME).Target
	}
	m.Ns = append(m.Ns, s.negativeSOA())
	return ""
}

// answerWhole answers for the SOA record, and for ANY: over TCP with all there
// is, and over UDP, where that would serve amplification, with an HINFO record
// or, at an alias, the CNAME record (RFC 8482, section 4).
func (s *snapshot) answerWhole(m *dns.Msg, asked, name string, node span, qtype uint16, tcp bool) {
	all := s.records[node.from:node.to]
	switch {
	case qtype == dns.TypeSOA:
		m.Answer = appendAs(m.Answer, asked, []record{{rr: s.soa}})
	case tcp:
		if name == s.origin {
			m.Answer = appendAs(m.Answer, asked, []record{{rr: s.soa}})
		}
		m.Answer = appendAs(m.Answer, asked, all)
	case len(s.rrset(node, dns.TypeCNAME)) > 0:
		m.Answer = appendAs(m.Answer, asked, all)
	default:
		h := dns.RR_Header{Name: asked, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: s.soa.Hdr.Ttl}
		m.Answer = append(m.Answer, &dns.HINFO{Hdr: h, Cpu: "RFC8482"})
	}
}

// cutAbove returns the highest delegation point at or above a name.
func (s *snapshot) cutAbove(name string, qtype uint16) string {
	if len(s.cuts) == 0 || name == s.origin {
		return ""
	}
	cut := ""
	for off, end := 0, false; !end && len(name)-off > len(s.origin); off, end = dns.NextLabel(name, off) {
		if s.cuts[name[off:]] && (off > 0 || qtype != dns.TypeDS) {
			cut = name[off:]
		}
	}
	return cut
}

// refer sends the asker on to the servers of a delegated zone, with their glue:
// the addresses of those that lie in delegated zones themselves (RFC 9471).
func (s *snapshot) refer(m *dns.Msg, cut string) {
	set := s.rrset(s.nodes[cut], dns.TypeNS)
	m.Ns = appendAs(m.Ns, cut, set)
	for _, r := range set {
		host := r.rr.(*dns.NS).Ns
		node := s.nodes[host]
		if node.from < node.to && s.cutAbove(host, dns.TypeA) != "" {
			m.Extra = appendAs(m.Extra, host, s.rrset(node, dns.TypeA))
			m.Extra = appendAs(m.Extra, host, s.rrset(node, dns.TypeAAAA))
		}
	}
}

// wildcard returns the source of synthesis for a name that does not exist
// (RFC 4592, section 3.3.1).
func (s *snapshot) wildcard(name string) (span, bool) {
	for off, end := dns.NextLabel(name, 0); !end; off, end = dns.NextLabel(name, off) {
		if _, exists := s.nodes[name[off:]]; exists {
			node, ok := s.nodes["*."+name[off:]]
			return node, ok
		}
	}
	return span{}, false
}

// negativeSOA is the SOA record that tells how long a negative answer may be
// kept (RFC 2308, section 3).
func (s *snapshot) negativeSOA() dns.RR {
	if s.soa.Hdr.Ttl <= s.soa.Minttl {
		return s.soa
	}
	soa := *s.soa
	soa.Hdr.Ttl = s.soa.Minttl
	return &soa
}

// appendAs adds records under the owner name as it was asked, so that its case
// comes back to those who use it as a nonce.
func appendAs(to []dns.RR, owner string, set []record) []dns.RR {
	for _, r := range set {
		if rr := r.rr; rr.Header().Name == owner {
			to = append(to, rr)
		} else {
			to = append(to, renamed(rr, owner))
		}
	}
	return to
}
