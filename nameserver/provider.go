package nameserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider changes the zones of the `nameserver` app of this Caddy, or of
// another one on the same storage. It has no options. Every call is atomic,
// and what it reports as done is in the zone file and, where this Caddy serves
// the zone, in the next answer.
//
// The zone's SOA record is not among the records that can be read or set: the
// server keeps it. Records that the configuration says are read like others,
// but a call that would change them is refused. Records of an RRset have one
// TTL (RFC 2181, section 5.2): a record that is appended takes that of its
// RRset. A TTL of 0 means the TTL of the zone.
type Provider struct {
	storage certmagic.Storage
	logger  *zap.Logger
	warned  sync.Map // zones that this Caddy does not serve
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.nameserver",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision sets up the provider.
func (p *Provider) Provision(ctx caddy.Context) error {
	p.storage = ctx.Storage()
	p.logger = ctx.Logger()
	return nil
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	nameserver
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume provider name
	if d.NextArg() {
		return d.Errf("the nameserver provider takes no arguments: zones are configured in the nameserver global option")
	}
	if d.NextBlock(0) {
		return d.Errf("the nameserver provider has no option %q: zones are configured in the nameserver global option", d.Val())
	}
	return nil
}

// GetRecords returns all records of the zone but its SOA.
func (p *Provider) GetRecords(ctx context.Context, name string) ([]libdns.Record, error) {
	var out []libdns.Record
	err := p.with(ctx, name, func(z *zone) error {
		s, err := z.get(ctx, p.storage)
		if err != nil {
			return err
		}
		out = make([]libdns.Record, 0, len(s.records))
		for _, r := range s.records {
			out = append(out, toLibdns(z.name, r.rr))
		}
		return nil
	})
	return out, err
}

// AppendRecords adds records to the zone. One that is there already is not an
// error.
func (p *Provider) AppendRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, func(s *snapshot) ([]record, []dns.RR, error) {
		add, err := fromLibdns(s, recs)
		if err != nil {
			return nil, nil, err
		}
		added := make(map[rrsetKey]bool)
		for _, rr := range add {
			added[keyOf(rr)] = true
		}
		out := slices.Clone(s.records)
		for i, r := range out {
			if r.from == derived && added[keyOf(r.rr)] {
				out[i].from = dynamic // with an address of its own, the host no longer follows the zone
			}
		}
		ttls := make(map[rrsetKey]uint32)
		for _, rr := range add {
			// Existing records must not change, so the new one takes their TTL.
			h, key := rr.Header(), keyOf(rr)
			if set := s.rrset(s.nodes[h.Name], h.Rrtype); len(set) > 0 {
				h.Ttl = set[0].rr.Header().Ttl
			} else if ttl, ok := ttls[key]; ok {
				h.Ttl = ttl
			}
			ttls[key] = h.Ttl
			out = append(out, record{rr: rr})
		}
		return out, add, nil
	})
}

// SetRecords makes each RRset of the input hold the records of the input only.
func (p *Provider) SetRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, func(s *snapshot) ([]record, []dns.RR, error) {
		set, err := fromLibdns(s, recs)
		if err != nil {
			return nil, nil, err
		}
		replaced := make(map[rrsetKey]uint32)
		for _, rr := range set {
			k := keyOf(rr)
			if ttl, ok := replaced[k]; !ok || rr.Header().Ttl < ttl {
				replaced[k] = rr.Header().Ttl
			}
		}
		var out []record
		for _, r := range s.records {
			_, gone := replaced[keyOf(r.rr)]
			switch {
			case !gone:
				out = append(out, r)
			case r.from == fixed || r.from == following:
				if !slices.ContainsFunc(set, func(rr dns.RR) bool { return sameData(rr, r.rr) }) {
					return nil, nil, errFixed(r)
				}
				out = append(out, r)
			}
		}
		for _, rr := range set {
			rr.Header().Ttl = replaced[keyOf(rr)]
			out = append(out, record{rr: rr})
		}
		return out, set, nil
	})
}

