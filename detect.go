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
)

// sourceTimeout bounds one question to one IP source, for sources that do
// not bound themselves.
const sourceTimeout = time.Minute

// detector learns the addresses for the groups that share its sources,
// families and filter.
type detector struct {
	sources  []*source
	versions IPVersions
	filter   *addrFilter
	known    *detection
	logger   *zap.Logger

	// refused are the last refusals, so that each is said once.
	refused map[string]bool
}

// source is one IP source of a detector.
type source struct {
	IPSource
	name string
	// trusted is set for a source whose addresses a person chose, so that
	// special-purpose ranges are allowed.
	trusted bool
	// busy holds a token while a call runs, which may be longer than it is
	// waited for.
	busy chan struct{}
}

// detection is what a detector found. It outlives a configuration.
type detection struct {
	mu       sync.Mutex
	families [families]found
	checked  time.Time
}

// found is what is known of the addresses of one family.
type found struct {
	addrs       []netip.Addr
	source      string
	confirmedBy []string
	since       time.Time
	lastErr     string
	failedAt    time.Time
}

// Destruct implements caddy.Destructor.
func (d *detection) Destruct() error { return nil }

func (d *detection) get() ([families]found, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.families, d.checked
}

// any reports whether an address of any family is known.
func (d *detection) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.families[v4].addrs != nil || d.families[v6].addrs != nil
}

func (d *detector) enabled(f family) bool {
	if f == v4 {
		return d.versions.V4Enabled()
	}
	return d.versions.V6Enabled()
}

// detect asks the sources in order, for each family until one gives an
// acceptable address. A family that none knows stays what it was. It returns
// how soon a source wants to be asked again, or 0.
func (d *detector) detect(ctx context.Context) (soon time.Duration) {
	var missing [families]bool
	for f := v4; f < families; f++ {
		missing[f] = d.enabled(f)
	}
	var problems []error
	refused := make(map[string]bool)
	for _, src := range d.sources {
		if !missing[v4] && !missing[v6] {
			break
		}
		addrs, err := d.ask(ctx, src, missing)
		if ctx.Err() != nil {
			return 0
		}
		if err != nil {
			var again *SoonError
			if errors.As(err, &again) && (soon == 0 || again.After < soon) {
				soon = again.After
			}
			problems = append(problems, fmt.Errorf("%s: %w", src.name, err))
		}
		for f := v4; f < families; f++ {
			if !missing[f] {
				continue
			}
			if good := d.acceptable(src, f, addrs, refused); len(good) > 0 {
				d.remember(src, f, good)
				missing[f] = false
			}
		}
	}
	d.refused = refused
	d.conclude(missing, problems)
	return soon
}

// ask puts the question to one source, with a panic or a source that ignores
// its context turned into an error.
func (d *detector) ask(ctx context.Context, src *source, missing [families]bool) ([]netip.Addr, error) {
	known, _ := d.known.get()
	want4, want6 := missing[v4], missing[v6]
	settings := IPSettings{
		IPVersions: IPVersions{IPv4: &want4, IPv6: &want6},
		Accepts:    func(addr netip.Addr) bool { return d.filter.refuse(addr, src.trusted) == "" },
	}
	for f := v4; f < families; f++ {
		if missing[f] {
			settings.Known = append(settings.Known, known[f].addrs...)
		}
	}
	select {
	case src.busy <- struct{}{}:
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
		defer func() { <-src.busy }()
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
func (d *detector) acceptable(src *source, f family, addrs []netip.Addr, refused map[string]bool) []netip.Addr {
	var good []netip.Addr
	for _, addr := range addrs {
		if familyOf(addr) != f {
			continue
		}
		reason := d.filter.refuse(addr, src.trusted)
		if reason == "" {
			good = append(good, addr)
			continue
		}
		key := src.name + " " + addr.String()
		if refused[key] {
			continue
		}
		refused[key] = true
		if d.refused[key] {
			continue
		}
		fields := []zap.Field{
			zap.String("source", src.name),
			zap.Stringer("address", addr),
			zap.String("reason", reason),
		}
		if hinter, ok := src.IPSource.(refusalHinter); ok {
			fields = append(fields, zap.String("hint", hinter.refusalHint()))
		}
		d.logger.Warn("not publishing an address", fields...)
	}
	return sortAddrs(good)
}

func (d *detector) remember(src *source, f family, addrs []netip.Addr) {
	var by []string
	if c, ok := src.IPSource.(Confirmer); ok {
		for _, addr := range addrs {
			by = append(by, c.ConfirmedBy(addr)...)
		}
	}
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	was := d.known.families[f]
	now := found{addrs: addrs, source: src.name, confirmedBy: by, since: was.since}
	if slices.Equal(was.addrs, addrs) {
		// The same slice stands in every wish and view.
		now.addrs = was.addrs
	} else {
		now.since = time.Now()
		d.logger.Info("address changed", zap.Stringer("family", f),
			zap.Stringers("from", was.addrs), zap.Stringers("to", addrs),
			zap.String("source", src.name))
	}
	d.known.families[f] = now
}

// conclude notes the families that no source knew. That is worth a warning
// only when none is known at all, or when it was known before: a machine
// without IPv6 is no fault.
func (d *detector) conclude(missing [families]bool, problems []error) {
	err := errors.Join(problems...)
	text := "no source knows an address"
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	none := true
	for f := v4; f < families; f++ {
		if d.enabled(f) && !missing[f] {
			none = false
		}
	}
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	d.known.checked = time.Now()
	for f := v4; f < families; f++ {
		if !missing[f] {
			continue
		}
		was := &d.known.families[f]
		same := withoutDigits(was.lastErr) == withoutDigits(text)
		was.lastErr, was.failedAt = text, time.Now()
		log := d.logger.Debug
		if !same && (none || was.addrs != nil) {
			log = d.logger.Warn
		}
		log("address unknown; leaving DNS as it is", zap.Stringer("family", f), zap.String("error", text))
	}
}
