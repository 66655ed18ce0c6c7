package dyndns

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// served is what a handler serves.
type served struct {
	// provider and zones may be left out. Zones that are left out are found.
	provider json.RawMessage
	zones    []string
	ttl      time.Duration
	withdraw bool
	users    []*auth.User
	// at adds to an error about a host, or about the handler, where that is
	// written.
	at func(host string, err error) error
}

// serve takes in what a handler serves, or says why it cannot be served.
func (a *App) serve(h *served) error {
	other, err := a.dynamicDNS()
	if err != nil {
		return err
	}
	raw, written := h.provider, h.zones
	if len(raw) == 0 && other != nil {
		raw = other.DNSProvider()
	}
	if len(raw) == 0 {
		if raw, err = conf.GlobalProvider(a.ctx); err != nil {
			return err
		}
	}
	if len(raw) == 0 {
		return h.at("", errors.New("no DNS provider is configured; write one, such as `provider cloudflare {env.CLOUDFLARE_API_TOKEN}` (JSON: dns_provider)"))
	}
	if len(written) == 0 && other != nil {
		written = other.ZoneNames()
	}
	p, key, err := a.providers.Load(raw)
	if err != nil {
		return fmt.Errorf("dns_provider: %w", err)
	}
	if h.withdraw && !p.CanDelete() {
		return h.at("", fmt.Errorf("the DNS provider %q cannot delete records (it does not implement libdns.RecordDeleter), so nothing can be withdrawn; leave withdraw out", p.Name))
	}
	s := &service{zones: make(map[string]*keptZone), ttl: h.ttl, withdraw: h.withdraw, provider: p, key: key, keptAt: a.keptAt}
	if len(h.zones) == 0 {
		if s.search, err = a.search(s); err != nil {
			return err
		}
	}
	a.services, a.other = append(a.services, s), other
	for _, raw := range written {
		resolved, err := placeholders.Resolve(raw)
		if err != nil {
			return fmt.Errorf("zones: %q: %w", raw, err)
		}
		name, err := dnsname.Zone(resolved)
		if err != nil {
			return fmt.Errorf("zones: %w", err)
		}
		if s.zones[name] != nil {
			return fmt.Errorf("zones: %q is listed twice", raw)
		}
		id := s.keyOf(name)
		if a.zones[id] == nil {
			a.zones[id] = a.newKept(id)
		}
		s.zones[name] = a.zones[id]
		s.names = append(s.names, name)
	}
	for _, u := range h.users {
		if err := a.serveUser(h, s, u); err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	for host, s := range a.exact {
		label, parent, _ := strings.Cut(host, ".")
		if label == "*" {
			continue
		}
		if err := s.serves(host, host, a.below[parent]); err != nil {
			return h.at(host, err)
		}
	}
	if other == nil {
		return nil
	}
	other.Manages(func(host string) {
		if a.find(host) != nil && err == nil {
			err = h.at(host, fmt.Errorf("the host %q is managed twice: by the dynamic_dns app, which publishes this machine's addresses, and by the users here; leave it in one of them", host))
		}
	})
	return err
}

func (a *App) serveUser(h *served, s *service, u *auth.User) error {
	if at, there := slices.BinarySearch(a.users, u.Name); !there {
		a.users = slices.Insert(a.users, at, u.Name)
	}
	for _, host := range u.Hosts.Exact {
		if err := s.serves(host, host, a.exact[host]); err != nil {
			return h.at(host, err)
		}
		a.exact[host] = s
	}
	for _, parent := range u.Hosts.Parents {
		if err := s.serves(parent, "*."+parent, a.below[parent]); err != nil {
			return h.at("*."+parent, err)
		}
		a.below[parent] = s
	}
	return nil
}

// find returns the service of a host, or nil if it is nobody's.
func (a *App) find(host string) *service {
	if s := a.exact[host]; s != nil {
		return s
	}
	if label, parent, ok := strings.Cut(host, "."); ok && label != "*" {
		return a.below[parent]
	}
	return nil
}

// locate returns the zone of a host, and the host's name in it, if a user may
// update it.
func (a *App) locate(host string) (*keptZone, string) {
	if s := a.find(host); s != nil {
		return s.locate(host)
	}
	return nil, ""
}

// Serves reports whether a user may update the host.
func (a *App) Serves(host string) bool { return a.find(host) != nil }

// desired returns what is desired of the host's families of which something
// is on record, and where.
func (a *App) desired(e *ledger.Entry) (z *keptZone, name string, desired [ipaddr.Families]*plan.Desired) {
	s := a.find(e.Host)
	gone := s == nil
	if gone {
		s = a.withdraws(e.Host)
	}
	if s == nil {
		return nil, "", desired
	}
	z, name = s.locate(e.Host)
	for f, r := range e.Records {
		if r.State == plan.Set && gone {
			r.State = plan.None
		}
		if r.State != plan.Unknown {
			desired[f] = &plan.Desired{State: r.State, Addrs: r.Addrs, TTL: s.ttl, Source: e.User, Class: plan.Client}
		}
	}
	return z, name, desired
}

// withdraws returns the service that takes away a host which no user has any
// more, or nil if it stays in DNS, be it because somebody else manages it.
func (a *App) withdraws(host string) *service {
	if a.other != nil && a.other.Keeps(host) {
		return nil
	}
	for _, s := range a.services {
		if s.withdraw && s.knows(host) {
			return s
		}
	}
	return nil
}

// all returns all that is desired, by zone: of those that another instance
// writes, nothing is.
func (a *App) all(entries iter.Seq[*ledger.Entry]) map[*keptZone]map[plan.Key]*plan.Desired {
	all := make(map[*keptZone]map[plan.Key]*plan.Desired)
	for _, z := range a.kept() {
		all[z] = make(map[plan.Key]*plan.Desired)
	}
	for e := range entries {
		z, name, desired := a.desired(e)
		if z == nil || !a.writes(z) {
			continue
		}
		for f, d := range desired {
			if d != nil {
				all[z][plan.Key{Name: name, Family: ipaddr.Family(f)}] = d
			}
		}
	}
	return all
}

// attach takes the zones over from the configuration before, unless they were
// given back meanwhile.
func (a *App) attach() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left {
		return
	}
	s := a.shared
	s.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		for z, desired := range a.all(entries) {
			z.holder = z.zone.Attach(z.backend, desired, func(*zone.Holder) { a.reclaim() })
		}
		s.apps = append(s.apps, a)
	})
	s.ledger.Together(a.clustered())
	close(a.attached)
}

