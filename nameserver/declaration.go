package nameserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// declaration is what a configuration says of a zone.
type declaration struct {
	soa     dns.SOA
	records []zonedata.Record
	owner   func() string // the name of this Caddy
	running bool          // its configuration has come to run
}

// first returns the zone as the configuration alone says it.
func (d *declaration) first(origin string) (*zonedata.Snapshot, error) {
	soa := d.soa
	now := time.Now().Unix()
	soa.Serial = zonedata.NextSerial(uint32(now)-1, now)
	draft, err := zonedata.New(origin, &soa, zonedata.Mark{From: zonedata.Fixed, Owners: d.owner()})
	if err != nil {
		return nil, err
	}
	if err := draft.Add(d.owned()...); err != nil {
		return nil, err
	}
	return draft.Build()
}

// owned returns the records as this Caddy's.
func (d *declaration) owned() []zonedata.Record {
	out := slices.Clone(d.records)
	for i := range out {
		out[i].Mark.Owners = d.owner()
	}
	return out
}

// apply returns the zone with what the configuration says of it now, in place
// of what it said before. Where records that were set cannot stand beside
// those of the configuration, they give way. What other Caddys' configurations
// say stays: a record that cannot stand beside that is left out, which is
// an error beside the result.
func (d *declaration) apply(origin string, s *zonedata.Snapshot) (applied *zonedata.Snapshot, left error, err error) {
	if s == nil {
		applied, err = d.first(origin)
		return applied, nil, err
	}
	soa, mark := d.chooseSOA(s)
	if soa.String() == s.SOA.String() && mark == s.SOAMark && d.isIn(s) {
		return s, nil, nil
	}
	draft := s.Edit()
	draft.SetSOA(soa, mark)
	said, problems := d.besides(origin, d.takeOut(origin, draft, s))
	if err := draft.Add(said...); err != nil {
		return nil, nil, err
	}
	applied, err = draft.Build()
	if err != nil {
		return nil, nil, fmt.Errorf("zone %s: the configuration does not fit the records that were set: %w", origin, err)
	}
	if len(problems) > 0 {
		left = fmt.Errorf("zone %s: %s; serving the zone without, until one of the two configurations changes", origin, strings.Join(problems, "; "))
	}
	if applied.Same(s) {
		return s, left, nil
	}
	return applied.WithSerial(zonedata.NextSerial(s.SOA.Serial, time.Now().Unix())), left, nil
}

// chooseSOA returns this configuration's SOA record, or that of another Caddy,
// for a zone has one only.
func (d *declaration) chooseSOA(s *zonedata.Snapshot) (*dns.SOA, zonedata.Mark) {
	soa := d.soa
	soa.Serial = s.SOA.Serial
	own := zonedata.Mark{From: zonedata.Fixed, Owners: d.owner()}
	other := s.SOAMark.Owners
	if other == "" || other == d.owner() {
		return &soa, own
	}
	for r := range s.All() {
		if r.Mark.IsOf(other) { // it has not left
			if soa.Mbox != s.SOA.Mbox || soa.Hdr.Ttl != s.SOA.Hdr.Ttl {
				caddy.Log().Named("nameserver").Warn("another Caddy on this storage says the contact and TTL of the zone; give it the same ones in both configurations",
					zap.String("zone", s.Origin), zap.String("other", other))
			}
			return s.SOA, s.SOAMark
		}
	}
	return &soa, own
}

// takeOut removes from a draft of the zone what this configuration said
// before, and what cannot stand beside what it says now. It returns what other
// configurations say.
func (d *declaration) takeOut(origin string, draft *zonedata.Draft, s *zonedata.Snapshot) (others []zonedata.Record) {
	alias, other := d.owners()
	var records []zonedata.Record
	name := ""
	changed := false
	flush := func() {
		if changed {
			_ = draft.Set(name, records) // all of them were in the zone
		}
		records, changed = nil, false
	}
	for r := range s.All() {
		if owner := r.RR.Header().Name; owner != name {
			flush()
			name = owner
		}
		_, isAlias := r.RR.(*dns.CNAME)
		switch {
		case r.Mark.Said():
			rest, ok := r.Mark, r.Mark.Owners != ""
			if r.Mark.IsOf(d.owner()) {
				rest, ok = r.Mark.Without(d.owner())
			}
			if rest != r.Mark || !ok {
				changed = true
			}
			if ok {
				r.Mark = rest
				records = append(records, r)
				others = append(others, r)
			}
			continue
		case r.Mark.From == zonedata.Derived:
		case alias[name] || isAlias && other[name]:
			caddy.Log().Named("nameserver").Warn("dropping a record that cannot stand beside one of the configuration",
				zap.String("zone", origin), zap.Stringer("record", r.RR))
			changed = true
			continue
		}
		records = append(records, r)
	}
	flush()
	return others
}

