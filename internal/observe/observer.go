// Package observe tells people what happens to addresses and zones, by metrics
// and events.
package observe

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/events"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/show"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/timeline"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Observer turns what happens into metrics and events. Its methods return at
// once, for detectors and zones wait for them; those of a nil Observer do
// nothing.
type Observer struct {
	// Counts outlive configurations.
	Counts *Counts
	Events *events.Emitter
	// Timeline is what happened last. It outlives configurations, too.
	Timeline *timeline.Timeline
	// Trouble, which may be nil, is called when a zone or a family begins to
	// fail. It returns at once.
	Trouble func()
}

func (o *Observer) trouble() {
	if o.Trouble != nil {
		o.Trouble()
	}
}

// New must be called in Provision; see [events.New].
func New(ctx caddy.Context, pooled *conf.Pooled, whenStarted func()) (*Observer, error) {
	shared, err := pooled.Hold(conf.Key{Kind: "counts"}, func() caddy.Destructor { return newCounts() })
	if err != nil {
		return nil, err
	}
	line, err := pooled.Hold(conf.Key{Kind: "timeline", Config: conf.StorageKey(ctx.Storage())}, func() caddy.Destructor { return timeline.New() })
	if err != nil {
		return nil, err
	}
	o := &Observer{Counts: shared.(*Counts), Timeline: line.(*timeline.Timeline)}
	o.Events, err = events.New(ctx, func() {
		whenStarted()
		o.Timeline.Keep(timeline.Kept{Storage: ctx.Storage(), Instance: conf.Instance, Logger: ctx.Logger()}, time.Now())
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// tell passes on what happened.
func (o *Observer) tell(e status.Event, data map[string]any) {
	o.Timeline.Add(e, time.Now())
	o.Events.Add(string(e.Name), data)
}

// Checked implements detect.Observer.
func (o *Observer) Checked(source string, f ipaddr.Family, result detect.Result) {
	if o != nil {
		o.Counts.Checks.WithLabelValues(source, f.String(), string(result)).Inc()
	}
}

// Called implements provider.Observer.
func (o *Observer) Called(provider, method string, ok bool, took time.Duration) {
	if o != nil {
		result := resultError
		if ok {
			result = resultOK
		}
		o.Counts.Calls.WithLabelValues(provider, method, result).Inc()
		o.Counts.Duration.WithLabelValues(provider, method).Observe(took.Seconds())
	}
}

// AddressChanged implements detect.Observer.
func (o *Observer) AddressChanged(f ipaddr.Family, from, to []netip.Addr, source string) {
	if o != nil {
		o.tell(status.Event{Name: status.EventAddressChanged, Family: f.String(), From: from, To: to, Source: source}, map[string]any{
			"family": f.String(),
			"old":    status.Addresses(from),
			"new":    status.Addresses(to),
			"source": source,
		})
	}
}

// AddressLost implements detect.Observer.
func (o *Observer) AddressLost(f ipaddr.Family, addrs []netip.Addr, err string) {
	if o != nil {
		o.trouble()
		o.tell(status.Event{Name: status.EventAddressLost, Family: f.String(), From: addrs, Error: err}, map[string]any{
			"family":    f.String(),
			"addresses": status.Addresses(addrs),
			"error":     err,
		})
	}
}

// AddressFound implements detect.Observer.
func (o *Observer) AddressFound(f ipaddr.Family, addrs []netip.Addr, source string, after time.Duration) {
	if o != nil {
		o.tell(status.Event{
			Name: status.EventAddressFound, Family: f.String(), To: addrs, Source: source, After: after.Truncate(time.Second).Seconds(),
		}, map[string]any{
			"family":    f.String(),
			"addresses": status.Addresses(addrs),
			"source":    source,
			"after":     int(after.Seconds()),
		})
	}
}

// RecordsChanged implements zone.Observer.
func (o *Observer) RecordsChanged(zone, provider string, changes []plan.Change) {
	o.RecordsChangedBy("", zone, provider, changes)
}

// RecordsChangedBy is RecordsChanged for addresses that a client has sent.
func (o *Observer) RecordsChangedBy(client, zone, provider string, changes []plan.Change) {
	if o == nil || len(changes) == 0 {
		return
	}
	list := make(changeList, len(changes))
	for i, c := range changes {
		list[i] = show.Change(c)
		o.Counts.Changes.WithLabelValues(dnsname.Display(zone), provider, c.Key.Family.RRType()).Inc()
	}
	o.tell(status.Event{Name: status.EventRecordsChanged, Zone: dnsname.Display(zone), Provider: provider, Client: client, Changes: list}, withClient(client, map[string]any{
		"zone":     dnsname.Display(zone),
		"provider": provider,
		"changes":  list,
	}))
}

// UpdateFailed implements zone.Observer.
func (o *Observer) UpdateFailed(zone, provider string, _ []string, err error, attempt int) {
	o.UpdateFailedBy("", zone, provider, err, attempt)
}

// UpdateFailedBy is UpdateFailed for addresses that clients have sent.
func (o *Observer) UpdateFailedBy(client, zone, provider string, err error, attempt int) {
	if o != nil {
		o.trouble()
		text := show.OneLine(err.Error())
		o.tell(status.Event{Name: status.EventUpdateFailed, Zone: dnsname.Display(zone), Provider: provider, Error: text}, withClient(client, map[string]any{
			"zone":     dnsname.Display(zone),
			"provider": provider,
			"error":    text,
			"attempt":  attempt,
		}))
	}
}

// Recovered implements zone.Observer.
func (o *Observer) Recovered(zone, provider string, _ []string, after time.Duration) {
	o.RecoveredBy("", zone, provider, after)
}

// RecoveredBy is Recovered for addresses that clients have sent.
func (o *Observer) RecoveredBy(client, zone, provider string, after time.Duration) {
	if o != nil {
		o.tell(status.Event{
			Name: status.EventRecovered, Zone: dnsname.Display(zone), Provider: provider, After: after.Truncate(time.Second).Seconds(),
		}, withClient(client, map[string]any{
			"zone":     dnsname.Display(zone),
			"provider": provider,
			"after":    int(after.Seconds()),
		}))
	}
}

// withClient adds to an event whose addresses it is about, if they are a
// client's.
func withClient(client string, data map[string]any) map[string]any {
	if client != "" {
		data["client"] = client
	}
	return data
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

// InstanceJoined implements cluster.Observer.
func (o *Observer) InstanceJoined(name, host string) {
	o.tell(status.Event{Name: status.EventInstanceJoined, Instance: name}, map[string]any{"instance": name, "host": host})
}

// InstanceGone implements cluster.Observer.
func (o *Observer) InstanceGone(name string) {
	o.tell(status.Event{Name: status.EventInstanceGone, Instance: name}, map[string]any{"instance": name})
}

// ZoneTakenOver implements cluster.Observer.
func (o *Observer) ZoneTakenOver(zone, provider, by string) {
	o.tell(status.Event{Name: status.EventZoneTakenOver, Zone: zone, Provider: provider, Instance: by}, map[string]any{"zone": zone, "provider": provider, "instance": by})
}

var (
	_ detect.Observer   = (*Observer)(nil)
	_ provider.Observer = (*Observer)(nil)
	_ zone.Observer     = (*Observer)(nil)
)
