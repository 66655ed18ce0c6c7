package nameserver

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// provenance says where a record of a zone comes from. The zone file keeps it
// as a comment, so that what the configuration no longer says can be taken out.
type provenance uint8

const (
	dynamic   provenance = iota // set through the provider, or by hand
	fixed                       // said by the configuration
	following                   // an NS record of the configuration, whose host has the zone's own addresses
	derived                     // an address of such a host
)

type record struct {
	rr   dns.RR
	from provenance
}

// snapshot is a whole zone at one time. Neither it nor its records ever
// change, so any number of goroutines may read it.
type snapshot struct {
	origin  string // canonical, with the trailing dot
	soa     *dns.SOA
	records []record        // without the SOA; sorted, so that RRsets are contiguous
	nodes   map[string]span // all names that exist, also empty non-terminals
	cuts    map[string]bool // delegation points below the apex
}

// span is the part of a snapshot's records that one owner name holds.
type span struct{ from, to int32 }

// recordError is what is wrong with a record, in the context of its zone.
type recordError struct {
	rr  dns.RR
	msg string
}

func (e *recordError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.rr.Header().Name, typeName(e.rr.Header().Rrtype), e.msg)
}

// buildZone checks the records as a zone and indexes them. Duplicates are
// dropped, an RRset gets one TTL (RFC 2181, section 5.2), and hosts of name
// servers that follow the zone get its addresses.
func buildZone(origin string, soa *dns.SOA, records []record) (*snapshot, error) {
	s := &snapshot{origin: origin, soa: soa, cuts: make(map[string]bool)}
	s.records = make([]record, 0, len(records)+2)
	for _, r := range records {
		if r.from == derived {
			continue
		}
		if err := checkRecord(origin, r.rr); err != nil {
			return nil, err
		}
		s.records = append(s.records, r)
	}
	s.records = append(s.records, deriveAddresses(origin, s.records)...)
	slices.SortStableFunc(s.records, func(a, b record) int { return compareOwners(origin, a.rr.Header(), b.rr.Header()) })
	s.records = unifyRRsets(s.records)
	if err := s.index(); err != nil {
		return nil, err
	}
	servers := s.rrset(s.nodes[origin], dns.TypeNS)
	if len(servers) == 0 {
		return nil, &recordError{soa, "the zone has no NS record at its apex"}
	}
	for _, r := range servers {
		if set := s.rrset(s.nodes[r.rr.(*dns.NS).Ns], dns.TypeCNAME); len(set) > 0 {
			return nil, &recordError{set[0].rr, "the name of a name server must not be an alias (RFC 2181, section 10.3): give it addresses"}
		}
	}
	return s, nil
}

func compareOwners(origin string, a, b *dns.RR_Header) int {
	if a.Name != b.Name {
		switch origin {
		case a.Name:
			return -1
		case b.Name:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	}
	return cmp.Compare(a.Rrtype, b.Rrtype)
}

func checkRecord(origin string, rr dns.RR) error {
	h := rr.Header()
	switch {
	case !dns.IsSubDomain(origin, h.Name):
		return &recordError{rr, "the name is outside the zone " + origin}
	case h.Class != dns.ClassINET:
		return &recordError{rr, "only class IN is served"}
	case h.Rrtype == dns.TypeSOA:
		return &recordError{rr, "a zone has one SOA record, at its apex"}
	case h.Rrtype == dns.TypeNS && strings.HasPrefix(h.Name, "*."):
		return &recordError{rr, "a wildcard cannot be delegated (RFC 4592, section 4.2)"}
	case h.Name == origin && h.Rrtype == dns.TypeDS:
		return &recordError{rr, "the DS record of a zone belongs in its parent zone"}
	}
	switch h.Rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNAME:
		return &recordError{rr, "records of this type need what this server does not do (DNSSEC signing, DNAME)"}
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB, dns.TypeNone:
		return &recordError{rr, "no record of a zone has this type"}
	}
	return nil
}

// deriveAddresses gives each host whose NS record says that it follows the
// zone the addresses of the apex, by family, unless it has its own.
func deriveAddresses(origin string, records []record) []record {
	var hosts []string
	for _, r := range records {
		if r.from == following {
			hosts = append(hosts, r.rr.(*dns.NS).Ns)
		}
	}
	own := make(map[rrsetKey]bool) // of the hosts
	var apex []dns.RR
	for _, r := range records {
		h := r.rr.Header()
		if h.Name == origin && isAddress(h.Rrtype) {
			apex = append(apex, r.rr)
		}
		if !slices.Contains(hosts, h.Name) {
			continue
		}
		switch h.Rrtype {
		case dns.TypeCNAME:
			own[rrsetKey{h.Name, dns.TypeA}], own[rrsetKey{h.Name, dns.TypeAAAA}] = true, true
		case dns.TypeA, dns.TypeAAAA:
			own[keyOf(r.rr)] = true
		}
	}
	var out []record
	for _, host := range hosts {
		for _, rr := range apex {
			if !own[rrsetKey{host, rr.Header().Rrtype}] {
				out = append(out, record{renamed(rr, host), derived})
			}
		}
	}
	return out
}

