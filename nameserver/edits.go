package nameserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// appendRecords adds records to a zone, and returns them.
func appendRecords(d *zonedata.Draft, recs []libdns.Record) ([]dns.RR, error) {
	add, err := fromLibdns(d, recs)
	if err != nil {
		return nil, err
	}
	for name, rrs := range byName(add) {
		records := d.Records(name)
		ttls := make(map[uint16]uint32)
		for _, r := range records {
			ttls[r.RR.Header().Rrtype] = r.RR.Header().Ttl
		}
		for _, rr := range rrs {
			h := rr.Header()
			for i, r := range records {
				if r.Mark.From == zonedata.Derived && r.RR.Header().Rrtype == h.Rrtype {
					records[i].Mark = zonedata.Mark{} // with an address of its own, the host no longer follows the zone
				}
			}
			// Existing records must not change, so the new one takes their TTL.
			if ttl, ok := ttls[h.Rrtype]; ok {
				h.Ttl = ttl
			}
			ttls[h.Rrtype] = h.Ttl
		}
		for _, rr := range rrs {
			records = append(records, zonedata.Record{RR: rr})
		}
		if err := d.Set(name, records); err != nil {
			return nil, err
		}
	}
	return add, nil
}

// setRecords makes RRsets of a zone hold the records given only, and returns
// them.
func setRecords(d *zonedata.Draft, recs []libdns.Record) ([]dns.RR, error) {
	set, err := fromLibdns(d, recs)
	if err != nil {
		return nil, err
	}
	for name, rrs := range byName(set) {
		ttls := make(map[uint16]uint32)
		given := make(map[string][]dns.RR)
		for _, rr := range rrs {
			h := rr.Header()
			if ttl, ok := ttls[h.Rrtype]; !ok || h.Ttl < ttl {
				ttls[h.Rrtype] = h.Ttl
			}
			given[zonedata.DataKey(rr)] = append(given[zonedata.DataKey(rr)], rr)
		}
		var records []zonedata.Record
		for _, r := range d.Records(name) {
			_, replaced := ttls[r.RR.Header().Rrtype]
			switch {
			case !replaced:
				records = append(records, r)
			case r.Mark.Said():
				same := func(rr dns.RR) bool { return zonedata.SameData(rr, r.RR) }
				if !slices.ContainsFunc(given[zonedata.DataKey(r.RR)], same) {
					return nil, errFixed(r)
				}
				records = append(records, r)
			}
		}
		for _, rr := range rrs {
			rr.Header().Ttl = ttls[rr.Header().Rrtype]
			records = append(records, zonedata.Record{RR: rr})
		}
		if err := d.Set(name, records); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// deleteRecords deletes the records that match, and returns them.
func deleteRecords(d *zonedata.Draft, recs []libdns.Record) ([]dns.RR, error) {
	ms, err := newMatchers(d.Origin(), recs)
	if err != nil {
		return nil, err
	}
	var deleted []dns.RR
	for name := range ms {
		var kept []zonedata.Record
		before := len(deleted)
		for _, r := range d.Records(name) {
			switch {
			case !ms.match(d.Origin(), r.RR):
				kept = append(kept, r)
			case r.Mark.Said(), r.Mark.From == zonedata.Derived && !ms.match(d.Origin(), zonedata.Renamed(r.RR, d.Origin())):
				return nil, errFixed(r)
			default:
				deleted = append(deleted, r.RR)
			}
		}
		if len(deleted) == before {
			continue
		}
		if err := d.Set(name, kept); err != nil {
			return nil, err
		}
	}
	return deleted, nil
}

func byName(rrs []dns.RR) map[string][]dns.RR {
	out := make(map[string][]dns.RR)
	for _, rr := range rrs {
		name := rr.Header().Name
		out[name] = append(out[name], rr)
	}
	return out
}

func errFixed(r zonedata.Record) error {
	h := r.RR.Header()
	if r.Mark.From == zonedata.Derived {
		return fmt.Errorf("%s %s follows the addresses of the zone's own name: change those, or set other addresses for it", h.Name, zonedata.TypeName(h.Rrtype))
	}
	_, data, _ := strings.Cut(r.RR.String(), "\t"+zonedata.TypeName(h.Rrtype)+"\t")
	return fmt.Errorf("%s %s %s is fixed by the configuration: remove it from the nameserver option to change it here", h.Name, zonedata.TypeName(h.Rrtype), data)
}
