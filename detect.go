package dynamicdns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// sourceTimeout bounds one question to one IP source, for sources that do
// not bound themselves.
const sourceTimeout = time.Minute

// detector learns the addresses for the groups that share its sources,
// families and filter.
type detector struct {
	// key stands for the sources, the families and the filter.
	key      string
	sources  []*source
	versions ipsources.IPVersions
	filter   *ipaddr.Filter
	known    *detection
	witness  *witness
	logger   *zap.Logger
}

// source is one IP source of a detector.
type source struct {
	ipsources.IPSource
	name string
	// trusted is set for a source whose addresses a person chose, so that
	// special-purpose ranges are allowed.
	trusted bool
	// busy holds a token while a call for that family runs, which may be
	// longer than it is waited for.
	busy [ipaddr.Families]chan struct{}
}

func newSource(name string, module ipsources.IPSource) *source {
	_, trusted := module.(ipsources.Configured)
	src := &source{IPSource: module, name: name, trusted: trusted}
	for f := range src.busy {
		src.busy[f] = make(chan struct{}, 1)
	}
	return src
}

// detection is what a detector found. It outlives a configuration.
type detection struct {
	mu       sync.Mutex
	families [ipaddr.Families]found
	// refused are the last refusals, so that each is said once.
	refused [ipaddr.Families]map[string]bool
}

// found is what is known of the addresses of one family.
type found struct {
	addrs       []netip.Addr
	source      string
	confirmedBy []string
	since       time.Time
	checked     time.Time
	// lastErr is why the last check did not find the family, failure why the
	// last one did that did not.
	lastErr  string
	failure  string
	failedAt time.Time
}

// Destruct implements caddy.Destructor.
func (d *detection) Destruct() error { return nil }

func (d *detection) get() [ipaddr.Families]found {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.families
}

// checked returns when the sources were last asked for the family.
func (d *detection) checked(f ipaddr.Family) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.families[f].checked
}

// refuse stores what was refused in the last check.
func (d *detection) refuse(f ipaddr.Family, refused map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused[f] = refused
}

// any reports whether an address of any family is known.
func (d *detection) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.families[ipaddr.V4].addrs != nil || d.families[ipaddr.V6].addrs != nil
}

func (d *detector) enabled(f ipaddr.Family) bool { return wanted(&d.versions, f) }

// wanted reports whether addresses of the family are wanted.
func wanted(v *ipsources.IPVersions, f ipaddr.Family) bool {
	return f == ipaddr.V4 && v.V4Enabled() || f == ipaddr.V6 && v.V6Enabled()
}

// detect asks the sources in order until one has an acceptable address of the
// family. If none has, what was known stays. It returns how soon a source
// wants to be asked again, or 0.
func (d *detector) detect(ctx context.Context, f ipaddr.Family) (soon time.Duration) {
	var problems []error
	refused := make(map[string]bool)
	for _, src := range d.sources {
		addrs, err := d.ask(ctx, src, f)
		if ctx.Err() != nil {
			return 0
		}
		good := d.acceptable(src, f, addrs, refused)
		d.witness.checked(src.name, f, checkResult(f, addrs, good, err))
		if len(good) > 0 {
			d.remember(src, f, good)
			d.known.refuse(f, refused)
			return soon
		}
		if err == nil {
			err = errors.New("knows no address that may be published")
		}
		var again *ipsources.SoonError
		if errors.As(err, &again) && (soon == 0 || again.After < soon) {
			soon = again.After
		}
		problems = append(problems, fmt.Errorf("%s: %w", src.name, err))
	}
	d.known.refuse(f, refused)
	d.unknown(f, errors.Join(problems...))
	return soon
}

