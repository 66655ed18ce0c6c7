package nameserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

const maxTTL = 1<<31 - 1 // RFC 2181, section 8

// fromLibdns converts records that are to be written to the zone.
func fromLibdns(d *zonedata.Draft, recs []libdns.Record) ([]dns.RR, error) {
	out := make([]dns.RR, 0, len(recs))
	for _, rec := range recs {
		rr, err := fromRR(d, rec.RR())
		if err != nil {
			return nil, err
		}
		out = append(out, rr)
	}
	return out, nil
}

func fromRR(d *zonedata.Draft, r libdns.RR) (dns.RR, error) {
	ttl := seconds(r.TTL)
	if r.TTL == 0 {
		ttl = d.SOA().Hdr.Ttl
	}
	rr, err := buildRR(d.Origin(), r, ttl)
	if err == nil {
		err = zonedata.CheckRecord(d.Origin(), rr)
	}
	if err == nil {
		err = zonedata.CheckWritable(d.Origin(), zonedata.Record{RR: rr})
	}
	if err != nil {
		return nil, fmt.Errorf("record %q %s in zone %s: %w", r.Name, r.Type, d.Origin(), err)
	}
	return rr, nil
}

// buildRR converts a record. Libdns data is in zone file syntax without
// escapes, so texts are taken as they are.
func buildRR(origin string, r libdns.RR, ttl uint32) (dns.RR, error) {
	name, err := zonedata.OwnerName(origin, r.Name)
	if err != nil {
		return nil, err
	}
	h := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: ttl}
	switch typ := strings.ToUpper(r.Type); typ {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(r.Data)
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", r.Data)
		}
		addr = addr.Unmap()
		if addr.Is4() != (typ == "A") {
			return nil, fmt.Errorf("%s is not an address for a record of type %s", addr, typ)
		}
		if typ == "A" {
			h.Rrtype = dns.TypeA
			return &dns.A{Hdr: h, A: addr.AsSlice()}, nil
		}
		h.Rrtype = dns.TypeAAAA
		return &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()}, nil
	case "TXT":
		h.Rrtype = dns.TypeTXT
		return zonedata.Normalized(&dns.TXT{Hdr: h, Txt: zonedata.SplitText(r.Data)})
	case "CAA":
		parsed, err := r.Parse()
		if err != nil {
			return nil, err
		}
		caa := parsed.(libdns.CAA)
		h.Rrtype = dns.TypeCAA
		return zonedata.Normalized(&dns.CAA{Hdr: h, Flag: caa.Flags, Tag: caa.Tag, Value: zonedata.EscapeText(caa.Value)})
	}
	return zonedata.ParseRecord(origin, name, ttl, r.Type, r.Data)
}

// toLibdns converts a record of the zone into the most specific type there is.
func toLibdns(origin string, rr dns.RR) libdns.Record {
	h := rr.Header()
	name, ttl := zonedata.RelativeName(origin, h.Name), time.Duration(h.Ttl)*time.Second
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ := netip.AddrFromSlice(rr.A.To4())
		return libdns.Address{Name: name, TTL: ttl, IP: addr}
	case *dns.AAAA:
		addr, _ := netip.AddrFromSlice(rr.AAAA.To16())
		return libdns.Address{Name: name, TTL: ttl, IP: addr}
	case *dns.TXT:
		return libdns.TXT{Name: name, TTL: ttl, Text: zonedata.Text(rr)}
	case *dns.CAA:
		return libdns.CAA{Name: name, TTL: ttl, Flags: rr.Flag, Tag: rr.Tag, Value: zonedata.UnescapeText(rr.Value)}
	case *dns.RFC3597:
		return libdns.RR{Name: name, TTL: ttl, Type: zonedata.TypeName(h.Rrtype), Data: fmt.Sprintf(`\# %d %s`, len(rr.Rdata)/2, rr.Rdata)}
	}
	data := strings.TrimPrefix(rr.String(), h.String())
	generic := libdns.RR{Name: name, TTL: ttl, Type: zonedata.TypeName(h.Rrtype), Data: data}
	if specific, err := generic.Parse(); err == nil {
		return specific
	}
	return generic // such as an SRV record whose name lacks the service
}

// matcher tells which records an input of DeleteRecords means.
type matcher struct {
	name string // in canonical form
	typ  string // "" is any
	ttl  time.Duration
	data string // "" is any
	want map[uint16]dns.RR
}

func newMatcher(origin string, rec libdns.Record) (*matcher, error) {
	r := rec.RR()
	name, err := zonedata.OwnerName(origin, r.Name)
	if err != nil {
		return nil, fmt.Errorf("record %q %s in zone %s: %w", r.Name, r.Type, origin, err)
	}
	return &matcher{name: name, typ: r.Type, ttl: r.TTL, data: r.Data, want: make(map[uint16]dns.RR)}, nil
}

// matches reports whether it means a record of its name.
func (m *matcher) matches(origin string, rr dns.RR) bool {
	h := rr.Header()
	if m.typ != "" && !strings.EqualFold(m.typ, zonedata.TypeName(h.Rrtype)) || m.ttl != 0 && seconds(m.ttl) != h.Ttl {
		return false
	}
	if m.data == "" {
		return true
	}
	want, ok := m.want[h.Rrtype]
	if !ok {
		// Data means something only together with a type.
		r := libdns.RR{Name: m.name, Type: zonedata.TypeName(h.Rrtype), Data: m.data}
		if parsed, err := buildRR(origin, r, h.Ttl); err == nil {
			want = parsed
		}
		m.want[h.Rrtype] = want
	}
	return want != nil && zonedata.SameData(want, rr)
}

// matchers finds those of its matchers that mean a record, by its data where
// they say one.
type matchers map[string]map[string][]*matcher // by name and data, or "" for any

func newMatchers(origin string, recs []libdns.Record) (matchers, error) {
	out := make(matchers)
	for _, rec := range recs {
		m, err := newMatcher(origin, rec)
		if err != nil {
			return nil, err
		}
		key := ""
		if m.data != "" && m.typ != "" {
			r := libdns.RR{Name: m.name, Type: m.typ, Data: m.data}
			rr, err := buildRR(origin, r, 0)
			if err != nil {
				continue // what cannot be in a zone is not there
			}
			key = zonedata.DataKey(rr)
			m.want[rr.Header().Rrtype] = rr
		}
		if out[m.name] == nil {
			out[m.name] = make(map[string][]*matcher)
		}
		out[m.name][key] = append(out[m.name][key], m)
	}
	return out, nil
}

func (ms matchers) match(origin string, rr dns.RR) bool {
	named := ms[rr.Header().Name]
	is := func(m *matcher) bool { return m.matches(origin, rr) }
	return slices.ContainsFunc(named[""], is) || slices.ContainsFunc(named[zonedata.DataKey(rr)], is)
}

func seconds(ttl time.Duration) uint32 { return uint32(min(max(ttl, 0)/time.Second, maxTTL)) }
