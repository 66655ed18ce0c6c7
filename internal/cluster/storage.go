package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
		listed, err := List(ctx, s.Storage, folder, false)
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

// listTries is how often a list is begun anew that another write got in the way of.
const listTries = 10

// List returns the keys in a folder of the storage, or none if it is not there.
// certmagic's list of a folder ends where the file is gone by then of something
// that is being written. That is the error of a folder that is not there, too, but
// nothing else is to be taken for gone.
func List(ctx context.Context, storage certmagic.Storage, folder string, recursive bool) (keys []string, err error) {
	for range listTries {
		keys, err = storage.List(ctx, folder, recursive)
		if !errors.Is(err, fs.ErrNotExist) {
			return keys, err
		}
		var at *fs.PathError
		if !errors.As(err, &at) || strings.HasSuffix(filepath.ToSlash(at.Path), folder) {
			return nil, nil
		}
	}
	return nil, err
}

// unlockTries is how often the storage is asked to take a lock back. It may be
// another's by then, which it is asked for in vain.
const unlockTries = 10

// lock takes the lock under which zones are claimed. Where the storage gives it
// when it is not waited for any more, it is given back in the next round, or at
// once if there is none.
func (m *Member) lock(ctx context.Context, s Settings) error {
	locked := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unlocks = unlockTries
	}
	late := func() {
		if locked(); m.running.TryLock() {
			defer m.running.Unlock()
			m.unlock(context.Background())
		}
	}
	err := m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Lock(ctx, lockName) }, late)
	if err == nil {
		locked()
	}
	return err
}

// unlock gives the lock back, if this instance has it. What fails is tried again
// in the next round: a lock that is kept has all others wait for a lease each
// time.
func (m *Member) unlock(ctx context.Context) {
	m.mu.Lock()
	s, tries := m.settings, m.unlocks
	m.mu.Unlock()
	if tries == 0 {
		return
	}
	err := m.storage.do(ctx, s.patience(), func(ctx context.Context) error { return s.Storage.Unlock(ctx, lockName) }, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.unlocks = 0
	case !errors.Is(err, errBusy):
		m.unlocks--
	}
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
