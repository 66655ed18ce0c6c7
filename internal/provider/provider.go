// Package provider calls libdns providers in a way that cannot hurt the
// caller: under a deadline, with panics and secrets taken out, and with
// records in canonical form.
package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Observer is told how a call of a provider ended. Its method returns at
// once.
type Observer interface {
	Called(provider, method string, ok bool, took time.Duration)
}

// changeNotifier is implemented by libdns providers that can tell when others
// have changed a zone, as a name server in this process can. The function is
// called until it is cancelled; it returns at once.
type changeNotifier interface {
	NotifyChanged(zone string, changed func()) (cancel func())
}

// noter is implemented by libdns providers that know something of a zone that
// no error says. It is answered at once.
type noter interface {
	Note(zone string) string
}

// accountHolder is implemented by libdns providers of which two may use one
// account with other options.
type accountHolder interface {
	// Account returns what is equal for those of one account. It may be a
	// secret.
	Account() string
}

// Account returns what is equal for modules of one account, or "" for one that
// cannot tell.
func Account(module any) string {
	if a, ok := module.(accountHolder); ok {
		return a.Account()
	}
	return ""
}

const (
	// maxCalls is how many calls run at a time per account.
	maxCalls = 8
	// maxQuestions is how many whole calls run at a time.
	maxQuestions = 4
)

// Slots bound how many calls of one account run at a time.
type Slots chan struct{}

// NewSlots returns the slots of an account.
func NewSlots() Slots { return make(Slots, maxCalls) }

// Provider is a libdns provider.
type Provider struct {
	// Name is that of its module, Module the module itself.
	Name   string
	Module any

	getter   libdns.RecordGetter
	setter   libdns.RecordSetter
	appender libdns.RecordAppender
	deleter  libdns.RecordDeleter
	lister   libdns.ZoneLister
	slots    Slots
	// questions bounds the whole calls, those among them that were given up and
	// may never end.
	questions chan struct{}
	redact    func(string) string
	observer  Observer
	logger    *zap.Logger
}

// SharesAccount reports whether both are the same account at the provider,
// whatever else they are configured with.
func (p *Provider) SharesAccount(other *Provider) bool { return p.slots == other.slots }

// New looks what the module can do. It is an error if that does not suffice
// to make an RRset hold what is desired.
func New(name string, module any, slots Slots, redact func(string) string, observer Observer, logger *zap.Logger) (*Provider, error) {
	p := &Provider{Name: name, Module: module, slots: slots, questions: make(chan struct{}, maxQuestions), redact: redact, observer: observer, logger: logger}
	p.getter, _ = module.(libdns.RecordGetter)
	p.setter, _ = module.(libdns.RecordSetter)
	p.appender, _ = module.(libdns.RecordAppender)
	p.deleter, _ = module.(libdns.RecordDeleter)
	p.lister, _ = module.(libdns.ZoneLister)
	if p.setter != nil || p.appender != nil && p.deleter != nil {
		return p, nil
	}
	missing := "libdns.RecordSetter"
	switch {
	case p.appender != nil:
		missing += " nor libdns.RecordDeleter"
	case p.deleter != nil:
		missing += " nor libdns.RecordAppender"
	default:
		missing += ", libdns.RecordAppender nor libdns.RecordDeleter"
	}
	return nil, fmt.Errorf("the DNS provider %q cannot update records: it implements neither %s; use a provider that can set records, or append and delete them", name, missing)
}

// CanRead reports whether the provider can be read.
func (p *Provider) CanRead() bool { return p.getter != nil }

// CanSet reports whether the provider can set RRsets.
func (p *Provider) CanSet() bool { return p.setter != nil }

// CanAppend reports whether the provider can add records.
func (p *Provider) CanAppend() bool { return p.appender != nil }

// CanDelete reports whether the provider can delete records.
func (p *Provider) CanDelete() bool { return p.deleter != nil }

// CanList reports whether the provider can list its zones.
func (p *Provider) CanList() bool { return p.lister != nil }

// NotifyChanged has a function called when others have changed the zone, where
// the provider can tell.
func (p *Provider) NotifyChanged(zone string, changed func()) (cancel func()) {
	quiet := func(do func()) {
		_ = p.guard(context.Background(), func(context.Context) error { do(); return nil })
	}
	stop := func() {}
	if n, ok := p.Module.(changeNotifier); ok {
		quiet(func() { stop = n.NotifyChanged(zone, changed) })
	}
	return func() { quiet(stop) }
}

// Note says what else is to be known of a zone, if the provider can tell.
func (p *Provider) Note(zone string) (note string) {
	if n, ok := p.Module.(noter); ok {
		_ = p.guard(context.Background(), func(context.Context) error { note = n.Note(zone); return nil })
	}
	return note
}

// Set makes each RRset hold what its write says.
func (p *Provider) Set(ctx context.Context, zone string, writes []plan.Write) error {
	_, err := p.measure("SetRecords", func() ([]libdns.Record, error) {
		return p.setter.SetRecords(ctx, zone, records(writes))
	})
	return err
}

// Append adds the addresses of each write.
func (p *Provider) Append(ctx context.Context, zone string, writes []plan.Write) error {
	_, err := p.measure("AppendRecords", func() ([]libdns.Record, error) {
		return p.appender.AppendRecords(ctx, zone, records(writes))
	})
	return err
}

// Delete removes the addresses of each write, whatever their TTL.
func (p *Provider) Delete(ctx context.Context, zone string, writes []plan.Write) error {
	writes = slices.Clone(writes)
	for i := range writes {
		writes[i].TTL = 0
	}
	_, err := p.measure("DeleteRecords", func() ([]libdns.Record, error) {
		return p.deleter.DeleteRecords(ctx, zone, records(writes))
	})
	return err
}

// Zones returns the zones of the provider in canonical form. Unlike the methods
// above it is a whole call, which need not be made through [Provider.Call].
func (p *Provider) Zones(ctx context.Context) ([]string, error) {
	if p.lister == nil {
		return nil, errors.New("the provider cannot list zones")
	}
	lists := make(chan []libdns.Zone, 1)
	if err := p.question(ctx, func(ctx context.Context) error {
		began, ok := time.Now(), false
		defer func() { p.observer.Called(p.Name, "ListZones", ok, time.Since(began)) }()
		list, err := p.lister.ListZones(ctx)
		ok = err == nil
		lists <- list
		return err
	}); err != nil {
		return nil, err
	}
	list := <-lists
	zones := make([]string, 0, len(list))
	for _, z := range list {
		if zone, err := dnsname.Zone(z.Name); err == nil {
			zones = append(zones, zone)
		}
	}
	return zones, nil
}

// measure counts a call, also one that panics.
func (p *Provider) measure(method string, call func() ([]libdns.Record, error)) (recs []libdns.Record, err error) {
	began, ok := time.Now(), false
	defer func() { p.observer.Called(p.Name, method, ok, time.Since(began)) }()
	recs, err = call()
	ok = err == nil
	return recs, err
}

func records(writes []plan.Write) []libdns.Record {
	var recs []libdns.Record
	for _, w := range writes {
		for _, addr := range w.Addrs {
			recs = append(recs, libdns.Address{Name: w.Key.Name, TTL: w.TTL, IP: addr})
		}
	}
	return recs
}
