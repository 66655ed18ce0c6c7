package zonedata

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// A name in a message is where the question has it: right after the header.
const (
	questionAt = 12
	pointer    = 0xc000
)

// maxChain bounds how many CNAME records one answer follows.
const maxChain = 16

// Query is a question in wire form.
type Query struct {
	// Key is the name that is asked for, in lower case, without the origin.
	Key  []byte
	Type uint16
	// Lower is whether the question has the origin in lower case. Otherwise
	// names in data, which keep their case, cannot point to it.
	Lower bool
}

// Answer is what AppendAnswer has appended.
type Answer struct {
	Rcode            int
	Answers, Servers int  // records of these sections
	Wildcard         bool // a wildcard stood in for the name
}

// AppendAnswer appends the answer to a query to a message of which the header
// and the question are there. It makes no garbage. What is rare it leaves to
// those who have more means, and reports that as not ok: delegations, aliases
// that lead out of the zone, types whose data has names, ANY.
func (s *Snapshot) AppendAnswer(msg []byte, q Query) (out []byte, a Answer, ok bool) {
	switch q.Type {
	case dns.TypeANY, dns.TypeSOA, dns.TypeNone, dns.TypeMAILA, dns.TypeMAILB, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY,
		dns.TypeAXFR, dns.TypeIXFR, dns.TypeNXNAME, dns.TypeDS:
		return msg, a, false
	}
	originAt := questionAt + len(q.Key)
	owner := questionAt
	key := q.Key
	var buf [maxName]byte
	for range maxChain {
		n, cut := s.lookup(key, q.Type)
		a.Wildcard = a.Wildcard || n != nil && n.name != string(key)
		switch {
		case cut:
			return msg, a, false
		case n == nil:
			a.Rcode, a.Servers = dns.RcodeNameError, 1
			return s.appendSOA(msg, originAt, q.Lower), a, true
		}
		if set := findSet(n.sets, q.Type); set.n > 0 {
			if hasNames(q.Type) {
				return msg, a, false
			}
			a.Answers += set.n
			return appendSet(msg, owner, set), a, true
		}
		set := findSet(n.sets, dns.TypeCNAME)
		if set.n == 0 {
			a.Servers = 1
			return s.appendSOA(msg, originAt, q.Lower), a, true
		}
		_, target := set.next()
		inZone := len(target) - len(s.wire)
		if inZone < 0 {
			return msg, a, false
		}
		key = lower(buf[:0], target)
		if string(key[inZone:]) != s.wire || !onLabel(target, inZone) {
			return msg, a, false
		}
		key = key[:inZone]
		if q.Lower {
			msg = appendHeader(msg, owner, dns.TypeCNAME, set.ttl, inZone+2)
			owner = len(msg)
			msg = binary.BigEndian.AppendUint16(append(msg, target[:inZone]...), pointer|uint16(originAt))
		} else {
			msg = appendHeader(msg, owner, dns.TypeCNAME, set.ttl, len(target))
			owner = len(msg)
			msg = append(msg, target...)
		}
		if inZone == 0 && q.Lower {
			owner = originAt
		}
		a.Answers++
	}
	return msg, a, false // there is no end to the chain
}

// hasNames reports whether the data of a type has names that are compressed.
func hasNames(typ uint16) bool {
	switch typ {
	case dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeSRV, dns.TypeCAA, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeTLSA, dns.TypeSSHFP:
		return false
	}
	return true
}

func appendHeader(msg []byte, owner int, typ uint16, ttl uint32, size int) []byte {
	msg = binary.BigEndian.AppendUint16(msg, pointer|uint16(owner))
	msg = binary.BigEndian.AppendUint16(msg, typ)
	msg = binary.BigEndian.AppendUint16(msg, dns.ClassINET)
	msg = binary.BigEndian.AppendUint32(msg, ttl)
	return binary.BigEndian.AppendUint16(msg, uint16(size))
}

func appendSet(msg []byte, owner int, set rrset) []byte {
	for set.n > 0 {
		_, rdata := set.next()
		msg = append(appendHeader(msg, owner, set.typ, set.ttl, len(rdata)), rdata...)
	}
	return msg
}

func (s *Snapshot) appendSOA(msg []byte, originAt int, lower bool) []byte {
	msg = appendHeader(msg, originAt, dns.TypeSOA, s.soa.ttl, 0)
	begin := len(msg)
	for _, n := range [2]*soaName{&s.soa.mname, &s.soa.rname} {
		msg = append(msg, n.wire...)
		switch {
		case n.inZone && !lower:
			msg = append(msg, s.wire...)
		case n.inZone:
			msg = binary.BigEndian.AppendUint16(msg, pointer|uint16(originAt))
		}
	}
	msg = append(msg, s.soa.rest...)
	binary.BigEndian.PutUint16(msg[begin-2:], uint16(len(msg)-begin))
	return msg
}

// lower appends a name in wire form in lower case. Its label lengths, which are
// below 64, are no letters.
func lower(to []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}
