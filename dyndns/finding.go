package dyndns

import (
	"context"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// locateZone finds the zone of a host in DNS. It is a variable for tests.
var locateZone = func(ctx context.Context, logger *zap.Logger, host string) (string, error) {
	return finder.SOA(ctx, logger, host, nil)
}

// search returns what looks for zones at the provider of the key. It begins
// once Caddy has started.
func (a *App) search(s *service) (*finder.Search, error) {
	if found := a.searches[s.key]; found != nil {
		return found, nil
	}
	known, err := a.pooled.Hold(conf.Key{Kind: "dyndns zones", Config: s.key}, func() caddy.Destructor { return new(finder.Known) })
	if err != nil {
		return nil, err
	}
	search := &finder.Search{
		Known: known.(*finder.Known), Provider: s.provider, NoSuchZone: zone.NoSuch,
		Locate:  func(ctx context.Context, host string) (string, error) { return locateZone(ctx, a.logger, host) },
		Changed: a.place, Chance: rand.Float64, Logger: a.logger.With(zap.String("provider", s.provider.Name)),
	}
	a.searches[s.key] = search
	return search, nil
}

// whyNowhere says why a host is in no zone, or returns nil if it is in one.
func (a *App) whyNowhere(host string) error {
	s := a.find(host)
	if s == nil {
		return errServedNoLonger
	}
	if z, _ := s.locate(host); z != nil || s.search == nil {
		return nil
	}
	if err := s.answer(host).Err; err != nil {
		return err
	}
	return errNotYet
}

// found returns in which zones the hosts are that are in none that is written,
// as far as that is known: those of the configuration, and those on record.
func (a *App) found(entries iter.Seq[*ledger.Entry]) map[string]zone.Key {
	found := make(map[string]zone.Key)
	add := func(s *service, host string) {
		if _, _, ok := dnsname.Match(host, s.names); ok || s.search == nil {
			return
		}
		if answer := s.answer(host); answer.Zone != "" {
			found[host] = s.keyOf(answer.Zone)
		}
	}
	for host, s := range a.exact {
		add(s, host)
	}
	for parent, s := range a.below {
		add(s, "*."+parent)
	}
	for e := range entries {
		s := a.find(e.Host)
		if s == nil {
			s = a.withdraws(e.Host)
		}
		if s != nil {
			add(s, e.Host)
		}
	}
	return found
}

// place keeps the hosts in the zones that are known by now.
func (a *App) place() {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.shared
	changed := false
	s.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		if !slices.Contains(s.apps, a) {
			return
		}
		found := a.found(entries)
		if changed = !maps.Equal(found, a.placed); !changed {
			return
		}
		a.placed = found
		for host, key := range found {
			if a.keptAt(key) != nil {
				continue
			}
			z := a.newKept(key)
			z.backend.Memory.Storage = a.storage
			z.zone = zone.Shared.Acquire(key)
			z.holder = z.zone.Attach(z.backend, nil, func(*zone.Holder) { a.reclaim() })
			a.keep(key, z)
			a.logger.Info("found the zone of a host, which is served from now on", zap.String("host", host),
				zap.String("zone", dnsname.Display(key.Zone)), zap.String("provider", key.Module))
		}
	})
	if !changed {
		return
	}
	s.ledger.Together(a.clustered())
	a.reclaim()
	s.ledger.Notify()
}

// newKept returns a zone at the provider of one of the services, which is not kept
// yet.
func (a *App) newKept(key zone.Key) *keptZone {
	s := a.services[slices.IndexFunc(a.services, func(s *service) bool { return s.key == key.Config })]
	z := &keptZone{name: key.Zone, backend: &zone.Backend{
		Provider: s.provider, Memory: zone.Memory{Config: key.Config[:8]}, VerifyEvery: verifyEvery,
		Observer: &clientObserver{a.observer}, Logger: a.logger, Class: plan.Client,
	}}
	if search := a.searches[key.Config]; search != nil {
		z.backend.Observer = &observe.Doubting{Observer: z.backend.Observer, Search: search}
	}
	a.share(z)
	return z
}
