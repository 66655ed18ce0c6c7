package dynamicdns

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// observer is told what happens, for the metrics and the events. All its
// methods return at once, so that they can be called under a lock; those of
// a nil observer do nothing.
type observer struct {
	counts *counts
	events *emitter
}

// Checked implements detect.Observer.
func (w *observer) Checked(source string, f ipaddr.Family, result detect.Result) {
	if w != nil {
		w.counts.checks.WithLabelValues(source, f.String(), string(result)).Inc()
	}
}

// Called implements provider.Observer.
func (w *observer) Called(provider, method string, ok bool, took time.Duration) {
	if w != nil {
		result := resultError
		if ok {
			result = resultOK
		}
		w.counts.calls.WithLabelValues(provider, method, result).Inc()
		w.counts.duration.WithLabelValues(provider, method).Observe(took.Seconds())
	}
}

// AddressChanged implements detect.Observer.
func (w *observer) AddressChanged(f ipaddr.Family, from, to []netip.Addr, source string) {
	if w != nil {
		w.events.add("address_changed", map[string]any{
			"family": f.String(),
			"old":    status.Addresses(from),
			"new":    status.Addresses(to),
			"source": source,
		})
	}
}

// RecordsChanged implements zone.Observer.
func (w *observer) RecordsChanged(zone, provider string, changes []plan.Change) {
	if w == nil || len(changes) == 0 {
		return
	}
	list := make(changeList, len(changes))
	for i, c := range changes {
		list[i] = newChange(c)
		w.counts.changes.WithLabelValues(dnsname.Display(zone), provider, c.Key.Family.RRType()).Inc()
	}
	w.events.add("records_changed", map[string]any{
		"zone":     dnsname.Display(zone),
		"provider": provider,
		"changes":  list,
	})
}

// UpdateFailed implements zone.Observer.
func (w *observer) UpdateFailed(zone, provider string, err error, attempt int) {
	if w != nil {
		w.events.add("update_failed", map[string]any{
			"zone":     dnsname.Display(zone),
			"provider": provider,
			"error":    oneLine(err.Error()),
			"attempt":  attempt,
		})
	}
}

// Recovered implements zone.Observer.
func (w *observer) Recovered(zone, provider string, after time.Duration) {
	if w != nil {
		w.events.add("recovered", map[string]any{
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
