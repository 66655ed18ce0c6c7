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
	refused [families]map[string]bool
}

// source is one IP source of a detector.
type source struct {
	IPSource
	name string
	// trusted is set for a source whose addresses a person chose, so that
	// special-purpose ranges are allowed.
	trusted bool
	// busy holds a token while a call for that family runs, which may be
	// longer than it is waited for.
	busy [families]chan struct{}
}

func newSource(name string, module IPSource) *source {
	_, trusted := module.(*Static)
	src := &source{IPSource: module, name: name, trusted: trusted}
	for f := range src.busy {
		src.busy[f] = make(chan struct{}, 1)
	}
	return src
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

func (d *detector) enabled(f family) bool { return d.versions.enabled(f) }

// detect finds the addresses of all enabled families at once, so that one
// that hangs holds no other up, and calls tell for each that is settled. It
// returns how soon a source wants to be asked again, or 0.
func (d *detector) detect(ctx context.Context, tell func(family)) (soon time.Duration) {
	var outcomes [families]outcome
	var wg sync.WaitGroup
	for f := v4; f < families; f++ {
		if d.enabled(f) {
			wg.Go(func() {
				outcomes[f] = d.find(ctx, f)
				if outcomes[f].found {
					tell(f)
				}
			})
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0
	}
	d.conclude(outcomes)
	for _, o := range outcomes {
		if o.soon > 0 && (soon == 0 || o.soon < soon) {
			soon = o.soon
		}
	}
	return soon
}

// outcome is what came of asking for one family.
type outcome struct {
	found bool
	soon  time.Duration
	err   error
	// reported means that the sources have said themselves what was wrong.
	reported bool
}

// find asks the sources in order until one has an acceptable address of the
// family. If none has, what was known stays.
func (d *detector) find(ctx context.Context, f family) (o outcome) {
	var problems []error
	refused := make(map[string]bool)
	o.reported = true
	for _, src := range d.sources {
		addrs, err := d.ask(ctx, src, f)
		if ctx.Err() != nil {
			return outcome{}
		}
		if good := d.acceptable(src, f, addrs, refused); len(good) > 0 {
			d.remember(src, f, good)
			o.found = true
			break
		}
		if err == nil {
			err = errors.New("knows no address that may be published")
		}
		var again *SoonError
		if errors.As(err, &again) && (o.soon == 0 || again.After < o.soon) {
			o.soon = again.After
		}
		_, reports := src.IPSource.(*SimpleHTTP)
		o.reported = o.reported && reports
		problems = append(problems, fmt.Errorf("%s: %w", src.name, err))
	}
	d.refused[f] = refused
	o.err = errors.Join(problems...)
	return o
}

// ask puts the question to one source, with a panic or a source that ignores
// its context turned into an error.
func (d *detector) ask(ctx context.Context, src *source, f family) ([]netip.Addr, error) {
	known, _ := d.known.get()
	want4, want6 := f == v4, f == v6
	settings := IPSettings{
		IPVersions: IPVersions{IPv4: &want4, IPv6: &want6},
		Known:      slices.Clone(known[f].addrs),
		Accepts:    func(addr netip.Addr) bool { return d.filter.refuse(addr, src.trusted) == "" },
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
		if d.refused[f][key] {
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
func (d *detector) conclude(outcomes [families]outcome) {
	none := !outcomes[v4].found && !outcomes[v6].found
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	d.known.checked = time.Now()
	for f := v4; f < families; f++ {
		if !d.enabled(f) || outcomes[f].found {
			continue
		}
		text := strings.ReplaceAll(outcomes[f].err.Error(), "\n", "; ")
		was := &d.known.families[f]
		same := withoutDigits(was.lastErr) == withoutDigits(text)
		was.lastErr, was.failedAt = text, time.Now()
		log := d.logger.Debug
		if !same && !outcomes[f].reported && (none || was.addrs != nil) {
			log = d.logger.Warn
		}
		log("address unknown; leaving DNS as it is", zap.Stringer("family", f), zap.String("error", text))
	}
}
