package dynamicdns

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// observer turns what happens into metrics and events. Its methods return at
// once, for detectors and zones wait for them; those of a nil observer do
// nothing.
type observer struct {
	counts *counts
	events *emitter
}

// newObserver must be called in Provision; see newEmitter.
func newObserver(ctx caddy.Context, pooled *pooled, whenStarted func()) (*observer, error) {
	shared, err := pooled.hold(poolKey{kind: "counts"}, func() caddy.Destructor { return newCounts() })
	if err != nil {
		return nil, err
	}
	events, err := newEmitter(ctx, whenStarted)
	if err != nil {
		return nil, err
	}
	return &observer{counts: shared.(*counts), events: events}, nil
}

// Checked implements detect.Observer.
func (o *observer) Checked(source string, f ipaddr.Family, result detect.Result) {
	if o != nil {
		o.counts.checks.WithLabelValues(source, f.String(), string(result)).Inc()
	}
}

// Called implements provider.Observer.
func (o *observer) Called(provider, method string, ok bool, took time.Duration) {
	if o != nil {
		result := resultError
		if ok {
			result = resultOK
		}
		o.counts.calls.WithLabelValues(provider, method, result).Inc()
		o.counts.duration.WithLabelValues(provider, method).Observe(took.Seconds())
	}
}

// AddressChanged implements detect.Observer.
func (o *observer) AddressChanged(f ipaddr.Family, from, to []netip.Addr, source string) {
	if o != nil {
		o.events.add("address_changed", map[string]any{
			"family": f.String(),
			"old":    status.Addresses(from),
			"new":    status.Addresses(to),
			"source": source,
		})
	}
}

// RecordsChanged implements zone.Observer.
func (o *observer) RecordsChanged(zone, provider string, changes []plan.Change) {
	if o == nil || len(changes) == 0 {
		return
	}
	list := make(changeList, len(changes))
	for i, c := range changes {
		list[i] = newChange(c)
		o.counts.changes.WithLabelValues(dnsname.Display(zone), provider, c.Key.Family.RRType()).Inc()
	}
	o.events.add("records_changed", map[string]any{
		"zone":     dnsname.Display(zone),
		"provider": provider,
		"changes":  list,
	})
}

// UpdateFailed implements zone.Observer.
func (o *observer) UpdateFailed(zone, provider string, err error, attempt int) {
	if o != nil {
		o.events.add("update_failed", map[string]any{
			"zone":     dnsname.Display(zone),
			"provider": provider,
			"error":    oneLine(err.Error()),
			"attempt":  attempt,
		})
	}
}

// Recovered implements zone.Observer.
func (o *observer) Recovered(zone, provider string, after time.Duration) {
	if o != nil {
		o.events.add("recovered", map[string]any{
			"zone":     dnsname.Display(zone),
			"provider": provider,
			"after":    int(after.Seconds()),
		})
	}
}

// changeList is a JSON array, and in a placeholder one line of text.
type changeList []status.Change

func (l changeList) String() string {
	texts := make([]string, len(l))
	for i, c := range l {
		texts[i] = fmt.Sprintf("%s %s %s -> %s", c.Name, c.Type, c.From, c.To)
	}
	return strings.Join(texts, "; ")
}

func newChange(c plan.Change) status.Change {
	return status.Change{
		Name: c.Key.Name, Type: c.Key.Family.RRType(), Reason: c.Reason(),
		From: c.From, To: c.To, TTL: c.TTL.Seconds(), Source: c.Source,
	}
}

// oneLine joins the lines of joined errors.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

var (
	_ detect.Observer   = (*observer)(nil)
	_ provider.Observer = (*observer)(nil)
	_ zone.Observer     = (*observer)(nil)
)
