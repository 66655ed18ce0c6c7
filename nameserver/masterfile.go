package nameserver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// provenances are the comments by which a zone file says where a record comes
// from. A record without one is dynamic.
var provenances = map[provenance]string{
	fixed:     "config",
	following: "config, address follows @",
	derived:   "follows @",
}

// formatZone writes the zone as a master file (RFC 1035, section 5).
func (s *snapshot) format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "; Zone %s, kept by Caddy's nameserver. Changes made to this file are taken up\n", strings.TrimSuffix(s.origin, "."))
	b.WriteString("; within 5 seconds. Records marked \"config\" come from Caddy's configuration, and\n" +
		"; those marked \"follows\" from other records; other comments are not kept.\n")
	fmt.Fprintf(&b, "$ORIGIN %s\n", s.origin)
	writeRecord(&b, s.origin, record{rr: s.soa})
	for _, r := range s.records {
		writeRecord(&b, s.origin, r)
	}
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "%s%x\n", checksumMark, sum[:8])
	return b.Bytes()
}

// checksumMark begins the last line of a file that a Caddy wrote. Where the
// checksum does not fit, the file was edited since.
const checksumMark = "; as written by Caddy: "

func hasChecksum(data []byte) bool {
	i := bytes.LastIndex(data, []byte(checksumMark))
	if i < 0 {
		return false
	}
	sum := sha256.Sum256(data[:i])
	return string(data[i:]) == fmt.Sprintf("%s%x\n", checksumMark, sum[:8])
}

func writeRecord(b *bytes.Buffer, origin string, r record) {
	owner, rest, _ := strings.Cut(r.rr.String(), "\t")
	if owner == origin {
		owner = "@"
	} else {
		owner = strings.TrimSuffix(owner, "."+origin)
	}
	if strings.HasPrefix(owner, "$") {
		owner = `\` + owner // else it would be read as a directive
	}
	b.WriteString(owner)
	b.WriteByte('\t')
	b.WriteString(rest)
	if c := provenances[r.from]; c != "" {
		b.WriteString(" ; " + c)
	}
	b.WriteByte('\n')
}

// checkFile shows that what is written of the zone will be read as this very
// zone, so that no record that was accepted makes its file unreadable.
func (s *snapshot) checkFile(data []byte) error {
	again, err := parseZone(s.origin, "zone file", data)
	if err == nil && again.same(s) && again.soa.Serial == s.soa.Serial {
		return nil
	}
	for _, r := range s.records {
		var line bytes.Buffer
		writeRecord(&line, s.origin, r)
		zp := dns.NewZoneParser(&line, s.origin, "")
		rr, ok := zp.Next()
		if ok {
			rr, err = normalized(rr)
		}
		if !ok || err != nil || rr.String() != r.rr.String() || parseProvenance(zp.Comment(), rr) != r.from {
			return &recordError{r.rr, "the record cannot be written to a zone file so that it is read as the same"}
		}
	}
	if err == nil {
		err = errors.New("it is read as another one")
	}
	return fmt.Errorf("zone %s cannot be written to a file: %w", s.origin, err)
}

// parseZone reads a master file. Errors name the file and the line.
func parseZone(origin, file string, data []byte) (*snapshot, error) {
	in := &lineCounter{data: data}
	zp := dns.NewZoneParser(in, origin, file)
	var (
		soa     *dns.SOA
		size    = bytes.Count(data, []byte("\n")) // most often one record a line
		records = make([]record, 0, size)
		lines   = make([]int, 0, size)
		owner   string
	)
	at := func(line int, err error) error { return fmt.Errorf("%s: line %d: %w", file, line, err) }
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		rr, err := normalized(rr)
		if err != nil {
			return nil, at(in.line, err)
		}
		if rr.Header().Name == owner {
			rr.Header().Name = owner // one string for all records of a name
		}
		owner = rr.Header().Name
		if s, ok := rr.(*dns.SOA); ok && soa == nil && owner == origin {
			soa = s
			continue
		}
		if err := checkRecord(origin, rr); err != nil {
			return nil, at(in.line, err)
		}
		records = append(records, record{rr, parseProvenance(zp.Comment(), rr)})
		lines = append(lines, in.line)
	}
	if err := zp.Err(); err != nil {
		return nil, errors.New(strings.Replace(err.Error(), ": dns: ", ": ", 1))
	}
	if soa == nil {
		return nil, fmt.Errorf("%s: there is no SOA record for %s", file, origin)
	}
	s, err := buildZone(origin, soa, records)
	var re *recordError
	if errors.As(err, &re) {
		sameSet := func(r record) bool {
			return r.rr == re.rr || r.rr.Header().Name == re.rr.Header().Name && r.rr.Header().Rrtype == re.rr.Header().Rrtype
		}
		if i := slices.IndexFunc(records, sameSet); i >= 0 {
			return nil, at(lines[i], err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

func parseProvenance(comment string, rr dns.RR) provenance {
	comment = strings.TrimSpace(strings.TrimPrefix(comment, ";"))
	for p, c := range provenances {
		if c == comment {
			if _, isNS := rr.(*dns.NS); p == following && !isNS {
				return dynamic
			}
			return p
		}
	}
	return dynamic
}

// parseRecord reads the type and data of one record in master file syntax, for
// an owner name in canonical form. Data may not smuggle in a second record.
func parseRecord(origin, name string, ttl uint32, typ, data string) (dns.RR, error) {
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
	return normalized(rr)
}

// normalized brings names and escapes to the form that names have when they
// come in a query, and shows that the record can be sent, and be written so
// that it is read as the same. Owner names become lower case. Where the library
// does not read its own text, the record gets the form for unknown types (RFC
// 3597).
func normalized(rr dns.RR) (dns.RR, error) {
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
			return nil, &recordError{out, "the data is incomplete or malformed"}
		}
		parsed.Header().Name = out.Header().Name
		if again, err := repacked(parsed); err == nil && again.String() == out.String() {
			return out, nil
		}
	}
	switch out.(type) {
	case *dns.NS, *dns.CNAME, *dns.SOA, *dns.TXT:
		return nil, &recordError{out, "the data is malformed"}
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
			return nil, &recordError{rr, "the data is missing"}
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
	switch rr := out.(type) {
	case *dns.NS:
		rr.Ns = dns.CanonicalName(rr.Ns)
	case *dns.CAA: // the library reads these two without escapes, but writes them with
		rr.Value = escapeText(rr.Value)
	case *dns.URI:
		rr.Target = escapeText(rr.Target)
	}
	return out, nil
}

// lineCounter hands the parser one byte at a time, and so knows the line that
// the record just parsed ended on.
type lineCounter struct {
	data []byte
	line int
}

func (r *lineCounter) ReadByte() (byte, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	c := r.data[0]
	r.data = r.data[1:]
	if c == '\n' {
		r.line++
	}
	return c, nil
}

// Read is there because the parser takes an [io.Reader]; it uses ReadByte.
func (r *lineCounter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
