package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// memory keeps in Caddy's storage what providers that cannot be read have
// accepted, so that a restart does not write it again.
type memory struct {
	storage certmagic.Storage
	// config is the start of the provider configuration's fingerprint: short,
	// for it is in a file name and must not help to guess a password.
	config string
}

// remembered is one RRset as it is stored.
type remembered struct {
	Name  string        `json:"name"`
	Type  string        `json:"type"`
	Addrs []netip.Addr  `json:"addrs"`
	TTL   time.Duration `json:"ttl"`
}

func (m memory) key(provider, zone string) string {
	return "dynamic_dns/" + certmagic.StorageKeys.Safe(provider+"-"+m.config) + "/" + certmagic.StorageKeys.Safe(strings.TrimSuffix(zone, ".")) + ".json"
}

func (m memory) load(ctx context.Context, provider, zone string) (zoneView, error) {
	view := zoneView{sets: make(map[rrKey]rrset)}
	data, err := m.storage.Load(ctx, m.key(provider, zone))
	if errors.Is(err, fs.ErrNotExist) {
		return view, nil
	}
	if err != nil {
		return view, err
	}
	var sets []remembered
	if err := json.Unmarshal(data, &sets); err != nil {
		return view, fmt.Errorf("%s: %w", m.key(provider, zone), err)
	}
	for _, s := range sets {
		f := ipaddr.V4
		if s.Type == ipaddr.V6.RRType() {
			f = ipaddr.V6
		}
		view.sets[rrKey{s.Name, f}] = rrset{addrs: ipaddr.Sort(s.Addrs), ttl: s.TTL}
	}
	return view, nil
}

func (m memory) store(ctx context.Context, provider, zone string, view zoneView) error {
	sets := make([]remembered, 0, len(view.sets))
	for key, set := range view.sets {
		sets = append(sets, remembered{key.name, key.family.RRType(), set.addrs, set.ttl})
	}
	data, err := json.Marshal(sets)
	if err != nil {
		return err
	}
	return m.storage.Store(ctx, m.key(provider, zone), data)
}
