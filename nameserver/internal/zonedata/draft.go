package zonedata

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// Draft is a zone that is being changed. It holds only what differs from the
// zone, or from the draft, that it was made of.
type Draft struct {
	base    *Snapshot
	under   *Draft // nil for a draft of base itself
	changed map[string][]Record
	soa     *dns.SOA
	soaMark Mark
}

// Edit begins to change a zone.
func (s *Snapshot) Edit() *Draft {
	return &Draft{base: s, changed: make(map[string][]Record), soa: s.SOA, soaMark: s.SOAMark}
}

// New begins a zone.
func New(origin string, soa *dns.SOA, mark Mark) (*Draft, error) {
	wire, err := wireName(origin)
	if err != nil {
		return nil, err
	}
	empty := &Snapshot{Origin: origin, SOA: soa, SOAMark: mark, wire: wire, nodes: []node{{}}}
	empty.index()
	return empty.Edit(), nil
}

// Child begins a change that may be given up without this one.
func (d *Draft) Child() *Draft {
	return &Draft{base: d.base, under: d, changed: make(map[string][]Record), soa: d.soa, soaMark: d.soaMark}
}

// Merge takes up a change that was begun with Child and checked.
func (d *Draft) Merge(child *Draft) {
	maps.Copy(d.changed, child.changed)
	d.soa, d.soaMark = child.soa, child.soaMark
}

// Origin returns the name of the zone.
func (d *Draft) Origin() string { return d.base.Origin }

// SOA returns the SOA record.
func (d *Draft) SOA() *dns.SOA { return d.soa }

// SetSOA replaces the SOA record.
func (d *Draft) SetSOA(soa *dns.SOA, mark Mark) { d.soa, d.soaMark = soa, mark }

// Records returns the records of a name. The caller owns the slice, but not
// the records.
func (d *Draft) Records(name string) []Record {
	key, ok := d.base.keyOf(name)
	if !ok {
		return nil
	}
	return d.recordsAt(key)
}

func (d *Draft) recordsAt(key string) []Record {
	for l := d; l != nil; l = l.under {
		if records, ok := l.changed[key]; ok {
			return slices.Clone(records)
		}
	}
	if n := d.base.find([]byte(key)); n != nil {
		return unpackAll(d.base.nameOf(key), n.sets)
	}
	return nil
}

// RRset returns the records of a name and type.
func (d *Draft) RRset(name string, typ uint16) []Record {
	return slices.DeleteFunc(d.Records(name), func(r Record) bool { return r.RR.Header().Rrtype != typ })
}

// Set replaces the records of a name.
func (d *Draft) Set(name string, records []Record) error {
	for _, r := range records {
		if err := CheckRecord(d.base.Origin, r.RR); err != nil {
			return err
		}
	}
	key, ok := d.base.keyOf(name)
	if !ok {
		return &RecordError{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeANY}}, "the name is outside the zone " + d.base.Origin}
	}
	d.changed[key] = records
	return nil
}

// Add adds records, of any names.
func (d *Draft) Add(records ...Record) error {
	byName := make(map[string][]Record)
	var names []string
	for _, r := range records {
		name := r.RR.Header().Name
		if _, ok := byName[name]; !ok {
			names = append(names, name)
		}
		byName[name] = append(byName[name], r)
	}
	for _, name := range names {
		if err := d.Set(name, append(d.Records(name), byName[name]...)); err != nil {
			return err
		}
	}
	return nil
}

// Check brings what was changed into the form in which it is held, and gives
// hosts of name servers that follow the zone its addresses. It fails if the
// result is no zone.
func (d *Draft) Check() error {
	for key, records := range d.changed {
		d.changed[key] = unify(withoutDerived(records))
	}
	d.derive()
	var wrong error
	first := "" // of several, always the same
	for key, records := range d.changed {
		if err := checkNode(d.base.Origin, records); err != nil && (wrong == nil || compareNames(key, first) < 0) {
			wrong, first = err, key
		}
	}
	if wrong != nil {
		return wrong
	}
	servers := d.RRset(d.base.Origin, dns.TypeNS)
	if len(servers) == 0 {
		return &RecordError{d.soa, "the zone has no NS record at its apex"}
	}
	for _, r := range servers {
		if set := d.RRset(r.RR.(*dns.NS).Ns, dns.TypeCNAME); len(set) > 0 {
			return &RecordError{set[0].RR, "the name of a name server must not be an alias (RFC 2181, section 10.3): give it addresses"}
		}
	}
	return nil
}

