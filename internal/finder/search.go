package finder

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/errkind"
)

const (
	// lookTimeout is how long DNS may take for one host.
	lookTimeout = 15 * time.Second
	// atOnce is how many hosts are looked up at a time.
	atOnce = 4
	// tellEvery is how often what is found is told while others are looked up.
	tellEvery = time.Second
)

// Provider is a DNS provider, whose calls have deadlines and return no secrets.
type Provider interface {
	// CanList and CanRead report which of the calls below are possible.
	CanList() bool
	CanRead() bool
	// Zones lists all zones in canonical form.
	Zones(context.Context) ([]string, error)
	// Has returns nil if the provider can read the zone.
	Has(ctx context.Context, zone string) error
}

// Search looks for the zones of a configuration's hosts at one provider, until
// each has one, and again where the provider says that it has no such zone.
type Search struct {
	Known *Known
	// Name is that of the provider's module.
	Name     string
	Provider Provider
	Hosts    Hosts
	// Locate finds the zone of a host in DNS, as [SOA] does.
	Locate func(ctx context.Context, host string) (zone string, err error)
	// NoSuchZone reports whether an error of the provider says just that.
	NoSuchZone func(error) bool
	// Changed is called when answers may have changed. It may take its time.
	Changed func()
	// Chance gives numbers in [0,1).
	Chance func() float64
	Logger *zap.Logger

	once  sync.Once
	waken chan struct{}
	asks  chan chan struct{}
}

func (s *Search) init() {
	s.once.Do(func() { s.waken, s.asks = make(chan struct{}, 1), make(chan chan struct{}) })
}

// Run looks until ctx ends.
func (s *Search) Run(ctx context.Context) {
	s.init()
	s.Known.begin(s.Hosts, time.Now())
	for {
		var due <-chan time.Time
		if wait, ok := s.Known.wait(time.Now()); ok {
			due = time.After(wait)
		}
		var asked chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-s.waken:
			continue
		case <-due:
		case asked = <-s.asks:
		}
		s.round(ctx, true, asked != nil)
		if ctx.Err() != nil {
			return
		}
		if asked != nil {
			close(asked)
		}
	}
}

