package finder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/errkind"
)

// storageTimeout bounds how long a search waits for Caddy's storage.
const storageTimeout = 3 * time.Second

// Memory keeps in Caddy's storage which zones hosts were found in, so that names
// are managed from the start also where nobody can be asked then. It outlives
// configurations.
type Memory struct {
	// turn is had by who uses the storage, and guards the rest.
	turn chan struct{}
	// loaded is the path that was read, and kept what the storage has there.
	loaded string
	kept   []byte

	mu sync.Mutex
	// said is the trouble that the log was last told of, without what may be
	// another one each time.
	said string
}

// NewMemory returns one that has not read the storage yet.
func NewMemory() *Memory { return &Memory{turn: make(chan struct{}, 1)} }

// Destruct implements caddy.Destructor.
func (*Memory) Destruct() error { return nil }

// found is where a host was found. It is told apart by the provider's name alone,
// for nothing of its credentials is to be in the storage.
type found struct {
	Provider string `json:"provider"`
	Host     string `json:"host"`
	Zone     string `json:"zone"`
	// Listed is set if the provider has listed the zone.
	Listed bool `json:"listed,omitempty"`
}

// Exchange has the searches of a configuration know what is stored, the first
// time, and stores what they know, unless it is the same. owner names one of
// Caddy's modules on one machine. It is of no use to others than the log whether
// that was possible.
func (m *Memory) Exchange(ctx context.Context, storage certmagic.Storage, owner func() string, searches []*Search, logger *zap.Logger) {
	if len(searches) == 0 {
		return
	}
	err := m.exclusively(ctx, func(ctx context.Context) error { return m.exchange(ctx, storage, owner(), searches) })
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = errkind.Of(err.Error())
	}
	m.mu.Lock()
	news := text != m.said
	m.said = text
	m.mu.Unlock()
	if news && err != nil {
		logger.Warn("cannot remember beyond a restart in which zones names are found", zap.Error(err))
	}
}

// exclusively does something with the storage, and waits no longer than
// storageTimeout for it.
func (m *Memory) exclusively(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return ctx.Err()
	}
	result := make(chan error, 1)
	go func() {
		defer cancel()
		defer func() { <-m.turn }()
		result <- do(ctx)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Memory) exchange(ctx context.Context, storage certmagic.Storage, owner string, searches []*Search) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the storage panicked: %v", r)
		}
	}()
	path := "dynamic_dns/found/" + certmagic.StorageKeys.Safe(owner) + ".json"
	var damage error
	if m.loaded != path {
		data, err := storage.Load(ctx, path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("loading %s: %w", path, err)
		}
		m.loaded, m.kept = path, data
		var all []found
		if err == nil {
			if err := json.Unmarshal(data, &all); err != nil {
				damage = fmt.Errorf("%s is damaged, and counts as missing: %w", path, err)
			}
		}
		for _, s := range searches {
			s.recall(all, alone(s, searches), time.Now())
		}
	}
	var all []found
	for _, s := range searches {
		all = append(all, s.found(alone(s, searches))...)
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Host, b.Host)) })
	all = slices.CompactFunc(all, func(a, b found) bool { return a.Provider == b.Provider && a.Host == b.Host })
	data, err := json.Marshal(all)
	if err != nil || bytes.Equal(data, m.kept) || len(all) == 0 && m.kept == nil {
		return cmp.Or(damage, err)
	}
	if err := storage.Store(ctx, path, data); err != nil {
		return errors.Join(damage, fmt.Errorf("storing %s: %w", path, err))
	}
	m.kept = data
	return damage
}

// alone reports whether no other search is offered hosts that is at a provider of
// that name: which of them has found a host, its name does not tell.
func alone(s *Search, searches []*Search) bool {
	return !slices.ContainsFunc(searches, func(other *Search) bool {
		return other != s && other.Name == s.Name && len(other.Hosts.Offered) > 0
	})
}

// remembered are the hosts whose zones are kept in the storage.
func (s *Search) remembered(alone bool) []string {
	if alone {
		return slices.Concat(s.Hosts.Needed, s.Hosts.Offered)
	}
	return s.Hosts.Needed
}

// recall takes in what was found of the hosts of which nothing is known.
func (s *Search) recall(all []found, alone bool, now time.Time) {
	hosts := s.remembered(alone)
	for _, f := range all {
		zone, err := dnsname.Zone(f.Zone)
		if err != nil || f.Provider != s.Name || !slices.Contains(hosts, f.Host) {
			continue
		}
		if _, _, ok := dnsname.Match(f.Host, []string{zone}); ok {
			s.Known.recall(f.Host, zone, f.Listed && s.Provider.CanList(), now)
		}
	}
}

// found returns what is known of the hosts.
func (s *Search) found(alone bool) (all []found) {
	for _, host := range s.remembered(alone) {
		if a, listed := s.Known.origin(host); a.Zone != "" {
			all = append(all, found{s.Name, host, dnsname.Display(a.Zone), listed})
		}
	}
	return all
}
