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
func (k *keeper) search(s *service, pooled *conf.Pooled) (*finder.Search, error) {
	if found := k.searches[s.key]; found != nil {
		return found, nil
	}
	known, err := pooled.Hold(conf.Key{Kind: "dyndns zones", Config: s.key}, func() caddy.Destructor { return new(finder.Known) })
	if err != nil {
		return nil, err
	}
	search := &finder.Search{
		Known: known.(*finder.Known), Name: s.provider.Name, Provider: s.provider, NoSuchZone: zone.NoSuch,
		Locate:  func(ctx context.Context, host string) (string, error) { return locateZone(ctx, k.logger, host) },
		Changed: k.foundZones, Chance: rand.Float64, Logger: k.logger.With(zap.String("provider", s.provider.Name)),
	}
	k.searches[s.key] = search
	return search, nil
}

// foundZones keeps the hosts in the zones that are known by now, and remembers
// these.
func (k *keeper) foundZones() {
	if k.runCtx != nil {
		owner := func() string { return "dyndns-" + conf.Instance() }
		k.memory.Exchange(k.runCtx, k.storage, owner, slices.Collect(maps.Values(k.searches)), k.logger)
	}
	k.place()
}

// found returns in which zones the hosts are that are in none that is written,
// as far as that is known: those of the configuration, and those on record.
func (k *keeper) found(entries iter.Seq[*ledger.Entry]) map[string]zone.Key {
	found := make(map[string]zone.Key)
	add := func(s *service, host string) {
		if _, _, ok := dnsname.Match(host, s.names); ok || s.search == nil {
			return
		}
		if answer := s.answer(host); answer.Zone != "" {
			found[host] = s.keyOf(answer.Zone)
		}
	}
	for host, s := range k.exact {
		add(s, host)
	}
	for parent, s := range k.below {
		add(s, "*."+parent)
	}
	for e := range entries {
		s := k.find(e.Host)
		if s == nil {
			k.recall(e)
			s = k.withdraws(e.Host)
		}
		if s != nil {
			add(s, e.Host)
		}
	}
	return found
}

// recall has it known in which zone a host was that nobody has any more, where it
// is to be taken away: nobody looks for that zone. What tells providers apart is
// the name of the module, so that there must be but one of the name.
func (k *keeper) recall(e *ledger.Entry) {
	zone, err := dnsname.Zone(e.Zone)
	if _, _, ok := dnsname.Match(e.Host, []string{zone}); err != nil || !ok || k.withdraws(e.Host) != nil {
		return
	}
	var at *service
	for _, s := range k.services {
		switch {
		case s.provider.Name != e.Provider:
		case !s.withdraw || s.search == nil || at != nil && at.key != s.key:
			return
		default:
			at = s
		}
	}
	if at != nil {
		at.search.Known.Recall(e.Host, zone)
	}
}

// acquire takes the zones that are known, those that were found before a reload
// among them.
func (k *keeper) acquire(readOnly bool) {
	k.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		k.placed = k.found(entries)
	})
	for _, key := range k.placed {
		if k.zones[key] == nil {
			k.zones[key] = k.newKept(key)
		}
	}
	for key, z := range k.zones {
		z.backend.ReadOnly, z.backend.Memory.Storage = readOnly, k.storage
		z.zone = zone.Shared.Acquire(key)
		k.share(z)
	}
}

// place keeps the hosts in the zones that are known by now.
func (k *keeper) place() {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.shared
	changed := false
	s.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		if !slices.Contains(s.keepers, k) {
			return
		}
		found := k.found(entries)
		if changed = !maps.Equal(found, k.placed); !changed {
			return
		}
		k.placed = found
		for host, key := range found {
			if k.keptAt(key) != nil {
				continue
			}
			z := k.newKept(key)
			z.backend.Memory.Storage = k.storage
			z.zone = zone.Shared.Acquire(key)
			k.share(z)
			z.holder = z.zone.Attach(z.backend, nil, func(*zone.Holder) { k.reclaim() })
			k.keep(key, z)
			k.logger.Info("found the zone of a host, which is served from now on", zap.String("host", host),
				zap.String("zone", dnsname.Display(key.Zone)), zap.String("provider", key.Module))
		}
	})
	if !changed {
		return
	}
	s.ledger.Together(k.clustered())
	k.reclaim()
	s.ledger.Notify()
}

// newKept returns a zone at the provider of one of the services, which is not kept
// yet.
func (k *keeper) newKept(key zone.Key) *keptZone {
	s := k.services[slices.IndexFunc(k.services, func(s *service) bool { return s.key == key.Config })]
	z := &keptZone{name: key.Zone, backend: &zone.Backend{
		Provider: s.provider, Memory: zone.Memory{Config: key.Config[:8]}, VerifyEvery: verifyEvery,
		Observer: &clientObserver{k.observer}, Logger: k.logger, Class: plan.Client,
	}}
	if search := k.searches[key.Config]; search != nil {
		z.backend.Observer = &observe.Doubting{Observer: z.backend.Observer, Search: search}
	}
	return z
}