// Ask has Run look now, where the provider lists its zones also for what has one,
// for there may be a longer one by now. It waits for that or the end of ctx.
func (s *Search) Ask(ctx context.Context) error {
	s.init()
	done := make(chan struct{})
	select {
	case s.asks <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Once looks without Run.
func (s *Search) Once(ctx context.Context) { s.round(ctx, false, false) }

// Doubt says that the provider has no such zone. It returns at once.
func (s *Search) Doubt(zone string) {
	s.init()
	s.Known.doubt(zone, time.Now())
	select {
	case s.waken <- struct{}{}:
	default:
	}
}

// Trust says that the provider has the zone.
func (s *Search) Trust(zone string) { s.Known.trust(zone) }

// round looks once for what has no zone, or in a new list for all.
func (s *Search) round(ctx context.Context, patient, anew bool) {
	s.Known.begun(time.Now())
	open, has := s.Known.opened(s.Hosts), s.asker(ctx)
	if (anew || len(open.Needed)+len(open.Offered) > 0 || s.Known.Unlisted() != nil) && s.Provider.CanList() {
		zones, err := s.Provider.Zones(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			zones = s.confirm(zones, has)
		}
		if s.Known.list(zones, err) {
			s.Logger.Warn("cannot list the zones of the provider; retrying, and then asking DNS which they are", zap.Error(err))
		}
		open = s.unlisted(open)
	}
	if look, listed := s.Known.mayLook(patient); look {
		if listed {
			for _, host := range open.Offered {
				s.Known.learn(host, Answer{Err: errNotListed, settled: true})
			}
			open.Offered = nil
		}
		s.Changed()
		s.lookUp(ctx, open, has, listed)
	}
	if ctx.Err() != nil {
		return
	}
	s.Known.plan(s.Hosts, time.Now(), s.Chance())
	s.say()
	s.Changed()
}

// asker returns what asks the provider once for each zone whether it has it.
func (s *Search) asker(ctx context.Context) (has func(zone string) error) {
	type answer struct {
		given chan struct{}
		err   error
	}
	var mu sync.Mutex
	asked := make(map[string]*answer)
	return func(zone string) error {
		mu.Lock()
		a, there := asked[zone]
		if !there {
			a = &answer{given: make(chan struct{})}
			asked[zone] = a
		}
		mu.Unlock()
		if !there {
			a.err = s.Provider.Has(ctx, zone)
			close(a.given)
		}
		<-a.given
		return a.err
	}
}

// confirm adds to a list the zones that hosts are in, that an earlier one had, and
// of which the provider does not say that it has them no more: a list may be
// incomplete without an error.
func (s *Search) confirm(zones []string, has func(zone string) error) []string {
	for _, zone := range s.Known.missing(s.Hosts, zones) {
		gone := s.Known.inDoubt(zone)
		if s.Provider.CanRead() {
			gone = s.NoSuchZone(has(zone))
		}
		if !gone {
			zones = append(zones, zone)
		}
	}
	return zones
}

// unlisted returns those of the hosts that are in no listed zone, nor were for an
// earlier process.
func (s *Search) unlisted(h Hosts) (rest Hosts) {
	s.Known.mu.Lock()
	defer s.Known.mu.Unlock()
	without := func(hosts []string) (rest []string) {
		for _, host := range hosts {
			_, _, ok := dnsname.Match(host, s.Known.listed)
			if a := s.Known.looked[host]; !ok && (!a.listed || s.Known.doubted[a.Zone]) {
				rest = append(rest, host)
			}
		}
		return rest
	}
	return Hosts{Needed: without(h.Needed), Offered: without(h.Offered)}
}

// lookUp asks DNS for the zones of hosts, which are in no zone of the provider's
// list if it has listed its zones. One that hangs holds up no other.
func (s *Search) lookUp(ctx context.Context, h Hosts, has func(zone string) error, listed bool) {
	var wg sync.WaitGroup
	var found atomic.Bool
	slots := make(chan struct{}, atOnce)
	each := func(hosts []string, needed bool) {
		for _, host := range hosts {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				a := s.look(ctx, host, has, needed && !listed)
				if ctx.Err() != nil {
					return
				}
				if a.needed = needed; needed && a.Err != nil {
					a.Err = s.Known.explain(a.Err, s.Provider.CanList())
				}
				s.Known.learn(host, a)
				if a.Zone != "" {
					found.Store(true)
				}
			})
		}
	}
	each(h.Needed, true)
	each(h.Offered, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	// What is found together is managed together.
	pause := time.NewTicker(tellEvery)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return
		case <-pause.C:
			if found.Swap(false) {
				s.Changed()
			}
		}
	}
}

// look asks DNS for the zone of a host, and the provider whether it has it. Where
// that cannot be told, as with a provider that cannot be read or whose reads fail,
// trusting believes DNS.
func (s *Search) look(ctx context.Context, host string, has func(zone string) error, trusting bool) Answer {
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	zone, err := s.Locate(asking, host)
	if err != nil {
		return Answer{Err: fmt.Errorf("its zone cannot be told from DNS: %w", err)}
	}
	if !s.Provider.CanRead() {
		if trusting {
			return Answer{Zone: zone}
		}
		return Answer{Err: fmt.Errorf("its zone in DNS is %s, which the provider does not list", dnsname.Display(zone))}
	}
	if err := has(zone); err != nil && (!trusting || s.NoSuchZone(err)) {
		return Answer{
			Err:     fmt.Errorf("its zone in DNS is %s, which the provider does not show: %w", dnsname.Display(zone), err),
			settled: s.NoSuchZone(err),
		}
	}
	return Answer{Zone: zone}
}

// say logs what is new of the hosts that need a zone.
func (s *Search) say() {
	for _, host := range s.Hosts.Needed {
		a := s.Known.Answer(host)
		switch {
		case a.Zone != "":
			s.Known.settle(host)
		case a.Err != nil && s.Known.news(host, errkind.Of(a.Err.Error())):
			s.Logger.Error("no zone was found for a name, which is not managed until there is one; looking again",
				zap.String("host", host), zap.Error(a.Err))
		}
	}
	for _, host := range s.Hosts.Offered {
		if a := s.Known.Answer(host); a.Err != nil && s.Known.news(host, errkind.Of(a.Err.Error())) {
			s.Logger.Debug("a host of the sites is in no zone of the provider", zap.String("host", host), zap.Error(a.Err))
		}
	}
}
