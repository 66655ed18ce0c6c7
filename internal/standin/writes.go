package standin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libdns/libdns"
)

// An edit is what one API call does to the records of a zone.
type edit func(records []libdns.RR) ([]libdns.RR, error)

func (z *Zones) getRecords(ctx context.Context, zoneName string) ([]libdns.Record, error) {
	return z.do(ctx, Get, zoneName, nil, func(ctx context.Context, _ *Call, zn *zone, _ []libdns.RR) ([]libdns.Record, error) {
		if err := z.wait(ctx); err != nil {
			return nil, err
		}
		if z.character.ReadsFail {
			return nil, fmt.Errorf("reading is not supported")
		}
		z.mu.Lock()
		records := zn.visible(z.character.ReadsLag)
		z.mu.Unlock()
		read := asParsed
		if z.character.ReadAs != nil {
			read = z.character.ReadAs
		}
		var out []libdns.Record
		for _, rr := range records {
			if rr.Type == "ALIAS" {
				continue
			}
			if z.character.ReadName != nil {
				rr.Name = z.character.ReadName(rr.Name, zoneName)
			}
			if z.character.ZoneTTL > 0 {
				rr.TTL = z.character.ZoneTTL
			}
			record, err := read(rr)
			if err != nil {
				return nil, err
			}
			if record != nil {
				out = append(out, record)
			}
		}
		return out, nil
	})
}

// write runs a writing call. What its edits are may depend on the records
// that the zone held when the call began.
func (z *Zones) write(ctx context.Context, method, zoneName string, records []libdns.Record,
	edits func(rrs, before []libdns.RR) []edit) ([]libdns.Record, error) {
	return z.do(ctx, method, zoneName, records, func(ctx context.Context, call *Call, zn *zone, rrs []libdns.RR) ([]libdns.Record, error) {
		z.mu.Lock()
		before := zn.records
		z.mu.Unlock()
		steps := edits(rrs, before)
		if !z.character.PerRecord {
			steps = []edit{all(steps)}
		}
		var removed, added []libdns.RR
		for _, step := range steps {
			z.mu.Lock()
			base := zn.records
			z.mu.Unlock()
			if err := z.wait(ctx); err != nil {
				return nil, err
			}
			change, err := z.apply(zoneName, zn, step, base, call)
			if err != nil {
				return nil, err
			}
			removed, added = append(removed, change.Removed...), append(added, change.Added...)
		}
		switch method {
		case Set:
			return parsed(rrs), nil
		case Append:
			return parsed(added), nil
		default:
			return parsed(removed), nil
		}
	})
}

func (z *Zones) apply(zoneName string, zn *zone, step edit, base []libdns.RR, call *Call) (Change, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.character.RewritesZone {
		base = zn.records
	}
	records, err := step(slices.Clone(base))
	if err != nil {
		return Change{}, err
	}
	return z.commit(zoneName, zn, records, call), nil
}

func parsed(rrs []libdns.RR) []libdns.Record {
	var records []libdns.Record
	for _, rr := range rrs {
		record, _ := asParsed(rr)
		records = append(records, record)
	}
	return records
}

func all(edits []edit) edit {
	return func(records []libdns.RR) ([]libdns.RR, error) {
		var err error
		for _, e := range edits {
			if records, err = e(records); err != nil {
				return nil, err
			}
		}
		return records, nil
	}
}

func (z *Zones) appendEdits(rrs, _ []libdns.RR) []edit {
	var edits []edit
	for _, rr := range rrs {
		edits = append(edits, func(records []libdns.RR) ([]libdns.RR, error) { return z.add(records, rr) })
	}
	return edits
}

func (z *Zones) deleteEdits(rrs, before []libdns.RR) []edit {
	var edits []edit
	for _, rr := range rrs {
		if z.character.Delete == DeleteFirstMatch {
			if at := slices.IndexFunc(before, isRRset(rr.Name, rr.Type)); at >= 0 {
				rr = before[at]
			}
		}
		edits = append(edits, func(records []libdns.RR) ([]libdns.RR, error) { return z.remove(records, rr) })
	}
	return edits
}

func (z *Zones) setEdits(rrs, before []libdns.RR) []edit {
	var edits []edit
	seen := make(map[Key]bool)
	for _, rr := range rrs {
		in := isRRset(rr.Name, rr.Type)
		key := Key{rr.Name, rr.Type}
		first := !seen[key]
		seen[key] = true
		if z.character.SetRefusesSeveral && len(filter(before, in)) > 1 {
			edits = append(edits, func([]libdns.RR) ([]libdns.RR, error) {
				return nil, fmt.Errorf("unexpectedly found more than 1 record for %s %s", rr.Name, rr.Type)
			})
			continue
		}
		existed := slices.ContainsFunc(before, in)
		add := func(records []libdns.RR) ([]libdns.RR, error) { return z.add(records, rr) }
		var e edit
		switch z.character.Set {
		case SetWhole:
			if !first {
				continue
			}
			e = func(records []libdns.RR) ([]libdns.RR, error) {
				return z.replace(records, filter(rrs, in))
			}
		case SetLastWins:
			e = func(records []libdns.RR) ([]libdns.RR, error) {
				return z.replace(records, []libdns.RR{rr})
			}
		case SetAppends:
			e = func(records []libdns.RR) ([]libdns.RR, error) {
				for i := range records {
					if in(records[i]) {
						records[i].TTL = z.floor(rr).TTL
					}
				}
				return z.add(records, rr)
			}
		case SetFirstMatch:
			if e = add; existed {
				e = func(records []libdns.RR) ([]libdns.RR, error) {
					if i := slices.IndexFunc(records, in); i >= 0 {
						records[i] = z.floor(rr)
						return records, nil
					}
					return nil, fmt.Errorf("record not found: %s %s", rr.Name, rr.Type)
				}
			}
		case SetEveryMatch:
			if e = add; existed {
				if filter(before, in)[0] == rr {
					continue
				}
				e = func(records []libdns.RR) ([]libdns.RR, error) {
					for i := range records {
						if in(records[i]) {
							records[i] = z.floor(rr)
						}
					}
					return records, nil
				}
			}
		}
		edits = append(edits, e)
	}
	return edits
}

