package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	readTimeout  = time.Minute
	writeTimeout = 2 * time.Minute
	// maxCalls is how many calls run at a time per provider configuration.
	maxCalls = 8
)

// errAbandoned means that a call did not return by its deadline, or that its
// keeper was stopped meanwhile. It may still be running.
var errAbandoned = errors.New("the provider did not answer in time")

// provider calls a libdns provider in a way that cannot hurt the caller:
// under a deadline, with panics and secrets taken out, and with records in
// canonical form.
type provider struct {
	name     string
	getter   libdns.RecordGetter
	setter   libdns.RecordSetter
	appender libdns.RecordAppender
	deleter  libdns.RecordDeleter
	lister   libdns.ZoneLister
	slots    chan struct{}
	redact   func(string) string
	witness  *witness
	logger   *zap.Logger
}

// newProvider looks what the module can do. It is an error if that does not
// suffice to make an RRset hold what is wished.
func newProvider(name string, module any, slots chan struct{}, redact func(string) string, logger *zap.Logger) (*provider, error) {
	p := &provider{name: name, slots: slots, redact: redact, logger: logger}
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

// read returns the address RRsets and CNAMEs of the wanted names in the
// zone. wanted gives back the caller's copy of a name, for the provider's may
// be a piece of a whole answer that it would keep in memory.
func (p *provider) read(ctx context.Context, zone string, wanted func(name string) (string, bool)) (zoneView, error) {
	recs, err := p.measure("GetRecords", func() ([]libdns.Record, error) {
		return p.getter.GetRecords(ctx, zone)
	})
	if err != nil {
		return zoneView{}, err
	}
	view := zoneView{sets: make(map[rrKey]rrset), cnames: make(map[string]string)}
	for _, rec := range recs {
		rr, ok := recordRR(rec)
		if !ok {
			continue
		}
		name, ok := wanted(dnsname.Owner(rr.Name, zone))
		if !ok {
			continue
		}
		switch strings.ToUpper(rr.Type) {
		case "CNAME":
			view.cnames[name] = rr.Data
		case "A", "AAAA":
			addr, err := netip.ParseAddr(strings.TrimSpace(rr.Data))
			if err != nil {
				return zoneView{}, fmt.Errorf("the provider returned %s %s with %q, which is no address", name, rr.Type, rr.Data)
			}
			addr = addr.Unmap()
			key := rrKey{name, ipaddr.FamilyOf(addr)}
			set := view.sets[key]
			set.addrs = append(set.addrs, addr)
			if set.ttl == 0 || rr.TTL < set.ttl {
				set.ttl = rr.TTL
			}
			view.sets[key] = set
		}
	}
	for key, set := range view.sets {
		if len(set.addrs) > 1 {
			sorted := ipaddr.Sort(set.addrs)
			set.addrs, set.twice = sorted, len(sorted) < len(set.addrs)
			view.sets[key] = set
		}
	}
	return view, nil
}

// set makes each RRset hold what its change says.
func (p *provider) set(ctx context.Context, zone string, changes []change) error {
	var recs []libdns.Record
	for _, c := range changes {
		recs = appendRecords(recs, c, c.to)
	}
	_, err := p.measure("SetRecords", func() ([]libdns.Record, error) {
		return p.setter.SetRecords(ctx, zone, recs)
	})
	return err
}

// append adds the addresses that pick chooses of each change.
func (p *provider) append(ctx context.Context, zone string, changes []change, pick func(change) []netip.Addr) error {
	var recs []libdns.Record
	for _, c := range changes {
		recs = appendRecords(recs, c, pick(c))
	}
	if len(recs) == 0 {
		return nil
	}
	_, err := p.measure("AppendRecords", func() ([]libdns.Record, error) {
		return p.appender.AppendRecords(ctx, zone, recs)
	})
	return err
}

// delete removes the addresses that pick chooses of each change, whatever
// their TTL.
func (p *provider) delete(ctx context.Context, zone string, changes []change, pick func(change) []netip.Addr) error {
	var recs []libdns.Record
	for _, c := range changes {
		c.ttl = 0
		recs = appendRecords(recs, c, pick(c))
	}
	if len(recs) == 0 {
		return nil
	}
	_, err := p.measure("DeleteRecords", func() ([]libdns.Record, error) {
		return p.deleter.DeleteRecords(ctx, zone, recs)
	})
	return err
}

// measure counts a call, also one that panics.
func (p *provider) measure(method string, call func() ([]libdns.Record, error)) (recs []libdns.Record, err error) {
	began, result := time.Now(), resultError
	defer func() { p.witness.called(p.name, method, result, time.Since(began)) }()
	recs, err = call()
	if err == nil {
		result = resultOK
	}
	return recs, err
}

func appendRecords(recs []libdns.Record, c change, addrs []netip.Addr) []libdns.Record {
	for _, addr := range addrs {
		recs = append(recs, libdns.Address{Name: c.key.name, TTL: c.ttl, IP: addr})
	}
	return recs
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

// call runs fn on a goroutine of its own, so that a provider that panics or
// ignores its context can neither crash nor hold up the caller. The returned
// channel is closed when fn has returned, which after errAbandoned may be
// much later. A write is not cancelled when ctx is, for a write broken off in
// the middle leaves the zone in a state that nobody wished for.
func (p *provider) call(ctx context.Context, write bool, fn func(context.Context) error) (<-chan struct{}, error) {
	done := make(chan struct{})
	result := make(chan error, 1)
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		close(done)
		return done, ctx.Err()
	}
	timeout, base := readTimeout, ctx
	if write {
		timeout, base = writeTimeout, context.WithoutCancel(ctx)
	}
	callCtx, cancel := context.WithTimeout(base, timeout)
	// Given up, a call gives its place to others: its own zone waits for it
	// to return, so that there is never more than one such call a zone.
	release := sync.OnceFunc(func() { <-p.slots })
	go func() {
		defer close(done)
		defer release()
		defer cancel()
		result <- p.guard(callCtx, fn)
	}()
	timer := time.NewTimer(timeout + time.Second)
	defer timer.Stop()
	select {
	case err := <-result:
		<-done
		return done, err
	case <-timer.C:
		release()
		return done, fmt.Errorf("%w (%s)", errAbandoned, timeout)
	case <-ctx.Done():
		return done, fmt.Errorf("%w: %w", errAbandoned, ctx.Err())
	}
}

func (p *provider) guard(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New(p.redact(fmt.Sprintf("the provider panicked: %v", r)))
			p.logger.Debug("DNS provider panicked",
				zap.String("provider", p.name),
				zap.String("stack", p.redact(string(debug.Stack()))))
		}
	}()
	if err := fn(ctx); err != nil {
		return &providerError{message: p.redact(err.Error()), err: err}
	}
	return nil
}

// providerError is an error of a provider with the secrets of its
// configuration taken out of the message.
type providerError struct {
	message string
	err     error
}

func (e *providerError) Error() string { return e.message }

// Is lets callers ask for context errors, but never gives the original away,
// for its message may hold a secret.
func (e *providerError) Is(target error) bool { return errors.Is(e.err, target) }

// describe names the changes for a log line without making it endless.
func describe(changes []change) []string {
	const most = 10
	keys := make([]string, 0, min(len(changes), most+1))
	for i, c := range changes {
		if i == most {
			keys = append(keys, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		keys = append(keys, c.key.String())
	}
	return slices.Clip(keys)
}