func withoutDerived(records []Record) []Record {
	return slices.DeleteFunc(records, func(r Record) bool { return r.Mark.From == Derived })
}

// derive gives each host whose NS record says that it follows the zone the
// addresses of the apex, by family, unless it has its own.
func (d *Draft) derive() {
	apex, apexChanged := d.changed[""]
	var gone []string // hosts that no longer follow
	if apexChanged {
		before := d.base.Edit()
		if d.under != nil {
			before = d.under
		}
		gone = followers(before.recordsAt(""))
	} else {
		apex = d.recordsAt("")
	}
	hosts := followers(apex)
	for _, host := range append(hosts, gone...) {
		key, ok := d.base.keyOf(host)
		if !ok || key == "" {
			continue
		}
		_, hostChanged := d.changed[key]
		if !apexChanged && !hostChanged {
			continue
		}
		records := withoutDerived(d.recordsAt(key))
		if slices.Contains(hosts, host) {
			records = append(records, derivedFor(host, records, apex)...)
		}
		d.changed[key] = unify(records)
	}
}

func followers(apex []Record) (hosts []string) {
	for _, r := range apex {
		if ns, ok := r.RR.(*dns.NS); ok && r.Mark.From == Following {
			hosts = append(hosts, ns.Ns)
		}
	}
	return hosts
}

func derivedFor(host string, own, apex []Record) (out []Record) {
	has := func(typ uint16) bool {
		return slices.ContainsFunc(own, func(r Record) bool { return r.RR.Header().Rrtype == typ })
	}
	if has(dns.TypeCNAME) {
		return nil
	}
	for _, r := range apex {
		if typ := r.RR.Header().Rrtype; IsAddress(typ) && !has(typ) {
			out = append(out, Record{Renamed(r.RR, host), Mark{From: Derived}})
		}
	}
	return out
}

// Build returns the zone as it is now. It costs little where little changed.
func (d *Draft) Build() (*Snapshot, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	layers := []*Draft{}
	for l := d; l != nil; l = l.under {
		layers = append(layers, l)
	}
	changed := make(map[string]node)
	for _, l := range slices.Backward(layers) {
		for key, records := range l.changed {
			sets, err := pack(records)
			if err != nil {
				return nil, err
			}
			changed[key] = node{name: key, sets: sets, cut: key != "" && findSet(sets, dns.TypeNS).n > 0}
		}
	}
	for key, n := range changed {
		if old := d.base.find([]byte(key)); old != nil && old.sets == n.sets || old == nil && n.sets == "" {
			delete(changed, key)
		}
	}
	s := *d.base
	if len(changed) > 0 {
		s.nodes = mergeNodes(d.base.nodes, changed)
		s.index()
	}
	return s.WithSOA(d.soa, d.soaMark), nil
}

// mergeNodes returns the nodes with those that have changed, with what exists
// only because of names below it, and without what exists no longer.
func mergeNodes(nodes []node, changed map[string]node) []node {
	touched := make([]node, 0, len(changed))
	for _, n := range changed {
		touched = append(touched, n)
	}
	for _, n := range touched {
		for parent := n.name; parent != ""; {
			parent = parent[1+parent[0]:]
			if _, ok := changed[parent]; ok {
				break
			}
			i, found := slices.BinarySearchFunc(nodes, parent, func(n node, name string) int { return compareNames(n.name, name) })
			p := node{name: parent}
			if found {
				p = nodes[i]
			}
			changed[parent] = p
			touched = append(touched, p)
		}
	}
	slices.SortFunc(touched, func(a, b node) int { return compareNames(a.name, b.name) })
	// From the end on, so that what is below a name is known before the name is.
	out := make([]node, len(nodes)+len(touched))
	at := len(out)
	keep := func(n node) {
		if n.sets != "" || n.name == "" || at < len(out) && isBelow(out[at].name, n.name) {
			at--
			out[at] = n
		}
	}
	for i, j := len(nodes)-1, len(touched)-1; i >= 0 || j >= 0; {
		c := 0
		switch {
		case i < 0:
			c = -1
		case j < 0:
			c = 1
		default:
			c = compareNames(nodes[i].name, touched[j].name)
		}
		if c > 0 {
			keep(nodes[i])
			i--
			continue
		}
		keep(touched[j])
		j--
		if c == 0 {
			i--
		}
	}
	return slices.Clone(out[at:])
}

// isBelow reports whether a name in wire form is below another one.
func isBelow(name, above string) bool {
	for name != "" {
		if name = name[1+name[0]:]; name == above {
			return true
		}
	}
	return false
}
