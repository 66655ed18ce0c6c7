package nameserver

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// declaration is what a configuration says of a zone.
type declaration struct {
	soa     dns.SOA
	records []record
	active  bool
}

// declare adds a declaration, which rules once it is active, or while there is
// no active one. The last one rules.
func (z *zone) declare(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.declared = append(z.declared, d)
}

func (z *zone) activate(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	d.active = true
}

// withdraw takes a declaration back, so that the one before it rules again.
func (z *zone) withdraw(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.declared = slices.DeleteFunc(z.declared, func(o *declaration) bool { return o == d })
}

func (z *zone) declaration() *declaration {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, d := range slices.Backward(z.declared) {
		if d.active {
			return d
		}
	}
	if n := len(z.declared); n > 0 {
		return z.declared[n-1]
	}
	return nil
}

// apply returns the zone with what the configuration says of it now, in place
// of what it said before. Where records that were set cannot stand beside
// those of the configuration, they give way.
func (d *declaration) apply(origin string, s *snapshot) (*snapshot, error) {
	soa := d.soa
	records := slices.Clone(d.records)
	now := time.Now().Unix()
	if s == nil {
		soa.Serial = nextSerial(uint32(now)-1, now)
		return buildZone(origin, &soa, records)
	}
	soa.Serial = s.soa.Serial
	if soa.String() == s.soa.String() && d.isIn(s) {
		return s, nil
	}
	alias, other := d.owners()
	for _, r := range s.records {
		name := r.rr.Header().Name
		_, isAlias := r.rr.(*dns.CNAME)
		switch {
		case r.from != dynamic:
		case alias[name] || isAlias && other[name]:
			caddy.Log().Named("nameserver").Warn("dropping a record that cannot stand beside one of the configuration",
				zap.String("zone", origin), zap.Stringer("record", r.rr))
		default:
			records = append(records, r)
		}
	}
	applied, err := buildZone(origin, &soa, records)
	if err != nil {
		return nil, fmt.Errorf("zone %s: the configuration does not fit the records that were set: %w", origin, err)
	}
	if applied.same(s) {
		return s, nil
	}
	return applied.withSerial(nextSerial(s.soa.Serial, now)), nil
}

// restore returns a zone that was edited by hand with those records of the
// configuration that the edit took out. What else it changed stays, also in
// records of the configuration.
func (d *declaration) restore(origin string, s *snapshot) (*snapshot, error) {
	records := slices.Clone(s.records)
	for _, r := range d.records {
		sp := s.nodes[r.rr.Header().Name]
		node := records[sp.from:sp.to]
		i := slices.IndexFunc(node, func(o record) bool { return sameData(o.rr, r.rr) })
		if i >= 0 {
			node[i].from = r.from
			continue
		}
		caddy.Log().Named("nameserver").Warn("putting a record of the configuration back that the zone file lacks",
			zap.String("zone", origin), zap.Stringer("record", r.rr))
		records = append(records, r)
	}
	restored, err := buildZone(origin, s.soa, records)
	switch {
	case err != nil:
		return d.apply(origin, s) // something was put in the place of what was taken out
	case restored.same(s):
		return s, nil
	}
	return restored.withSerial(nextSerial(s.soa.Serial, time.Now().Unix())), nil
}

// isIn reports whether the zone has all records of the configuration, and no
// others that came from one.
func (d *declaration) isIn(s *snapshot) bool {
	said := make(map[string]provenance, len(d.records))
	for _, r := range d.records {
		said[r.rr.String()] = r.from
	}
	found := 0
	for _, r := range s.records {
		if r.from != fixed && r.from != following {
			continue
		}
		if from, ok := said[r.rr.String()]; !ok || from != r.from {
			return false
		}
		found++
	}
	return found == len(said)
}

// owners returns the names that the configuration makes aliases, and those at
// which it allows none.
func (d *declaration) owners() (alias, other map[string]bool) {
	alias, other = make(map[string]bool), make(map[string]bool)
	for _, r := range d.records {
		name := r.rr.Header().Name
		switch rr := r.rr.(type) {
		case *dns.CNAME:
			alias[name] = true
		case *dns.NS:
			other[rr.Ns] = true
		default:
			other[name] = true
		}
	}
	return alias, other
}
