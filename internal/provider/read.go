package provider

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// holder is implemented by records of providers that have something of their
// own kind in the place of an address RRset.
type holder interface {
	// Holds returns the type of the RRset, A or AAAA, and what is there.
	Holds() (rrtype, what string)
}

// Read returns the address RRsets of the managed names in the zone, and what is
// in the way of them. managed gives back the caller's copy of a name, for the
// provider's may be a piece of a whole answer that it would keep in memory.
func (p *Provider) Read(ctx context.Context, zone string, managed func(name string) (string, bool)) (plan.Observed, error) {
	recs, err := p.measure("GetRecords", func() ([]libdns.Record, error) {
		return p.getter.GetRecords(ctx, zone)
	})
	if err != nil {
		return plan.Observed{}, err
	}
	r := reading{zone: zone, managed: managed, observed: plan.Observed{
		Sets: make(map[plan.Key]plan.RRset),
		Obstacles: plan.Obstacles{
			CNAMEs: make(map[string]string), Cuts: make(map[string]plan.Cut), Held: make(map[plan.Key]string),
		},
	}}
	for _, rec := range recs {
		if err := r.take(rec); err != nil {
			return plan.Observed{}, err
		}
	}
	for key, set := range r.observed.Sets {
		if len(set.Addrs) > 1 {
			sorted := ipaddr.Sort(set.Addrs)
			set.Addrs, set.Twice = sorted, len(sorted) < len(set.Addrs)
			r.observed.Sets[key] = set
		}
	}
	return r.observed, nil
}

// Has returns nil if the provider can read the zone, so that it has it, or else
// the provider's error. As Zones, it is a whole call.
func (p *Provider) Has(ctx context.Context, zone string) error {
	return p.question(ctx, func(ctx context.Context) error {
		_, err := p.measure("GetRecords", func() ([]libdns.Record, error) {
			return p.getter.GetRecords(ctx, zone)
		})
		return err
	})
}

// reading makes of records what is observed.
type reading struct {
	zone     string
	managed  func(name string) (string, bool)
	observed plan.Observed
}

func (r *reading) take(rec libdns.Record) error {
	rr, ok := recordRR(rec)
	if !ok {
		return nil
	}
	owner, typ := dnsname.Owner(rr.Name, r.zone), strings.ToUpper(rr.Type)
	switch typ {
	case "NS", "DNAME":
		r.cut(owner, typ, rr.Data)
		return nil
	case "TXT":
		r.mark(owner, rr.Data)
		return nil
	}
	name, ok := r.managed(owner)
	if !ok {
		return nil
	}
	if h, ok := rec.(holder); ok {
		rrtype, what := h.Holds()
		r.hold(name, what, rrtype)
	}
	switch typ {
	case "CNAME":
		r.observed.CNAMEs[name] = strings.Clone(rr.Data)
	case "ALIAS", "ANAME":
		if _, ok := rec.(holder); !ok {
			r.hold(name, fmt.Sprintf("an %s record to %s is in the way", typ, rr.Data), "A", "AAAA")
		}
	case "A", "AAAA":
		return r.address(name, rr)
	}
	return nil
}

func (r *reading) address(name string, rr libdns.RR) error {
	addr, err := netip.ParseAddr(strings.TrimSpace(rr.Data))
	if err != nil {
		return fmt.Errorf("the provider returned %s %s with %q, which is no address", name, rr.Type, rr.Data)
	}
	addr = addr.Unmap()
	key := plan.Key{Name: name, Family: ipaddr.FamilyOf(addr)}
	set := r.observed.Sets[key]
	set.Addrs = append(set.Addrs, addr)
	if set.TTL == 0 || rr.TTL < set.TTL {
		set.TTL = rr.TTL
	}
	r.observed.Sets[key] = set
	return nil
}

// cut notes where the zone ends. The NS records of the zone itself are no such
// place.
func (r *reading) cut(owner, typ, target string) {
	if owner == "@" && typ == "NS" || strings.HasSuffix(owner, ".") {
		return
	}
	owner = strings.Clone(owner)
	c := r.observed.Cuts[owner]
	c.Owner, c.DNAME = dnsname.Display(dnsname.Absolute(owner, r.zone)), c.DNAME || typ == "DNAME"
	c.Targets = append(c.Targets, strings.Clone(dnsname.Owner(target, r.zone)))
	r.observed.Cuts[owner] = c
}

// markPrefixes are what external-dns puts before a name of which it marks one
// type. What it has marked as a CNAME is the whole name's.
var markPrefixes = map[string][]string{"": {"A", "AAAA"}, "a-": {"A"}, "aaaa-": {"AAAA"}, "cname-": {"A", "AAAA"}}

var markOwner = regexp.MustCompile(`external-dns/owner=([^,"\s]+)`)

// mark notes what external-dns takes for its own, by the TXT records of its
// registry.
func (r *reading) mark(owner, text string) {
	if !strings.HasPrefix(strings.TrimLeft(text, `"`), "heritage=external-dns") {
		return
	}
	for prefix, types := range markPrefixes {
		rest, ok := strings.CutPrefix(owner, prefix)
		if !ok {
			continue
		}
		if name, ok := r.managed(rest); ok {
			who := "external-dns"
			if m := markOwner.FindStringSubmatch(text); m != nil {
				who = fmt.Sprintf("external-dns with the owner ID %q", m[1])
			}
			r.hold(name, fmt.Sprintf("it belongs to %s, by the TXT record at %s", who, dnsname.Display(dnsname.Absolute(owner, r.zone))), types...)
		}
	}
}

func (r *reading) hold(name, what string, types ...string) {
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		for _, typ := range types {
			key := plan.Key{Name: name, Family: f}
			// Of several, always the same is told, whatever their order.
			if have := r.observed.Held[key]; typ == f.RRType() && (have == "" || what < have) {
				r.observed.Held[key] = what
			}
		}
	}
}

// recordRR returns the record's RR. Some providers return nil pointers, and
// some pointers to values whose methods then panic.
func recordRR(rec libdns.Record) (libdns.RR, bool) {
	if rec == nil {
		return libdns.RR{}, false
	}
	if v := reflect.ValueOf(rec); v.Kind() == reflect.Pointer && v.IsNil() {
		return libdns.RR{}, false
	}
	return rec.RR(), true
}
