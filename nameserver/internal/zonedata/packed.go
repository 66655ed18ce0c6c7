package zonedata

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// The records of a name are held in one string: for each RRset its type, TTL,
// number of records and the size of what follows, and then for each record its
// mark, the length of its data, and the data as it is in messages.
const (
	setHeader    = 2 + 4 + 2 + 4
	recordHeader = 2 + 2

	// opaque is set in the mark of a record that is written in the form for
	// unknown types.
	opaque = 1 << 15
)

// rrset is the records of one name and type, packed.
type rrset struct {
	typ  uint16
	ttl  uint32
	n    int
	data string
}

// nextSet cuts the first RRset off a node's records.
func nextSet(sets string) (set rrset, rest string) {
	end := setHeader + int(be32(sets[8:]))
	return rrset{be16(sets), be32(sets[2:]), int(be16(sets[6:])), sets[setHeader:end]}, sets[end:]
}

// findSet returns the RRset of a type, which is empty if there is none.
func findSet(sets string, typ uint16) rrset {
	for sets != "" {
		var set rrset
		if set, sets = nextSet(sets); set.typ == typ {
			return set
		}
	}
	return rrset{}
}

// next cuts the first record off a set, and returns its mark and data.
func (s *rrset) next() (mark uint16, rdata string) {
	end := recordHeader + int(be16(s.data[2:]))
	mark, rdata, s.data = be16(s.data), s.data[recordHeader:end], s.data[end:]
	s.n--
	return mark, rdata
}

func be16(s string) uint16 { return uint16(s[0])<<8 | uint16(s[1]) }
func be32(s string) uint32 { return uint32(be16(s))<<16 | uint32(be16(s[2:])) }

// pack puts the records of a name into one string. They are sorted by type.
func pack(records []Record) (string, error) {
	var out []byte
	buf := make([]byte, 0, 512)
	for len(records) > 0 {
		h := records[0].RR.Header()
		n := slices.IndexFunc(records, func(r Record) bool { return r.RR.Header().Rrtype != h.Rrtype })
		if n < 0 {
			n = len(records)
		}
		if n > 1<<16-1 {
			return "", &RecordError{records[0].RR, "no answer can hold that many records"}
		}
		out = binary.BigEndian.AppendUint16(out, h.Rrtype)
		out = binary.BigEndian.AppendUint32(out, h.Ttl)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		size := len(out)
		out = binary.BigEndian.AppendUint32(out, 0)
		for _, r := range records[:n] {
			mark, err := markNumber(r.Mark)
			if err != nil {
				return "", err
			}
			if _, ok := r.RR.(*dns.RFC3597); ok {
				mark |= opaque
			}
			rdata, err := rdataOf(r.RR, &buf)
			if err != nil {
				return "", &RecordError{r.RR, err.Error()}
			}
			out = binary.BigEndian.AppendUint16(out, mark)
			out = binary.BigEndian.AppendUint16(out, uint16(len(rdata)))
			out = append(out, rdata...)
		}
		binary.BigEndian.PutUint32(out[size:], uint32(len(out)-size-4))
		records = records[n:]
	}
	return string(out), nil
}

// rdataOf returns the data of a record as it is in messages, without
// compression. It may be in the buffer.
func rdataOf(rr dns.RR, buf *[]byte) ([]byte, error) {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.To4(), nil
	case *dns.AAAA:
		return rr.AAAA.To16(), nil
	case *dns.RFC3597:
		return hex.DecodeString(rr.Rdata)
	}
	*buf = slices.Grow((*buf)[:0], dns.Len(rr)+16)
	b := (*buf)[:cap(*buf)]
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil, err
	}
	_, off, err := dns.UnpackDomainName(b, 0)
	if err != nil {
		return nil, err
	}
	if off += 10; off > n {
		return nil, errors.New("the data is missing")
	}
	return b[off:n], nil
}

