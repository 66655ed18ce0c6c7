package dyndns

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
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
		if s.search, err = a.search(s, &a.pooled); err != nil {
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
		a.own(host, u.Name)
	}
	for _, parent := range u.Hosts.Parents {
		if err := s.serves(parent, "*."+parent, a.below[parent]); err != nil {
			return h.at("*."+parent, err)
		}
		a.below[parent] = s
		a.own("."+parent, u.Name)
	}
	return nil
}

func (a *App) own(host, user string) {
	if a.owners[host] == "" {
		a.owners[host] = user
	}
}

// dynamicDNS returns the dynamic_dns app, or nil.
func (a *App) dynamicDNS() (dynamicDNS, error) {
	app, err := a.ctx.AppIfConfigured("dynamic_dns")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	other, ok := app.(dynamicDNS)
	if !ok {
		return nil, fmt.Errorf("the app dynamic_dns (%T) is another than this module knows; build both from one version", app)
	}
	return other, nil
}
