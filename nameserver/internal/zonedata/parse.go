package zonedata

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// ParseRecord reads the type and data of one record in master file syntax, for
// an owner name in canonical form. Data may not smuggle in a second record.
func ParseRecord(origin, name string, ttl uint32, typ, data string) (dns.RR, error) {
	if strings.ContainsAny(data, "\r\n") {
		return nil, errors.New("a record is one line")
	}
	t, ok := dns.StringToType[strings.ToUpper(typ)]
	if !ok && !strings.HasPrefix(strings.ToUpper(typ), "TYPE") {
		return nil, fmt.Errorf("%q is no record type (like A, AAAA, CNAME, TXT, MX, SRV)", typ)
	}
	line := fmt.Sprintf("@ %d IN %s %s\n", ttl, strings.ToUpper(typ), data)
	zp := dns.NewZoneParser(strings.NewReader(line), origin, "")
	rr, _ := zp.Next()
	if err := zp.Err(); err != nil {
		msg, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "dns: "), " at line:")
		return nil, fmt.Errorf("not the data of a record of type %s (%s)", strings.ToUpper(typ), msg)
	}
	if rr == nil || ok && rr.Header().Rrtype != t {
		return nil, errors.New("not a record")
	}
	if zp.Comment() != "" {
		return nil, fmt.Errorf("what follows the semicolon is a comment (%s): put a text with a semicolon in quotes", zp.Comment())
	}
	rr.Header().Name = name
	return Normalized(rr)
}

// RelativeTarget returns the name that a relative name in the data of a record
// became, where that name has a dot: most likely it was meant to be whole.
func RelativeTarget(origin, typ, data string) (becomes string, dotted bool) {
	switch strings.ToUpper(typ) {
	case "CNAME", "NS", "MX", "SRV", "PTR", "SVCB", "HTTPS":
	default:
		return "", false
	}
	within, err := dns.NewRR(". 0 IN " + typ + " " + data) // relative to the root
	if err != nil || within == nil {
		return "", false
	}
	name := targetOf(within)
	if strings.Count(name, ".") < 2 {
		return "", false
	}
	if zp := dns.NewZoneParser(strings.NewReader(". 0 IN "+typ+" "+data+"\n"), origin, ""); zp != nil {
		if rr, ok := zp.Next(); ok && targetOf(rr) != name {
			return targetOf(rr), true
		}
	}
	return "", false
}

// targetOf returns the name that a record points to.
func targetOf(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.CNAME:
		return rr.Target
	case *dns.NS:
		return rr.Ns
	case *dns.MX:
		return rr.Mx
	case *dns.SRV:
		return rr.Target
	case *dns.PTR:
		return rr.Ptr
	case *dns.SVCB:
		return rr.Target
	case *dns.HTTPS:
		return rr.Target
	}
	return ""
}
