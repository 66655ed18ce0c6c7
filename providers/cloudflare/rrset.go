package cloudflare

import (
	"context"
	"slices"
	"strings"

	"github.com/libdns/libdns"
)

// rrset are the records of a call that have one name and type.
type rrset struct {
	name, typ string // the name is full
	recs      []libdns.Record
}

// rrsets sorts records by name and type, and leaves out repetitions.
func rrsets(zone string, recs []libdns.Record) []*rrset {
	var sets []*rrset
	for _, rec := range recs {
		rr := rec.RR()
		name := strings.ToLower(strings.TrimSuffix(libdns.AbsoluteName(rr.Name, zone), "."))
		i := slices.IndexFunc(sets, func(s *rrset) bool { return s.name == name && s.typ == rr.Type })
		if i < 0 {
			i = len(sets)
			sets = append(sets, &rrset{name: name, typ: rr.Type})
		}
		if s := sets[i]; !slices.ContainsFunc(s.recs, func(other libdns.Record) bool { return other.RR().Data == rr.Data }) {
			s.recs = append(s.recs, rec)
		}
	}
	return sets
}

// each does something with each name and type, up to the first error.
func each(zone string, recs []libdns.Record, do func(*rrset) ([]libdns.Record, error)) ([]libdns.Record, error) {
	var all []libdns.Record
	for _, s := range rrsets(zone, recs) {
		done, err := do(s)
		if err != nil {
			return nil, err
		}
		all = append(all, done...)
	}
	return all, nil
}

// existing is a record at the API.
type existing struct {
	libdns.Record
	found
}

// list returns what exists of an RRset.
func (p *Provider) list(ctx context.Context, zone string, s *rrset) ([]existing, error) {
	d := &details{name: s.name, typ: s.typ}
	recs, err := p.client.GetRecords(with(ctx, d), zone)
	if err != nil {
		return nil, err
	}
	var list []existing
	for i, rec := range recs {
		list = append(list, existing{rec, d.found[i]})
	}
	return list, nil
}

// set makes an RRset hold just its records.
func (p *Provider) set(ctx context.Context, zone string, s *rrset) ([]libdns.Record, error) {
	if len(s.recs) > 1 {
		return p.replace(ctx, zone, s)
	}
	d := new(details)
	done, err := p.client.SetRecords(with(ctx, d), zone, s.recs)
	if err != nil && len(d.found) > 1 {
		return p.replace(ctx, zone, s)
	}
	return done, err
}

// replace changes as many of the records that exist as it can: a new record
// would lack the proxy status, the comment and the tags of the old one.
// Nothing is deleted before all else is there.
func (p *Provider) replace(ctx context.Context, zone string, s *rrset) (done []libdns.Record, err error) {
	old, err := p.list(ctx, zone, s)
	if err != nil {
		return nil, err
	}
	allProxied := areProxied(old)
	var missing []libdns.Record
	for _, rec := range s.recs {
		i := slices.IndexFunc(old, func(e existing) bool { return e.RR().Data == rec.RR().Data })
		if i < 0 {
			missing = append(missing, rec)
			continue
		}
		there := old[i]
		old = slices.Delete(old, i, i+1)
		if ttl := rec.RR().TTL; ttl == 0 || ttl == there.RR().TTL || there.proxied {
			done = append(done, there.Record)
			continue
		}
		if done, err = p.update(ctx, zone, there, rec, done); err != nil {
			return nil, err
		}
	}
	for len(old) > 0 && len(missing) > 0 {
		if done, err = p.update(ctx, zone, old[0], missing[0], done); err != nil {
			return nil, err
		}
		old, missing = old[1:], missing[1:]
	}
	if len(missing) > 0 {
		created, err := p.client.AppendRecords(with(ctx, &details{proxied: allProxied}), zone, missing)
		if err != nil {
			return nil, err
		}
		done = append(done, created...)
	}
	for _, e := range old {
		if _, err := p.client.DeleteRecords(with(ctx, &details{target: e.raw}), zone, []libdns.Record{e.Record}); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// update changes a record in place, and adds the result to what was done.
func (p *Provider) update(ctx context.Context, zone string, from existing, to libdns.Record, done []libdns.Record) ([]libdns.Record, error) {
	updated, err := p.client.SetRecords(with(ctx, &details{target: from.raw}), zone, []libdns.Record{to})
	return append(done, updated...), err
}

// add creates the records of an RRset. An address beside proxied ones is
// proxied too: it would show where they lead to.
func (p *Provider) add(ctx context.Context, zone string, s *rrset) ([]libdns.Record, error) {
	d := new(details)
	if s.typ == "A" || s.typ == "AAAA" {
		there, err := p.list(ctx, zone, s)
		if err != nil {
			return nil, err
		}
		d.proxied = areProxied(there)
	}
	return p.client.AppendRecords(with(ctx, d), zone, s.recs)
}

func areProxied(recs []existing) bool {
	return len(recs) > 0 && !slices.ContainsFunc(recs, func(e existing) bool { return !e.proxied })
}
