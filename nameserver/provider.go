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

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
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
	warned  sync.Map // zones that this Caddy does not serve, and targets that look like mistakes
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
		out = make([]libdns.Record, 0, s.Len())
		for r := range s.All() {
			out = append(out, toLibdns(z.name, r.RR))
		}
		return nil
	})
	return out, err
}

// AppendRecords adds records to the zone. One that is there already is not an
// error.
func (p *Provider) AppendRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, recs, appendRecords)
}

// SetRecords makes each RRset of the input hold the records of the input only.
func (p *Provider) SetRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, recs, setRecords)
}

// DeleteRecords deletes the records that match the input exactly, where an
// empty type, TTL or value matches any. It returns those that it deleted.
func (p *Provider) DeleteRecords(ctx context.Context, name string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.edit(ctx, name, recs, deleteRecords)
}

// NotifyChanged calls a function, in a goroutine of its own, each time a person
// has edited the file of a zone, or it comes to be served, so that whoever keeps
// records in the zone can look at once whether they are right. It does so while
// an app of this process serves the zone, and until it is cancelled.
func (p *Provider) NotifyChanged(name string, changed func()) (cancel func()) {
	canonical, err := zonedata.ZoneName(name)
	if err != nil {
		return func() {}
	}
	z, key := useZone(p.storage, canonical)
	unsubscribe := z.subscribe(changed)
	return sync.OnceFunc(func() {
		unsubscribe()
		_, _ = zones.Delete(key)
	})
}

// Note says of a zone that this Caddy does not serve that nobody may: its file
// is written all the same, for another Caddy on the storage.
func (p *Provider) Note(name string) string {
	canonical, err := zonedata.ZoneName(name)
	if err != nil {
		return ""
	}
	z, key := useZone(p.storage, canonical)
	defer func() { _, _ = zones.Delete(key) }()
	if z.isDeclared() {
		return ""
	}
	return fmt.Sprintf("this Caddy does not serve the zone; unless another one on the same storage does, write `zone %s` into the block of the global option nameserver", strings.TrimSuffix(canonical, "."))
}

// ListZones returns the zones of the app and those that have a zone file.
func (p *Provider) ListZones(ctx context.Context) ([]libdns.Zone, error) {
	names, err := storedZones(ctx, p.storage)
	if err != nil {
		return nil, err
	}
	id := storageID(p.storage)
	zones.Range(func(key, val any) bool {
		if z := val.(*zone); key.(zoneKey).storage == id && z.isDeclared() {
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
	name, err := zonedata.ZoneName(name)
	if err != nil {
		return err
	}
	z, key := useZone(p.storage, name)
	defer func() { _, _ = zones.Delete(key) }()
	unknown := !z.isDeclared() // not only at the end, for Caddy may stop meanwhile
	if err := f(z); err != nil {
		return err
	}
	if unknown && !z.isDeclared() {
		if _, warned := p.warned.LoadOrStore(name, true); !warned {
			p.logger.Warn("using the file of a zone that this Caddy does not serve: unless another Caddy on this storage does, add it to the nameserver option",
				zap.String("zone", name))
		}
	}
	return nil
}

// edit changes the zone, and returns what the change returns.
func (p *Provider) edit(ctx context.Context, name string, recs []libdns.Record, change func(*zonedata.Draft, []libdns.Record) ([]dns.RR, error)) ([]libdns.Record, error) {
	var out []libdns.Record
	err := p.with(ctx, name, func(z *zone) error {
		var result []dns.RR
		err := z.update(ctx, p.storage, func(d *zonedata.Draft) (err error) {
			result, err = change(d, recs)
			return err
		})
		if err != nil {
			return err
		}
		warnOfTargets(p.logger, &p.warned, z.name, recs)
		for _, rr := range result {
			out = append(out, toLibdns(z.name, rr))
		}
		return nil
	})
	return out, err
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
