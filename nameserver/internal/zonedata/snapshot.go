// Package zonedata holds the records of a zone: in memory, where they take
// little room and are found fast, and in a master file.
package zonedata

import (
	"hash/maphash"
	"iter"

	"github.com/miekg/dns"
)

// Snapshot is a whole zone at one time. It never changes, so any number of
// goroutines may read it.
type Snapshot struct {
	Origin  string // canonical, with the trailing dot
	SOA     *dns.SOA
	SOAMark Mark

	wire    string   // the origin as it is in messages
	nodes   []node   // all names that exist, in canonical order; so the apex is the first
	table   []uint32 // a hash table: 1 + the index of a node
	cuts    int      // how many delegation points there are below the apex
	records int
	soa     packedSOA
}

// node is a name that exists. One without records exists because of names
// below it (an empty non-terminal).
type node struct {
	name string // in wire form, without the origin
	sets string // its records, packed
	cut  bool   // a delegation point
}

// seed is the same for all tables. Nobody outside knows it, so nobody can
// choose names that collide.
var seed = maphash.MakeSeed()

// find returns the node of a name in wire form, without the origin.
func (s *Snapshot) find(name []byte) *node {
	if len(s.table) == 0 {
		return nil
	}
	mask := uint64(len(s.table) - 1)
	for h := maphash.Bytes(seed, name) & mask; ; h = (h + 1) & mask {
		i := s.table[h]
		if i == 0 {
			return nil
		}
		if n := &s.nodes[i-1]; n.name == string(name) {
			return n
		}
	}
}

// index makes the hash table, and counts.
func (s *Snapshot) index() {
	size := 8
	for size*2 < len(s.nodes)*3 {
		size *= 2
	}
	s.table = make([]uint32, size)
	s.cuts, s.records = 0, 0
	mask := uint64(size - 1)
	for i := range s.nodes {
		n := &s.nodes[i]
		h := maphash.String(seed, n.name) & mask
		for s.table[h] != 0 {
			h = (h + 1) & mask
		}
		s.table[h] = uint32(i + 1)
		if n.cut {
			s.cuts++
		}
		for sets := n.sets; sets != ""; {
			var set rrset
			set, sets = nextSet(sets)
			s.records += set.n
		}
	}
}

// Len returns how many records the zone has, with its SOA record.
func (s *Snapshot) Len() int { return s.records + 1 }

// All returns the records but the SOA record.
func (s *Snapshot) All() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for i := range s.nodes {
			n := &s.nodes[i]
			if n.sets == "" {
				continue
			}
			for _, r := range unpackAll(s.nameOf(n.name), n.sets) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Has reports whether a name exists.
func (s *Snapshot) Has(name string) bool {
	key, ok := s.keyOf(name)
	return ok && s.find([]byte(key)) != nil
}

// Records returns the records of a name.
func (s *Snapshot) Records(name string) []Record {
	if key, ok := s.keyOf(name); ok {
		if n := s.find([]byte(key)); n != nil {
			return unpackAll(name, n.sets)
		}
	}
	return nil
}

// RRset returns the records of a name and type.
func (s *Snapshot) RRset(name string, typ uint16) []Record {
	if key, ok := s.keyOf(name); ok {
		if n := s.find([]byte(key)); n != nil {
			return appendUnpacked(nil, name, findSet(n.sets, typ))
		}
	}
	return nil
}

// keyOf returns a canonical name in wire form and without the origin, if it is
// one of the zone.
func (s *Snapshot) keyOf(name string) (string, bool) {
	if name == s.Origin {
		return "", true
	}
	if !dns.IsSubDomain(s.Origin, name) {
		return "", false
	}
	wire, err := wireName(name)
	if err != nil {
		return "", false
	}
	return wire[:len(wire)-len(s.wire)], true
}

// nameOf is the inverse of keyOf.
func (s *Snapshot) nameOf(key string) string {
	if key == "" {
		return s.Origin
	}
	name, _, err := dns.UnpackDomainName([]byte(key+"\x00"), 0)
	if err != nil {
		return s.Origin // nodes have names that can be unpacked
	}
	return name + s.Origin
}

// WithSOA returns the same zone with another SOA record.
func (s *Snapshot) WithSOA(soa *dns.SOA, mark Mark) *Snapshot {
	t := *s
	t.SOA, t.SOAMark, t.soa = soa, mark, packSOA(s.wire, soa)
	return &t
}

// WithSerial returns the same zone with another serial.
func (s *Snapshot) WithSerial(serial uint32) *Snapshot {
	soa := *s.SOA
	soa.Serial = serial
	return s.WithSOA(&soa, s.SOAMark)
}

// Same reports whether two zones hold the same, serials apart.
func (s *Snapshot) Same(t *Snapshot) bool {
	if s.SOAMark != t.SOAMark || len(s.nodes) != len(t.nodes) {
		return false
	}
	soa := *t.SOA
	soa.Serial = s.SOA.Serial
	if soa.String() != s.SOA.String() {
		return false
	}
	for i := range s.nodes {
		if s.nodes[i] != t.nodes[i] {
			return false
		}
	}
	return true
}

// SerialLess compares serials by RFC 1982.
func SerialLess(a, b uint32) bool { return int32(b-a) > 0 }

// NextSerial is a serial after old: the time where that is later, so that a
// zone that lost its file does not go back.
func NextSerial(old uint32, now int64) uint32 {
	if t := uint32(now); SerialLess(old, t) {
		return t
	}
	return max(old+1, 1)
}
