package nameserver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

const (
	headerSize = 12
	optSize    = 11 // of an OPT record without options

	bitResponse      = 1 << 15
	bitAuthoritative = 1 << 10
	bitsOpcode       = 15 << 11
	bitDesired       = 1 << 8
	bitChecking      = 1 << 4
	bitTruncated     = 1 << 9
)

// answerFast appends the answer to a query over UDP to an empty buffer. It
// makes no garbage and knows only what is common: one question of class IN, at
// most an OPT record without options, an answer that fits. It returns nothing
// for what it leaves to others, and for what is dropped, which is told apart by
// done.
func (h *handler) answerFast(packet, buf []byte, client netip.Addr, now time.Time) (out []byte, done bool) {
	if len(packet) < headerSize+5 || len(packet) > 512 {
		return nil, false
	}
	field := func(i int) uint16 { return binary.BigEndian.Uint16(packet[i:]) }
	bits := field(2)
	if bits&(bitResponse|bitsOpcode|bitTruncated) != 0 || field(4) != 1 || field(6) != 0 || field(8) != 0 || field(10) > 1 {
		return nil, false
	}
	var lowered [256]byte
	name, ok := questionName(packet[headerSize:], lowered[:0])
	end := headerSize + len(name) + 4
	if !ok || end > len(packet) || field(end-2) != dns.ClassINET {
		return nil, false
	}
	limit, edns, ok := plainOPT(packet[end:], field(10))
	if !ok {
		return nil, false
	}
	z, originAt := h.wire.closest(name)
	if z == nil {
		return nil, false
	}
	s := z.served.Load()
	if s == nil {
		return nil, false
	}
	out = append(buf[:0], packet[:end]...)
	out, a, ok := s.AppendAnswer(out, zonedata.Query{
		Key: name[:originAt], Type: field(end - 4),
		Lower: string(name[originAt:]) == string(packet[headerSize+originAt:headerSize+len(name)]),
	})
	if !ok || len(out)+len(edns) > limit {
		return nil, false
	}
	kind, of := kindAnswer, name
	switch {
	case a.Rcode == dns.RcodeNameError:
		kind, of = kindNoName, name[originAt:]
	case a.Servers > 0:
		kind, of = kindNoData, name[originAt:]
	case a.Wildcard:
		kind, of = kindWildcard, name[originAt:]
	}
	bits = bits&(bitDesired|bitChecking) | bitResponse | bitAuthoritative | uint16(a.Rcode)
	switch h.limit.check(client, kind, of, now) {
	case drop:
		return nil, true
	case sendTruncated:
		bits |= bitTruncated
		out = out[:end]
		a.Answers, a.Servers = 0, 0
	}
	z.queries.add(false, a.Rcode)
	extra := uint16(0)
	if edns != nil {
		out = append(out, 0, 0, byte(dns.TypeOPT), udpSize>>8, udpSize&0xff, 0, 0, edns[7]&0x80, 0, 0, 0)
		extra = 1
	}
	binary.BigEndian.PutUint16(out[2:], bits)
	binary.BigEndian.PutUint16(out[6:], uint16(a.Answers))
	binary.BigEndian.PutUint16(out[8:], uint16(a.Servers))
	binary.BigEndian.PutUint16(out[10:], extra)
	return out, true
}

// questionName appends the name of a question in lower case.
func questionName(question, to []byte) (name []byte, ok bool) {
	for at := 0; at < len(question); {
		n := int(question[at])
		if n > 63 || len(to)+1+n > 255 || at+1+n > len(question) {
			return nil, false
		}
		to = append(to, byte(n))
		at++
		if n == 0 {
			return to, true
		}
		for _, c := range question[at : at+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			to = append(to, c)
		}
		at += n
	}
	return nil, false
}

// plainOPT judges what follows the question, which may be an OPT record of
// version 0 without options. It returns that, and how large the answer may be.
func plainOPT(rest []byte, records uint16) (limit int, opt []byte, ok bool) {
	if records == 0 {
		return dns.MinMsgSize, nil, len(rest) == 0
	}
	if len(rest) != optSize || rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != dns.TypeOPT || rest[5] != 0 || rest[6] != 0 ||
		rest[9] != 0 || rest[10] != 0 {
		return 0, nil, false
	}
	size := int(binary.BigEndian.Uint16(rest[3:]))
	return min(max(size, dns.MinMsgSize), udpSize), rest, true
}