// DeleteRecords deletes the records that match the input exactly, where an
// empty type, TTL or value matches any. It returns those that it deleted.
func (p *Provider) DeleteRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, func(s *snapshot) ([]record, []dns.RR, error) {
		matchers := make(map[string][]func(dns.RR) bool)
		for _, rec := range recs {
			name, match, err := matcher(s, rec)
			if err != nil {
				return nil, nil, err
			}
			matchers[name] = append(matchers[name], match)
		}
		var out []record
		var deleted []dns.RR
		isDeleted := func(rr dns.RR) bool {
			return slices.ContainsFunc(matchers[rr.Header().Name], func(match func(dns.RR) bool) bool { return match(rr) })
		}
		for _, r := range s.records {
			switch {
			case !isDeleted(r.rr):
				out = append(out, r)
			case r.from == fixed || r.from == following || r.from == derived && !isDeleted(renamed(r.rr, s.origin)):
				return nil, nil, errFixed(r)
			default:
				deleted = append(deleted, r.rr)
			}
		}
		return out, deleted, nil
	})
}

// ListZones returns the zones of the app and those that have a zone file.
func (p *Provider) ListZones(ctx context.Context) ([]libdns.Zone, error) {
	names, err := storedZones(ctx, p.storage)
	if err != nil {
		return nil, err
	}
	id := storageID(p.storage)
	zones.Range(func(key, val any) bool {
		if z := val.(*zone); key.(zoneKey).storage == id && z.declaration() != nil {
			names = append(names, z.name)
		}
		return true
	})
	slices.Sort(names)
	var out []libdns.Zone
	for _, name := range slices.Compact(names) {
		out = append(out, libdns.Zone{Name: name})
	}
	return out, nil
}

// with calls f with the zone, whether or not the app has it in use already.
func (p *Provider) with(ctx context.Context, name string, f func(*zone) error) error {
	name, err := zoneName(name)
	if err != nil {
		return err
	}
	z, key := useZone(p.storage, name)
	defer func() { _, _ = zones.Delete(key) }()
	unknown := z.declaration() == nil // not only at the end, for Caddy may stop meanwhile
	if err := f(z); err != nil {
		return err
	}
	if unknown && z.declaration() == nil {
		if _, warned := p.warned.LoadOrStore(name, true); !warned {
			p.logger.Warn("using the file of a zone that this Caddy does not serve: unless another Caddy on this storage does, add it to the nameserver option",
				zap.String("zone", name))
		}
	}
	return nil
}

func (p *Provider) edit(ctx context.Context, name string, f func(*snapshot) ([]record, []dns.RR, error)) ([]libdns.Record, error) {
	var out []libdns.Record
	err := p.with(ctx, name, func(z *zone) error {
		var result []dns.RR
		err := z.update(ctx, p.storage, func(s *snapshot) (records []record, err error) {
			records, result, err = f(s)
			return records, err
		})
		if err != nil {
			return err
		}
		for _, rr := range result {
			out = append(out, toLibdns(z.name, rr))
		}
		return nil
	})
	return out, err
}

func errFixed(r record) error {
	h := r.rr.Header()
	if r.from == derived {
		return fmt.Errorf("%s %s follows the addresses of the zone's own name: change those, or set other addresses for it", h.Name, typeName(h.Rrtype))
	}
	_, data, _ := strings.Cut(r.rr.String(), "\t"+typeName(h.Rrtype)+"\t")
	return fmt.Errorf("%s %s %s is fixed by the configuration: remove it from the nameserver option to change it here", h.Name, typeName(h.Rrtype), data)
}

var (
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
	_ libdns.RecordGetter   = (*Provider)(nil)
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordSetter   = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
	_ libdns.ZoneLister     = (*Provider)(nil)
)
