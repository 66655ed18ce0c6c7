package nameserver

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// udpSize is the largest UDP answer, and what is announced as such: it fits
// every path without fragments (DNS flag day 2020).
const udpSize = 1232

// handler answers queries by one configuration.
type handler struct {
	zones     catalog
	wire      wireCatalog                // the same zones
	transfers map[string]*transferPolicy // by zone
	keys      tsigKeys
	limit     *limiter // nil: no limit
	now       func() time.Time
	logger    *zap.Logger
}

// ServeDNS answers one query.
func (h *handler) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	client, tcp := clientOf(w.RemoteAddr())
	m := new(dns.Msg)
	m.SetReply(q)
	if tsig := q.IsTsig(); tsig != nil && w.TsigStatus() != nil {
		if !tcp && h.limit.check(client, kindError, nil, h.now()) != send {
			return
		}
		counted.outside.add(tcp, dns.RcodeNotAuth)
		refuseSignature(w, m, tsig, w.TsigStatus(), h.now())
		return
	}
	opt, proven := h.checkEDNS(m, q, client)
	o := outcome{kind: kindError}
	switch {
	case m.Rcode != dns.RcodeSuccess:
	case len(q.Question) == 0: // for a cookie
	case isTransfer(q.Question[0]):
		if h.transfer(w, q, m, opt.reply) {
			return
		}
	default:
		o = h.zones.answer(m, tcp)
	}
	if !tcp && !proven {
		switch h.limit.check(client, o.kind, []byte(o.name), h.now()) {
		case drop:
			return
		case sendTruncated:
			m.Truncated = true
			m.Answer, m.Ns, m.Extra = nil, nil, nil
		}
	}
	if o.zone != nil {
		o.zone.queries.add(tcp, m.Rcode)
	} else {
		counted.outside.add(tcp, m.Rcode)
	}
	h.finish(m, q, opt, tcp)
	_ = w.WriteMsg(m)
}

// transfer sends a zone to who asks for the whole of it.
func (h *handler) transfer(w dns.ResponseWriter, q, m *dns.Msg, opt *dns.OPT) bool {
	name := dns.CanonicalName(q.Question[0].Name)
	if z := h.zones[name]; z != nil {
		return transfer(w, q, m, opt, z, h.transfers[name], h.now(), h.logger)
	}
	m.Rcode = dns.RcodeNotAuth
	if h.zones.closest(name, dns.TypeSOA) == nil {
		m.Rcode = dns.RcodeRefused
	}
	return false
}

// edns is the OPT record of the reply, and what the client takes over UDP.
type edns struct {
	reply  *dns.OPT
	accept int
}

// checkEDNS judges what in a query is not its question, and prepares the OPT
// record of the reply (RFC 6891). It also reports whether the client has
// proven its address with a cookie.
func (h *handler) checkEDNS(m, q *dns.Msg, client netip.Addr) (e edns, proven bool) {
	e.accept = dns.MinMsgSize
	if len(q.Question) > 1 {
		m.Rcode = dns.RcodeFormatError
		return e, false
	}
	cookies := 0
	var opt *dns.OPT
	for _, rr := range q.Extra {
		o, ok := rr.(*dns.OPT)
		if !ok {
			continue
		}
		if opt != nil {
			m.Rcode = dns.RcodeFormatError
			return e, false
		}
		opt = o
	}
	if opt != nil {
		e.accept = min(max(int(opt.UDPSize()), dns.MinMsgSize), udpSize)
		e.reply = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		e.reply.SetUDPSize(udpSize)
		e.reply.SetDo(opt.Do())
		if opt.Version() != 0 {
			m.Rcode = dns.RcodeBadVers
			return e, false
		}
		for _, o := range opt.Option {
			c, ok := o.(*dns.EDNS0_COOKIE)
			if !ok {
				continue
			}
			cookie, good, wellFormed := checkCookie(c, client, h.now())
			if !wellFormed {
				m.Rcode = dns.RcodeFormatError
				return e, false
			}
			cookies++
			proven = good
			e.reply.Option = append(e.reply.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie})
			break
		}
	}
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(q.Question) == 0 && cookies == 0: // RFC 7873, section 5.4
		m.Rcode = dns.RcodeFormatError
	}
	return e, proven
}

// finish adds what concerns the message and not the answer: the OPT record,
// truncation, compression, signature.
func (h *handler) finish(m, q *dns.Msg, e edns, tcp bool) {
	size := e.accept
	if tcp {
		size = dns.MaxMsgSize
	}
	if e.reply != nil {
		m.Extra = append(m.Extra, e.reply)
	}
	tsig := q.IsTsig()
	if tsig != nil {
		size -= signatureSize(tsig)
	}
	m.Truncate(size)
	m.Compress = true
	if m.Len() > size { // the library truncates to no less than 512 bytes
		m.Truncated = true
		m.Answer, m.Ns, m.Extra = nil, nil, nil
		if e.reply != nil {
			m.Extra = []dns.RR{e.reply}
		}
	}
	if tsig != nil {
		m.SetTsig(tsig.Hdr.Name, tsig.Algorithm, fudge, h.now().Unix())
	}
}
