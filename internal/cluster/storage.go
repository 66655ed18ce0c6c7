package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

const (
	folder   = "dynamic_dns/cluster"
	lockName = "dynamic_dns_cluster"
)

// patience is how long one call of the storage is waited for: a few of them
// must fit into a lease.
func (s *Settings) patience() time.Duration { return min(s.Lease/5, 10*time.Second) }

func (m *Member) store(ctx context.Context, s Settings, e *lease.Entry) error {
	data, err := e.Encode()
	if err != nil {
		return err
	}
	key := entryKey(e.Name, e.Process)
	err = m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Store(ctx, key, data) }, nil)
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	return nil
}

// read returns the entries of the others.
func (m *Member) read(ctx context.Context, s Settings) ([]lease.Entry, error) {
	var keys []string
	err := m.storage.do(ctx, s.patience(), func(ctx context.Context) error {
		listed, err := s.Storage.List(ctx, folder, false)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		keys = listed
		return err
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	var entries []lease.Entry
	own := entryKey(m.Name, m.process)
	for _, key := range keys {
		if key == own || !strings.HasSuffix(key, ".json") {
			continue
		}
		var data []byte
		err := m.storage.do(ctx, s.patience(), func(ctx context.Context) (err error) {
			loaded, err := s.Storage.Load(ctx, key)
			data = loaded
			return err
		}, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("loading %s: %w", key, err)
		}
		// One that makes no sense, such as one that is half written, is
		// looked at again; nobody may be taken for gone because of it.
		if e, err := lease.Decode(data); err == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// lock takes the lock under which zones are claimed.
func (m *Member) lock(ctx context.Context, s Settings) (unlock func(), err error) {
	unlock = func() {
		ctx := context.WithoutCancel(ctx)
		_ = m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Unlock(ctx, lockName) }, nil)
	}
	err = m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Lock(ctx, lockName) }, unlock)
	return unlock, err
}

// sweep removes the entries of instances that are gone for good.
func (m *Member) sweep(ctx context.Context) {
	m.mu.Lock()
	s, dead := m.settings, m.roster.Dead(time.Now())
	m.mu.Unlock()
	for _, e := range dead {
		_ = m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Delete(ctx, entryKey(e.Name, e.Process)) }, nil)
	}
}

func entryKey(name, process string) string {
	return folder + "/" + certmagic.StorageKeys.Safe(name) + "~" + certmagic.StorageKeys.Safe(process) + ".json"
}