// besides returns those records of the configuration that can stand beside
// those of other configurations, and why the others cannot.
func (d *declaration) besides(origin string, others []zonedata.Record) (said []zonedata.Record, problems []string) {
	for _, r := range d.owned() {
		i := slices.IndexFunc(others, func(o zonedata.Record) bool { return conflict(r.RR, o.RR) })
		if i < 0 {
			said = append(said, r)
			continue
		}
		problems = append(problems, fmt.Sprintf("record %s %s cannot stand beside %s, which the configuration of the Caddy named %s says",
			zonedata.RelativeName(origin, r.RR.Header().Name), zonedata.TypeName(r.RR.Header().Rrtype),
			zonedata.TypeName(others[i].RR.Header().Rrtype), others[i].Mark.Owners))
	}
	return said, problems
}

// conflict reports whether two records cannot be in a zone together.
func conflict(a, b dns.RR) bool {
	if a.Header().Name == b.Header().Name {
		_, aAlias := a.(*dns.CNAME)
		_, bAlias := b.(*dns.CNAME)
		return (aAlias || bAlias) && !zonedata.SameData(a, b)
	}
	aliasOfServer := func(alias, server dns.RR) bool {
		_, isAlias := alias.(*dns.CNAME)
		ns, isServer := server.(*dns.NS)
		return isAlias && isServer && ns.Ns == alias.Header().Name
	}
	return aliasOfServer(a, b) || aliasOfServer(b, a)
}

// restore returns a zone that was edited by hand with those records of the
// configuration that the edit took out. What else it changed stays; a record
// that it put in the place of one of the configuration is no longer one.
func (d *declaration) restore(origin string, s *zonedata.Snapshot) (*zonedata.Snapshot, error) {
	draft := s.Edit()
	mine := func(r zonedata.Record) bool {
		return r.Mark.Said() && (r.Mark.Owners == "" || r.Mark.IsOf(d.owner()))
	}
	says := func(r zonedata.Record) bool {
		return slices.ContainsFunc(d.records, func(o zonedata.Record) bool { return zonedata.SameData(o.RR, r.RR) })
	}
	for r := range s.All() {
		if !mine(r) || says(r) {
			continue
		}
		records := draft.Records(r.RR.Header().Name)
		for i := range records {
			if zonedata.SameData(records[i].RR, r.RR) {
				rest, ok := r.Mark.Without(d.owner())
				if !ok {
					rest = zonedata.Mark{}
				}
				records[i].Mark = rest
			}
		}
		if err := draft.Set(r.RR.Header().Name, records); err != nil {
			return nil, err
		}
	}
	for _, r := range d.owned() {
		name := r.RR.Header().Name
		records := draft.Records(name)
		i := slices.IndexFunc(records, func(o zonedata.Record) bool { return zonedata.SameData(o.RR, r.RR) })
		if i < 0 {
			caddy.Log().Named("nameserver").Warn("putting a record of the configuration back that the zone file lacks",
				zap.String("zone", origin), zap.Stringer("record", r.RR))
			records = append(records, r)
		} else {
			r.RR = records[i].RR // with the TTL that was edited
			records = append(records, r)
		}
		if err := draft.Set(name, records); err != nil {
			return nil, err
		}
	}
	restored, err := draft.Build()
	switch {
	case err != nil:
		applied, _, err := d.apply(origin, s) // something was put in the place of what was taken out
		return applied, err
	case restored.Same(s):
		return s, nil
	}
	return restored.WithSerial(zonedata.NextSerial(s.SOA.Serial, time.Now().Unix())), nil
}

// isIn reports whether the zone has all records of the configuration, and no
// others that came from it.
func (d *declaration) isIn(s *zonedata.Snapshot) bool {
	said := make(map[string]zonedata.Provenance, len(d.records))
	key := func(rr dns.RR) string {
		return rr.Header().Name + " " + zonedata.TypeName(rr.Header().Rrtype) + " " + zonedata.DataKey(rr)
	}
	for _, r := range d.records {
		said[key(r.RR)] = r.Mark.From
	}
	found := 0
	for r := range s.All() {
		if !r.Mark.Said() {
			continue
		}
		if r.Mark.Owners == "" {
			return false // of before owners were named
		}
		if !r.Mark.IsOf(d.owner()) {
			continue
		}
		from, ok := said[key(r.RR)]
		if !ok || from != r.Mark.From && len(r.Mark.OwnerNames()) == 1 {
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
		name := r.RR.Header().Name
		switch rr := r.RR.(type) {
		case *dns.CNAME:
			alias[name] = true
		case *dns.NS:
			other[rr.Ns] = true
			other[name] = true
		default:
			other[name] = true
		}
	}
	return alias, other
}
