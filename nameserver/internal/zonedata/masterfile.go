package zonedata

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

// Format writes the zone as a master file (RFC 1035, section 5).
func (s *Snapshot) Format() []byte {
	var b bytes.Buffer
	b.Grow(512 + 64*s.Len())
	fmt.Fprintf(&b, "; Zone %s, kept by Caddy's nameserver. Changes made to this file are taken up\n", strings.TrimSuffix(s.Origin, "."))
	b.WriteString("; within 5 seconds. Records marked \"config\" come from the configuration of the Caddy\n" +
		"; named, and those marked \"follows\" from other records; other comments are not kept.\n")
	fmt.Fprintf(&b, "$ORIGIN %s\n", s.Origin)
	writeRecord(&b, s.Origin, Record{s.SOA, s.SOAMark})
	for r := range s.All() {
		writeRecord(&b, s.Origin, r)
	}
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "%s%x\n", checksumMark, sum[:8])
	return b.Bytes()
}

// checksumMark begins the last line of a file that a Caddy wrote. Where the
// checksum does not fit, the file was edited since.
const checksumMark = "; as written by Caddy: "

// HasChecksum reports whether a file is as a Caddy wrote it.
func HasChecksum(data []byte) bool {
	i := bytes.LastIndex(data, []byte(checksumMark))
	if i < 0 {
		return false
	}
	sum := sha256.Sum256(data[:i])
	return string(data[i:]) == fmt.Sprintf("%s%x\n", checksumMark, sum[:8])
}

func writeRecord(b *bytes.Buffer, origin string, r Record) {
	owner, rest, _ := strings.Cut(r.RR.String(), "\t")
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
	if c := r.Mark.String(); c != "" {
		b.WriteString(" ; " + c)
	}
	b.WriteByte('\n')
}

// CheckWritable shows that what is written of a record will be read as this
// very record, so that none that was accepted makes its file unreadable.
func CheckWritable(origin string, r Record) error {
	if IsAddress(r.RR.Header().Rrtype) && isPlain(r.RR.Header().Name) {
		return nil
	}
	var line bytes.Buffer
	writeRecord(&line, origin, r)
	zp := dns.NewZoneParser(&line, origin, "")
	rr, ok := zp.Next()
	var err error
	if ok {
		rr, err = Normalized(rr)
	}
	if !ok || err != nil || rr.String() != r.RR.String() || parseMark(zp.Comment()) != r.Mark {
		return &RecordError{r.RR, "the record cannot be written to a zone file so that it is read as the same"}
	}
	return nil
}

// isPlain reports whether a name is written without escapes.
func isPlain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.' || r == '*')
	})
}

// Parse reads a master file. Errors name the file and the line.
func Parse(origin, file string, data []byte) (*Snapshot, error) {
	in := &lineCounter{data: data}
	zp := dns.NewZoneParser(in, origin, file)
	var (
		soa     *dns.SOA
		soaMark Mark
		size    = bytes.Count(data, []byte("\n")) // most often one record a line
		records = make([]Record, 0, size)
		lines   = make([]int, 0, size)
	)
	at := func(line int, err error) error { return fmt.Errorf("%s: line %d: %w", file, line, err) }
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		rr, err := Normalized(rr)
		if err != nil {
			return nil, at(in.line, err)
		}
		mark := parseMark(zp.Comment())
		if s, ok := rr.(*dns.SOA); ok && soa == nil && s.Hdr.Name == origin {
			soa, soaMark = s, mark
			continue
		}
		if _, isNS := rr.(*dns.NS); mark.From == Following && !isNS {
			mark = Mark{}
		}
		if err := CheckRecord(origin, rr); err != nil {
			return nil, at(in.line, err)
		}
		records = append(records, Record{rr, mark})
		lines = append(lines, in.line)
	}
	if err := zp.Err(); err != nil {
		return nil, errors.New(strings.Replace(err.Error(), ": dns: ", ": ", 1))
	}
	if soa == nil {
		return nil, fmt.Errorf("%s: there is no SOA record for %s", file, origin)
	}
	d, err := New(origin, soa, soaMark)
	if err != nil {
		return nil, err
	}
	s, err := (*Snapshot)(nil), d.Add(records...)
	if err == nil {
		s, err = d.Build()
	}
	var re *RecordError
	if errors.As(err, &re) {
		sameSet := func(r Record) bool {
			return r.RR == re.RR || r.RR.Header().Name == re.RR.Header().Name && r.RR.Header().Rrtype == re.RR.Header().Rrtype
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

// OriginOf returns the zone that a file says it is of, or "".
func OriginOf(data []byte) string {
	for line := range bytes.Lines(data) {
		if origin, ok := bytes.CutPrefix(line, []byte("$ORIGIN ")); ok {
			return dns.CanonicalName(string(bytes.TrimSpace(origin)))
		}
		if !bytes.HasPrefix(line, []byte(";")) {
			break
		}
	}
	return ""
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
