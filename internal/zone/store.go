package zone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

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
	TTL   time.Duration `json:"ttl"`
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
		f := ipaddr.V4
		if s.Type == ipaddr.V6.RRType() {
			f = ipaddr.V6
		}
		sets[plan.Key{Name: s.Name, Family: f}] = plan.RRset{Addrs: ipaddr.Sort(s.Addrs), TTL: s.TTL}
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

// storing keeps the storage, which may be slow, from holding up the zone.
type storing struct {
	mu    sync.Mutex
	count int
}

// remember stores what a provider that cannot be read has accepted.
func (z *Zone) remember(b *Backend) {
	if b.Provider.CanRead() {
		return
	}
	sets := z.machine.Believed()
	z.store.mu.Lock()
	z.store.count++
	turn := z.store.count
	z.store.mu.Unlock()
	go func() {
		z.store.mu.Lock()
		defer z.store.mu.Unlock()
		if turn != z.store.count {
			// Something newer is about to be stored.
			return
		}
		if err := b.Memory.Store(context.WithoutCancel(z.ctx), b.Provider.Name, z.Name, sets); err != nil {
			z.logger(b).Warn("cannot remember what was written; the next start will write it again", zap.Error(err))
		}
	}()
}

// recall loads what a provider that cannot be read last accepted of what is
// wanted. The rest is forgotten: nobody knows what becomes of it.
func (z *Zone) recall(ctx context.Context, b *Backend, wanted func(string) (string, bool)) plan.Observed {
	sets, err := b.Memory.Load(ctx, b.Provider.Name, z.Name)
	if err != nil {
		z.logger(b).Warn("cannot tell what was written before; writing once more", zap.Error(err))
	}
	kept := make(map[plan.Key]plan.RRset, len(sets))
	for key, set := range sets {
		if name, ok := wanted(key.Name); ok {
			kept[plan.Key{Name: name, Family: key.Family}] = set
		}
	}
	if len(kept) < len(sets) {
		if err := b.Memory.Store(ctx, b.Provider.Name, z.Name, kept); err != nil {
			z.logger(b).Warn("cannot forget records that are no longer managed", zap.Error(err))
		}
	}
	return plan.Observed{Sets: kept}
}
