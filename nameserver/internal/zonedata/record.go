package zonedata

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Record is a record of a zone, and where it comes from.
type Record struct {
	RR   dns.RR
	Mark Mark
}

// RecordError is what is wrong with a record, in the context of its zone.
type RecordError struct {
	RR  dns.RR
	Msg string
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.RR.Header().Name, TypeName(e.RR.Header().Rrtype), e.Msg)
}

// TypeName returns the name of a record type.
func TypeName(typ uint16) string { return dns.Type(typ).String() }

// IsAddress reports whether records of a type hold addresses.
func IsAddress(typ uint16) bool { return typ == dns.TypeA || typ == dns.TypeAAAA }

// Renamed returns the record under another name.
func Renamed(rr dns.RR, name string) dns.RR {
	rr = dns.Copy(rr)
	rr.Header().Name = name
	return rr
}

// CheckRecord fails for a record that can be in no zone, or not in this one.
func CheckRecord(origin string, rr dns.RR) error {
	h := rr.Header()
	switch {
	case !dns.IsSubDomain(origin, h.Name):
		return &RecordError{rr, "the name is outside the zone " + origin}
	case h.Class != dns.ClassINET:
		return &RecordError{rr, "only class IN is served"}
	case h.Rrtype == dns.TypeSOA:
		return &RecordError{rr, "a zone has one SOA record, at its apex"}
	case h.Rrtype == dns.TypeNS && strings.HasPrefix(h.Name, "*."):
		return &RecordError{rr, "a wildcard cannot be delegated (RFC 4592, section 4.2)"}
	case h.Name == origin && h.Rrtype == dns.TypeDS:
		return &RecordError{rr, "the DS record of a zone belongs in its parent zone"}
	}
	switch h.Rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNAME:
		return &RecordError{rr, "records of this type need what this server does not do (DNSSEC signing, DNAME)"}
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB,
		dns.TypeNone, dns.TypeNXNAME:
		return &RecordError{rr, "no record of a zone has this type"}
	}
	return nil
}

// SameData reports whether two records are the same, TTLs apart. How a TXT
// record's text is cut into strings does not matter.
func SameData(a, b dns.RR) bool {
	ta, ok := a.(*dns.TXT)
	tb, ok2 := b.(*dns.TXT)
	if ok && ok2 && a.Header().Name == b.Header().Name {
		return Text(ta) == Text(tb)
	}
	return dns.IsDuplicate(a, b)
}

// DataKey returns what records that are the same have in common; those that
// have it in common need not be the same.
func DataKey(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return string(rr.A.To4())
	case *dns.AAAA:
		return string(rr.AAAA.To16())
	case *dns.TXT:
		return Text(rr)
	case *dns.RFC3597:
		return strings.ToLower(rr.Rdata)
	}
	return strings.ToLower(strings.TrimPrefix(rr.String(), rr.Header().String()))
}
