package nameserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const maxTTL = 1<<31 - 1 // RFC 2181, section 8

type rrsetKey struct {
	name string
	typ  uint16
}

func keyOf(rr dns.RR) rrsetKey { return rrsetKey{rr.Header().Name, rr.Header().Rrtype} }

// fromLibdns converts records that are to be written to the zone.
func fromLibdns(s *snapshot, recs []libdns.Record) ([]dns.RR, error) {
	out := make([]dns.RR, 0, len(recs))
	for _, rec := range recs {
		rr, err := fromRR(s, rec.RR())
		if err != nil {
			return nil, err
		}
		out = append(out, rr)
	}
	return out, nil
}

func fromRR(s *snapshot, r libdns.RR) (dns.RR, error) {
	ttl := seconds(r.TTL)
	if r.TTL == 0 {
		ttl = s.soa.Hdr.Ttl
	}
	rr, err := buildRR(s.origin, r, ttl)
	if err == nil {
		err = checkRecord(s.origin, rr)
	}
	if err != nil {
		return nil, fmt.Errorf("record %q %s in zone %s: %w", r.Name, r.Type, s.origin, err)
	}
	return rr, nil
}

// buildRR converts a record. Libdns data is in zone file syntax without
// escapes, so texts are taken as they are.
func buildRR(origin string, r libdns.RR, ttl uint32) (dns.RR, error) {
	name, err := ownerName(origin, r.Name)
	if err != nil {
		return nil, err
	}
	h := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: ttl}
	switch typ := strings.ToUpper(r.Type); typ {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(r.Data)
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", r.Data)
		}
		addr = addr.Unmap()
		if addr.Is4() != (typ == "A") {
			return nil, fmt.Errorf("%s is not an address for a record of type %s", addr, typ)
		}
		r.Data = addr.String()
	case "TXT":
		h.Rrtype = dns.TypeTXT
		return normalized(&dns.TXT{Hdr: h, Txt: splitText(r.Data)})
	case "CAA":
		parsed, err := r.Parse()
		if err != nil {
			return nil, err
		}
		caa := parsed.(libdns.CAA)
		h.Rrtype = dns.TypeCAA
		return normalized(&dns.CAA{Hdr: h, Flag: caa.Flags, Tag: caa.Tag, Value: escapeText(caa.Value)})
	}
	return parseRecord(origin, name, ttl, r.Type, r.Data)
}

// toLibdns converts a record of the zone into the most specific type there is.
func toLibdns(origin string, rr dns.RR) libdns.Record {
	h := rr.Header()
	name, ttl := relativeName(origin, h.Name), time.Duration(h.Ttl)*time.Second
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ := netip.AddrFromSlice(rr.A.To4())
		return libdns.Address{Name: name, TTL: ttl, IP: addr}
	case *dns.AAAA:
		addr, _ := netip.AddrFromSlice(rr.AAAA.To16())
		return libdns.Address{Name: name, TTL: ttl, IP: addr}
	case *dns.TXT:
		return libdns.TXT{Name: name, TTL: ttl, Text: txtText(rr)}
	case *dns.CAA:
		return libdns.CAA{Name: name, TTL: ttl, Flags: rr.Flag, Tag: rr.Tag, Value: unescapeText(rr.Value)}
	case *dns.RFC3597:
		return libdns.RR{Name: name, TTL: ttl, Type: typeName(h.Rrtype), Data: fmt.Sprintf(`\# %d %s`, len(rr.Rdata)/2, rr.Rdata)}
	}
	data := strings.TrimPrefix(rr.String(), h.String())
	generic := libdns.RR{Name: name, TTL: ttl, Type: typeName(h.Rrtype), Data: data}
	if specific, err := generic.Parse(); err == nil {
		return specific
	}
	return generic // such as an SRV record whose name lacks the service
}

// matcher returns the owner name that an input of DeleteRecords means, and
// what tells which records of that name it means.
func matcher(s *snapshot, rec libdns.Record) (name string, match func(dns.RR) bool, err error) {
	r := rec.RR()
	if name, err = ownerName(s.origin, r.Name); err != nil {
		return "", nil, fmt.Errorf("record %q %s in zone %s: %w", r.Name, r.Type, s.origin, err)
	}
	return name, func(rr dns.RR) bool {
		h := rr.Header()
		if r.Type != "" && !strings.EqualFold(r.Type, typeName(h.Rrtype)) || r.TTL != 0 && seconds(r.TTL) != h.Ttl {
			return false
		}
		if r.Data == "" {
			return true
		}
		typed := r
		typed.Type = typeName(h.Rrtype) // data means something only together with a type
		want, err := buildRR(s.origin, typed, h.Ttl)
		return err == nil && sameData(want, rr)
	}, nil
}

func seconds(ttl time.Duration) uint32 { return uint32(min(max(ttl, 0)/time.Second, maxTTL)) }

// zoneName returns the canonical name of a zone.
func zoneName(name string) (string, error) {
	canonical := dns.CanonicalName(name)
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if _, ok := dns.IsDomainName(canonical); !ok || canonical == "." || strings.ContainsFunc(canonical, odd) {
		return "", fmt.Errorf("%q is not the name of a zone", name)
	}
	return canonical, nil
}

// ownerName returns the canonical name of a record. Names are relative to the
// zone unless they end with a dot.
func ownerName(origin, name string) (string, error) {
	switch {
	case name == "" || name == "@":
		return origin, nil
	case !strings.HasSuffix(name, "."):
		name += "." + origin
	}
	canonical := dns.CanonicalName(name)
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(canonical, buf, 0, nil, false)
	if err != nil {
		return "", errors.New("this is not a domain name")
	}
	if canonical, _, err = dns.UnpackDomainName(buf[:n], 0); err != nil {
		return "", err
	}
	canonical = dns.CanonicalName(canonical) // letters that were escaped are letters now
	if !dns.IsSubDomain(origin, canonical) {
		return "", fmt.Errorf("the name lies outside the zone")
	}
	return canonical, nil
}

func relativeName(origin, name string) string {
	if name == origin {
		return "@"
	}
	return strings.TrimSuffix(name, "."+origin)
}

// splitText cuts a text into the strings of a TXT record.
func splitText(text string) []string {
	if text == "" {
		return []string{""}
	}
	var out []string
	for chunk := range slices.Chunk([]byte(text), 255) {
		out = append(out, escapeText(string(chunk)))
	}
	return out
}

func txtText(rr *dns.TXT) string {
	var b strings.Builder
	for _, s := range rr.Txt {
		b.WriteString(unescapeText(s))
	}
	return b.String()
}

// escapeText and unescapeText convert between bytes and the form with zone
// file escapes that the library holds texts in.
func escapeText(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescapeText(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	isDigit := func(c byte) bool { return '0' <= c && c <= '9' }
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && isDigit(s[i]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
			b.WriteByte((s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0')
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
