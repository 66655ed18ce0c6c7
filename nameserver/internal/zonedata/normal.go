package zonedata

import (
	"strings"

	"github.com/miekg/dns"
)

// Normalized brings names and escapes to the form that names have when they
// come in a query, and shows that the record can be sent, and be written so
// that it is read as the same. Owner names become lower case. Where the library
// does not read its own text, the record gets the form for unknown types (RFC
// 3597).
func Normalized(rr dns.RR) (dns.RR, error) {
	out, err := repacked(rr)
	if err != nil {
		return nil, err
	}
	switch out.(type) {
	case *dns.A, *dns.AAAA, *dns.RFC3597:
		return out, nil
	case *dns.NULL: // the library writes it as a comment
	default:
		_, rest, _ := strings.Cut(out.String(), "\t")
		parsed, err := dns.NewRR(".\t" + rest)
		if err != nil || parsed == nil {
			return nil, &RecordError{out, "the data is incomplete or malformed"}
		}
		parsed.Header().Name = out.Header().Name
		if again, err := repacked(parsed); err == nil && again.String() == out.String() {
			return out, nil
		}
	}
	switch out.(type) {
	case *dns.NS, *dns.CNAME, *dns.SOA, *dns.TXT:
		return nil, &RecordError{out, "the data is malformed"}
	}
	generic := new(dns.RFC3597)
	if err := generic.ToRFC3597(out); err != nil {
		return nil, err
	}
	generic.Hdr.Rdlength = 0
	return generic, nil
}

// repacked returns the record as it comes out of a message.
func repacked(rr dns.RR) (dns.RR, error) {
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	if blank, ok := dns.TypeToRR[h.Rrtype]; ok {
		// For the sake of dynamic updates the library takes records without data.
		b := blank()
		*b.Header() = *h
		if b.String() == rr.String() {
			return nil, &RecordError{rr, "the data is missing"}
		}
	}
	buf := make([]byte, dns.Len(rr)+16)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	out, _, err := dns.UnpackRR(buf[:n], 0)
	if err != nil {
		return nil, err
	}
	h = out.Header()
	h.Rdlength = 0
	h.Name = dns.CanonicalName(h.Name) // letters that were escaped are letters now
	if ns, ok := out.(*dns.NS); ok {
		ns.Ns = dns.CanonicalName(ns.Ns)
	}
	return withEscapes(out), nil
}

// withEscapes completes a record that the library has unpacked: it reads the
// text of these two types without escapes, but writes it with.
func withEscapes(rr dns.RR) dns.RR {
	switch rr := rr.(type) {
	case *dns.CAA:
		rr.Value = EscapeText(rr.Value)
	case *dns.URI:
		rr.Target = EscapeText(rr.Target)
	}
	return rr
}