// unifyRRsets drops duplicates from sorted records, and gives each RRset the
// lowest of its TTLs.
func unifyRRsets(records []record) []record {
	out := records[:0]
	for len(records) > 0 {
		n := 1
		for n < len(records) && compareOwners("", records[0].rr.Header(), records[n].rr.Header()) == 0 {
			n++
		}
		set := records[:n]
		records = records[n:]
		ttl := set[0].rr.Header().Ttl
		for _, r := range set[1:] {
			ttl = min(ttl, r.rr.Header().Ttl)
		}
		start := len(out)
		for _, r := range set {
			if r.rr.Header().Ttl != ttl {
				r.rr = dns.Copy(r.rr)
				r.rr.Header().Ttl = ttl
			}
			i := slices.IndexFunc(out[start:], func(o record) bool { return sameData(o.rr, r.rr) })
			if i < 0 {
				out = append(out, r)
			} else {
				out[start+i].from = max(out[start+i].from, r.from)
			}
		}
	}
	return out
}

// index fills nodes and cuts, and checks what concerns several records.
func (s *snapshot) index() error {
	s.nodes = make(map[string]span, len(s.records)+1)
	s.nodes[s.origin] = span{}
	for i := 0; i < len(s.records); {
		first := s.records[i].rr
		name := first.Header().Name
		j := i
		for j < len(s.records) && s.records[j].rr.Header().Name == name {
			j++
		}
		sp := span{int32(i), int32(j)}
		if err := s.checkNode(name, sp); err != nil {
			return err
		}
		s.nodes[name] = sp
		for parent := name; parent != s.origin; {
			off, end := dns.NextLabel(parent, 0)
			if end {
				break
			}
			parent = parent[off:]
			if _, ok := s.nodes[parent]; ok {
				break
			}
			s.nodes[parent] = span{}
		}
		i = j
	}
	return nil
}

func (s *snapshot) checkNode(name string, sp span) error {
	if set := s.rrset(sp, dns.TypeCNAME); len(set) > 0 {
		switch {
		case name == s.origin:
			return &recordError{set[0].rr, "the zone's own name has SOA and NS records and can have no CNAME beside them (RFC 1034, section 3.6.2); give it addresses"}
		case len(set) > 1:
			return &recordError{set[0].rr, "a name can have one CNAME record only"}
		case int(sp.to-sp.from) > 1:
			return &recordError{set[0].rr, "a CNAME record can have no other records beside it (RFC 1034, section 3.6.2); delete one or the other"}
		}
	}
	if name != s.origin && len(s.rrset(sp, dns.TypeNS)) > 0 {
		s.cuts[name] = true
	}
	return nil
}

// rrset returns the records of one type among those of a name.
func (s *snapshot) rrset(sp span, typ uint16) []record {
	from := sp.from
	for from < sp.to && s.records[from].rr.Header().Rrtype != typ {
		from++
	}
	to := from
	for to < sp.to && s.records[to].rr.Header().Rrtype == typ {
		to++
	}
	return s.records[from:to]
}

// withSerial returns the same zone with another serial.
func (s *snapshot) withSerial(serial uint32) *snapshot {
	t := *s
	soa := *s.soa
	soa.Serial = serial
	t.soa = &soa
	return &t
}

// same reports whether two zones hold the same, serials apart.
func (s *snapshot) same(t *snapshot) bool {
	return s.soa.String() == t.withSerial(s.soa.Serial).soa.String() &&
		slices.EqualFunc(s.records, t.records, func(a, b record) bool {
			return a.from == b.from && (a.rr == b.rr || a.rr.String() == b.rr.String())
		})
}

// serialLess compares serials by RFC 1982.
func serialLess(a, b uint32) bool { return int32(b-a) > 0 }

// nextSerial is a serial after old: the time where that is later, so that a
// zone that lost its file does not go back.
func nextSerial(old uint32, now int64) uint32 {
	if t := uint32(now); serialLess(old, t) {
		return t
	}
	return max(old+1, 1)
}

func isAddress(typ uint16) bool { return typ == dns.TypeA || typ == dns.TypeAAAA }

func typeName(typ uint16) string { return dns.Type(typ).String() }

func renamed(rr dns.RR, name string) dns.RR {
	rr = dns.Copy(rr)
	rr.Header().Name = name
	return rr
}

// sameData reports whether two records are the same, TTLs apart. How a TXT
// record's text is cut into strings does not matter.
func sameData(a, b dns.RR) bool {
	ta, ok := a.(*dns.TXT)
	tb, ok2 := b.(*dns.TXT)
	if ok && ok2 && a.Header().Name == b.Header().Name {
		return txtText(ta) == txtText(tb)
	}
	return dns.IsDuplicate(a, b)
}
