package zonedata

import (
	"github.com/miekg/dns"
)

// Match is what a zone has for a name.
type Match struct {
	// Exists is whether the name exists, or a wildcard stands in for it.
	Exists bool
	// Cut is the delegation point at or above the name, if there is one.
	Cut string
	// Wildcard is whether a wildcard stands in for it.
	Wildcard bool

	sets string
}

// Lookup returns what the zone has for a canonical name of it (RFC 1034,
// section 4.3.2). The DS record of a delegated zone is its parent's.
func (s *Snapshot) Lookup(name string, qtype uint16) Match {
	key, ok := s.keyOf(name)
	if !ok {
		return Match{}
	}
	n, cut := s.lookup([]byte(key), qtype)
	switch {
	case n == nil:
		return Match{}
	case cut:
		return Match{Cut: s.nameOf(n.name), Exists: true}
	}
	return Match{Exists: true, Wildcard: n.name != key, sets: n.sets}
}

// lookup returns the node that answers for a name, or its delegation point.
func (s *Snapshot) lookup(key []byte, qtype uint16) (n *node, cut bool) {
	if n := s.cutAbove(key, qtype); n != nil {
		return n, true
	}
	if n := s.find(key); n != nil {
		return n, false
	}
	return s.wildcard(key), false
}

// cutAbove returns the highest delegation point at or above a name.
func (s *Snapshot) cutAbove(key []byte, qtype uint16) (cut *node) {
	if s.cuts == 0 {
		return nil
	}
	for off := 0; off < len(key); off += 1 + int(key[off]) {
		if n := s.find(key[off:]); n != nil && n.cut && (off > 0 || qtype != dns.TypeDS) {
			cut = n
		}
	}
	return cut
}

// wildcard returns the source of synthesis for a name that does not exist
// (RFC 4592, section 3.3.1).
func (s *Snapshot) wildcard(key []byte) *node {
	for off := 0; off < len(key); {
		off += 1 + int(key[off])
		if s.find(key[off:]) == nil {
			continue
		}
		var buf [2 + maxName]byte
		star := append(append(buf[:0], 1, '*'), key[off:]...)
		return s.find(star)
	}
	return nil
}

// Empty reports whether the name has no records.
func (m Match) Empty() bool { return m.sets == "" }

// RRset returns the records of a type under the owner name given, as it was
// asked, so that its case comes back to those who use it as a nonce.
func (m Match) RRset(owner string, typ uint16) []dns.RR {
	return bare(appendUnpacked(nil, owner, findSet(m.sets, typ)))
}

// All returns all records of the name, in the same way.
func (m Match) All(owner string) []dns.RR { return bare(unpackAll(owner, m.sets)) }

func bare(records []Record) []dns.RR {
	if len(records) == 0 {
		return nil
	}
	out := make([]dns.RR, len(records))
	for i, r := range records {
		out[i] = r.RR
	}
	return out
}

// Glue returns the addresses of a name server, if it lies in a delegated zone
// (RFC 9471).
func (s *Snapshot) Glue(host string) []dns.RR {
	key, ok := s.keyOf(host)
	if !ok || s.cutAbove([]byte(key), dns.TypeA) == nil {
		return nil
	}
	n := s.find([]byte(key))
	if n == nil {
		return nil
	}
	m := Match{sets: n.sets}
	return append(m.RRset(host, dns.TypeA), m.RRset(host, dns.TypeAAAA)...)
}

// Delegation returns the NS records of a delegation point.
func (s *Snapshot) Delegation(cut string) []dns.RR { return bare(s.RRset(cut, dns.TypeNS)) }

// NegativeSOA is the SOA record that tells how long a negative answer may be
// kept (RFC 2308, section 3).
func (s *Snapshot) NegativeSOA() dns.RR {
	if s.SOA.Hdr.Ttl <= s.SOA.Minttl {
		return s.SOA
	}
	soa := *s.SOA
	soa.Hdr.Ttl = s.SOA.Minttl
	return &soa
}