// unpack makes a record of what is packed of it.
func unpack(name string, set rrset, mark uint16, rdata string) (Record, error) {
	h := dns.RR_Header{Name: name, Rrtype: set.typ, Class: dns.ClassINET, Ttl: set.ttl}
	m := markAt(mark &^ opaque)
	switch {
	case mark&opaque != 0:
		return Record{&dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString([]byte(rdata))}, m}, nil
	case set.typ == dns.TypeA:
		return Record{&dns.A{Hdr: h, A: []byte(rdata)}, m}, nil
	case set.typ == dns.TypeAAAA:
		return Record{&dns.AAAA{Hdr: h, AAAA: []byte(rdata)}, m}, nil
	}
	h.Rdlength = uint16(len(rdata))
	rr, _, err := dns.UnpackRRWithHeader(h, []byte(rdata), 0)
	if err != nil {
		return Record{}, fmt.Errorf("%s %s: %w", name, TypeName(set.typ), err)
	}
	rr.Header().Rdlength = 0
	return Record{withEscapes(rr), m}, nil
}

// unpackAll makes records of all that a name holds.
func unpackAll(name, sets string) []Record {
	var out []Record
	for sets != "" {
		var set rrset
		set, sets = nextSet(sets)
		out = slices.Grow(out, set.n)
		out = appendUnpacked(out, name, set)
	}
	return out
}

func appendUnpacked(to []Record, name string, set rrset) []Record {
	for set.n > 0 {
		mark, rdata := set.next()
		if r, err := unpack(name, set, mark, rdata); err == nil { // what was packed here can be unpacked
			to = append(to, r)
		}
	}
	return to
}

// unify brings the records of one name into the order and form in which they
// are held: duplicates are dropped, and an RRset has one TTL, the lowest (RFC
// 2181, section 5.2).
func unify(records []Record) []Record {
	slices.SortStableFunc(records, func(a, b Record) int {
		return int(a.RR.Header().Rrtype) - int(b.RR.Header().Rrtype)
	})
	out := records[:0]
	for len(records) > 0 {
		typ, ttl := records[0].RR.Header().Rrtype, records[0].RR.Header().Ttl
		n := 0
		for n < len(records) && records[n].RR.Header().Rrtype == typ {
			ttl = min(ttl, records[n].RR.Header().Ttl)
			n++
		}
		out = appendUnified(out, records[:n], ttl)
		records = records[n:]
	}
	return out
}

func appendUnified(out, set []Record, ttl uint32) []Record {
	seen := make(map[string][]int, len(set))
	for _, r := range set {
		if r.RR.Header().Ttl != ttl {
			r.RR = dns.Copy(r.RR)
			r.RR.Header().Ttl = ttl
		}
		key := DataKey(r.RR)
		i := slices.IndexFunc(seen[key], func(i int) bool { return SameData(out[i].RR, r.RR) })
		if i < 0 {
			seen[key] = append(seen[key], len(out))
			out = append(out, r)
			continue
		}
		twin := &out[seen[key][i]]
		twin.Mark = twin.Mark.and(r.Mark)
	}
	return out
}

// checkNode fails for records that cannot be at one name together.
func checkNode(origin string, records []Record) error {
	aliases := 0
	for _, r := range records {
		if r.RR.Header().Rrtype == dns.TypeCNAME {
			aliases++
		}
	}
	if aliases == 0 {
		return nil
	}
	i := slices.IndexFunc(records, func(r Record) bool { return r.RR.Header().Rrtype == dns.TypeCNAME })
	rr := records[i].RR
	switch {
	case strings.EqualFold(rr.Header().Name, origin):
		return &RecordError{rr, "the zone's own name has SOA and NS records and can have no CNAME beside them (RFC 1034, section 3.6.2); give it addresses"}
	case aliases > 1:
		return &RecordError{rr, "a name can have one CNAME record only"}
	case len(records) > 1:
		return &RecordError{rr, "a CNAME record can have no other records beside it (RFC 1034, section 3.6.2); delete one or the other"}
	}
	return nil
}