// reclaim desires anew all that is on record.
func (a *App) reclaim() {
	a.shared.ledger.Under(func(entries iter.Seq[*ledger.Entry]) {
		if slices.Contains(a.shared.apps, a) {
			for z, desired := range a.all(entries) {
				z.holder.Claim(desired)
			}
		}
	})
}

// detach gives the zones back to the configuration that had them before, if
// that one goes on running.
func (a *App) detach() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
	s := a.shared
	var heir *App
	s.ledger.Under(func(iter.Seq[*ledger.Entry]) {
		s.apps = slices.DeleteFunc(s.apps, func(other *App) bool { return other == a })
		heir = s.newest()
	})
	if heir != nil {
		s.ledger.Together(heir.clustered())
	}
	for _, z := range a.kept() {
		if z.holder != nil {
			z.holder.Release()
		}
	}
}

// set has the host's zone hold what is on record, if this instance writes it. It
// must be called under the ledger's lock. There is a handle for each family that
// something is desired of.
func (a *App) set(e *ledger.Entry) (handles [ipaddr.Families]*zone.Handle) {
	z, name, desired := a.desired(e)
	if z == nil || !a.writes(z) {
		return handles
	}
	for f, d := range desired {
		if d != nil {
			handles[f] = z.holder.Set(d, plan.Key{Name: name, Family: ipaddr.Family(f)})[0]
		}
	}
	return handles
}

// logServed says once per start what is served.
func (a *App) logServed() {
	var names []string
	for _, z := range a.kept() {
		names = append(names, dnsname.Display(z.name))
	}
	slices.Sort(names)
	a.logger.Info("taking updates of DNS records", zap.Strings("zones", slices.Compact(names)),
		zap.Int("hosts", len(a.exact)), zap.Strings("below", slices.Sorted(maps.Keys(a.below))))
}