// ask puts the question to one source, with a panic or a source that ignores
// its context turned into an error.
func (d *detector) ask(ctx context.Context, src *source, f ipaddr.Family) ([]netip.Addr, error) {
	known := d.known.get()
	want4, want6 := f == ipaddr.V4, f == ipaddr.V6
	settings := ipsources.IPSettings{
		IPVersions: ipsources.IPVersions{IPv4: &want4, IPv6: &want6},
		Known:      slices.Clone(known[f].addrs),
		Accepts:    func(addr netip.Addr) bool { return d.filter.Refuse(addr, src.trusted) == "" },
	}
	busy := src.busy[f]
	select {
	case busy <- struct{}{}:
	default:
		return nil, errors.New("still busy with an earlier question")
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-busy }()
		defer func() {
			if r := recover(); r != nil {
				d.logger.Debug("IP source panicked", zap.String("source", src.name), zap.ByteString("stack", debug.Stack()))
				answers <- answer{nil, fmt.Errorf("the IP source panicked: %v", r)}
			}
		}()
		addrs, err := src.GetIPs(ctx, settings)
		answers <- answer{addrs, err}
	}()
	select {
	case a := <-answers:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s", sourceTimeout)
	}
}

// acceptable returns the addresses of the family that may be published. Those
// that may not are said once, with the reason.
func (d *detector) acceptable(src *source, f ipaddr.Family, addrs []netip.Addr, refused map[string]bool) []netip.Addr {
	d.known.mu.Lock()
	before := d.known.refused[f]
	d.known.mu.Unlock()
	var good []netip.Addr
	for _, addr := range addrs {
		if ipaddr.FamilyOf(addr) != f {
			continue
		}
		reason := d.filter.Refuse(addr, src.trusted)
		if reason == "" {
			good = append(good, addr)
			continue
		}
		key := src.name + " " + addr.String()
		if refused[key] {
			continue
		}
		refused[key] = true
		if before[key] {
			continue
		}
		fields := []zap.Field{
			zap.String("source", src.name),
			zap.Stringer("address", addr),
			zap.String("reason", reason),
		}
		if e, ok := src.IPSource.(ipsources.Explainer); ok {
			fields = append(fields, zap.String("hint", e.ExplainRefusal(addr)))
		}
		d.logger.Warn("not publishing an address", fields...)
	}
	return ipaddr.Sort(good)
}

// checkResult sums up what a source said of a family.
func checkResult(f ipaddr.Family, addrs, good []netip.Addr, err error) string {
	switch {
	case len(good) > 0:
		return resultOK
	case slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return ipaddr.FamilyOf(addr) == f }):
		return resultRefused
	case err != nil:
		return resultError
	}
	return resultNone
}

func (d *detector) remember(src *source, f ipaddr.Family, addrs []netip.Addr) {
	var by []string
	if c, ok := src.IPSource.(ipsources.Confirmer); ok {
		for _, addr := range addrs {
			by = append(by, c.ConfirmedBy(addr)...)
		}
	}
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	was := d.known.families[f]
	now := found{addrs: addrs, source: src.name, confirmedBy: by, since: was.since, checked: time.Now(), failure: was.failure, failedAt: was.failedAt}
	if slices.Equal(was.addrs, addrs) {
		// The same slice stands in every wish and view.
		now.addrs = was.addrs
	} else {
		now.since = time.Now()
		d.logger.Info("address changed", zap.Stringer("family", f),
			zap.Stringers("from", was.addrs), zap.Stringers("to", addrs),
			zap.String("source", src.name))
		d.witness.addressChanged(f, was.addrs, addrs, src.name)
	}
	d.known.families[f] = now
}

// unknown notes that no source knew the family. That is worth a warning only
// when no family is known at all, or when this one was known before: a
// machine without IPv6 is no fault. What the sources have reported themselves
// is not said again.
func (d *detector) unknown(f ipaddr.Family, err error) {
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	was := &d.known.families[f]
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	same := withoutNumbers(was.lastErr) == withoutNumbers(text)
	was.checked, was.lastErr, was.failure, was.failedAt = time.Now(), text, text, time.Now()
	none := true
	for other := ipaddr.V4; other < ipaddr.Families; other++ {
		// One that is being looked for still may be found.
		if found := d.known.families[other]; d.enabled(other) && (found.addrs != nil || found.checked.IsZero()) {
			none = false
		}
	}
	log := d.logger.Debug
	if !same && (none || was.addrs != nil) {
		log = d.logger.Warn
	}
	log("address unknown; leaving DNS as it is", zap.Stringer("family", f), zap.String("error", text))
}