// add adds a record, unless the zone has it but for the TTL.
func (z *Zones) add(records []libdns.RR, rr libdns.RR) ([]libdns.RR, error) {
	rr = z.floor(rr)
	in := isRRset(rr.Name, rr.Type)
	if z.character.OneValue && slices.ContainsFunc(records, in) {
		return z.replace(records, []libdns.RR{rr})
	}
	if slices.ContainsFunc(records, func(have libdns.RR) bool { return in(have) && have.Data == rr.Data }) {
		return records, nil
	}
	if drop, err := z.inTheWay(records, rr); drop || err != nil {
		return records, err
	}
	return append(records, rr), nil
}

// replace puts an RRset, in the places of the records that it has now.
func (z *Zones) replace(records, set []libdns.RR) ([]libdns.RR, error) {
	if drop, err := z.inTheWay(records, set[0]); drop || err != nil {
		return records, err
	}
	if z.character.OneValue {
		set = set[len(set)-1:]
	}
	in := isRRset(set[0].Name, set[0].Type)
	at := slices.IndexFunc(records, in)
	if at < 0 {
		at = len(records)
	}
	records = slices.DeleteFunc(records, in)
	var floored []libdns.RR
	for _, rr := range set {
		if rr = z.floor(rr); !slices.Contains(floored, rr) {
			floored = append(floored, rr)
		}
	}
	return slices.Insert(records, at, floored...), nil
}

func (z *Zones) remove(records []libdns.RR, rr libdns.RR) ([]libdns.RR, error) {
	matches := func(have libdns.RR) bool {
		if have.Name != rr.Name || have.Type == "ALIAS" || rr.Type != "" && have.Type != rr.Type {
			return false
		}
		sameData := rr.Data == "" || have.Data == rr.Data
		switch z.character.Delete {
		case DeleteExact:
			return sameData && (rr.TTL == 0 || have.TTL == rr.TTL)
		case DeleteByType:
			return true
		default:
			return sameData
		}
	}
	at := slices.IndexFunc(records, matches)
	switch {
	case at < 0 && z.character.DeleteRefusesMissing:
		return nil, fmt.Errorf("record not found: %s %s", rr.Name, rr.Type)
	case at >= 0 && z.character.Delete == DeleteFirstMatch:
		return slices.Delete(records, at, at+1), nil
	}
	return slices.DeleteFunc(records, matches), nil
}

// inTheWay reports whether a CNAME or ALIAS keeps the record out of the zone,
// in silence or with an error.
func (z *Zones) inTheWay(records []libdns.RR, rr libdns.RR) (drop bool, err error) {
	for _, have := range records {
		if have.Name != rr.Name || have.Type == rr.Type {
			continue
		}
		switch {
		case have.Type == "CNAME" && z.character.CNAMEIgnores:
			return true, nil
		case have.Type == "CNAME", rr.Type == "CNAME", have.Type == "ALIAS" && isAddress(rr.Type):
			return false, fmt.Errorf("%s %s: another record of type %s is in the way", rr.Name, rr.Type, have.Type)
		}
	}
	return false, nil
}

// floor gives a record the TTL that the provider would.
func (z *Zones) floor(rr libdns.RR) libdns.RR {
	if rr.TTL = max(rr.TTL, z.character.MinTTL).Truncate(time.Second); z.character.ZoneTTL > 0 {
		rr.TTL = z.character.ZoneTTL
	}
	return rr
}

func filter(records []libdns.RR, keep func(libdns.RR) bool) []libdns.RR {
	var kept []libdns.RR
	for _, rr := range records {
		if keep(rr) {
			kept = append(kept, rr)
		}
	}
	return kept
}

func (z *Zones) listZones(ctx context.Context) ([]libdns.Zone, error) {
	var list []libdns.Zone
	_, err := z.do(ctx, List, "", nil, func(ctx context.Context, _ *Call, _ *zone, _ []libdns.RR) ([]libdns.Record, error) {
		if err := z.wait(ctx); err != nil {
			return nil, err
		}
		z.mu.Lock()
		defer z.mu.Unlock()
		for name := range z.zones {
			list = append(list, libdns.Zone{Name: name})
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b libdns.Zone) int { return compareRR(libdns.RR{Name: a.Name}, libdns.RR{Name: b.Name}) })
	if z.character.ListAs != nil {
		list = z.character.ListAs(list)
	}
	return list, nil
}
