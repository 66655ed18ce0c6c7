package zone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// Memory keeps in Caddy's storage what providers that cannot be read have
// accepted, so that a restart does not write it again.
type Memory struct {
	Storage certmagic.Storage
	// Config is the start of the provider configuration's fingerprint: short,
	// for it is in a file name and must not help to guess a password.
	Config string
}

// remembered is one RRset as it is stored.
type remembered struct {
	Name  string        `json:"name"`
	Type  string        `json:"type"`
	Addrs []netip.Addr  `json:"addrs"`
	TTL   time.Duration `json:"ttl,omitempty"`
}

func (r remembered) key() plan.Key {
	f := ipaddr.V4
	if r.Type == ipaddr.V6.RRType() {
		f = ipaddr.V6
	}
	return plan.Key{Name: r.Name, Family: f}
}

func (m Memory) key(provider, zone string) string {
	return "dynamic_dns/" + certmagic.StorageKeys.Safe(provider+"-"+m.Config) + "/" + certmagic.StorageKeys.Safe(dnsname.Display(zone)) + ".json"
}

// Load returns what was stored, which may be nothing.
func (m Memory) Load(ctx context.Context, provider, zone string) (map[plan.Key]plan.RRset, error) {
	sets := make(map[plan.Key]plan.RRset)
	data, err := m.Storage.Load(ctx, m.key(provider, zone))
	if errors.Is(err, fs.ErrNotExist) {
		return sets, nil
	}
	if err != nil {
		return sets, err
	}
	var stored []remembered
	if err := json.Unmarshal(data, &stored); err != nil {
		return sets, fmt.Errorf("%s: %w", m.key(provider, zone), err)
	}
	for _, s := range stored {
		sets[s.key()] = plan.RRset{Addrs: ipaddr.Sort(s.Addrs), TTL: s.TTL}
	}
	return sets, nil
}

// Store replaces what was stored.
func (m Memory) Store(ctx context.Context, provider, zone string, sets map[plan.Key]plan.RRset) error {
	stored := make([]remembered, 0, len(sets))
	for key, set := range sets {
		stored = append(stored, remembered{key.Name, key.Family.RRType(), set.Addrs, set.TTL})
	}
	data, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	return m.Storage.Store(ctx, m.key(provider, zone), data)
}
