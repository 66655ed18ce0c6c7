package nameserver

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// slowStorage is a storage in memory, whose writes take a second and whose lock
// goes to any of those who wait, the newest first.
type slowStorage struct {
	mu      sync.Mutex
	files   map[string][]byte
	changed map[string]time.Time
	held    bool
	waiting []chan struct{}
}

func newSlowStorage() *slowStorage {
	return &slowStorage{files: make(map[string][]byte), changed: make(map[string]time.Time)}
}

func (s *slowStorage) Lock(ctx context.Context, _ string) error {
	s.mu.Lock()
	if !s.held {
		s.held = true
		s.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.waiting)
	s.waiting = slices.DeleteFunc(s.waiting, func(o chan struct{}) bool { return o == turn })
	if len(s.waiting) == before { // it came at the same time
		return nil
	}
	return ctx.Err()
}

func (s *slowStorage) Unlock(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.waiting); n > 0 {
		close(s.waiting[n-1])
		s.waiting = s.waiting[:n-1]
		return nil
	}
	s.held = false
	return nil
}

func (s *slowStorage) Store(_ context.Context, key string, value []byte) error {
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[key], s.changed[key] = slices.Clone(value), time.Now()
	return nil
}

func (s *slowStorage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.files[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (s *slowStorage) Stat(_ context.Context, key string) (certmagic.KeyInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.files[key]; !ok {
		return certmagic.KeyInfo{}, fs.ErrNotExist
	}
	return certmagic.KeyInfo{Key: key, Modified: s.changed[key], Size: int64(len(s.files[key]))}, nil
}

func (s *slowStorage) Delete(context.Context, string) error { return nil }
func (s *slowStorage) Exists(context.Context, string) bool  { return false }
func (s *slowStorage) List(context.Context, string, bool) ([]string, error) {
	return nil, fs.ErrNotExist
}

// A lock for which there is a long queue is not taken from those who hold it:
// no change that was confirmed is lost.
func TestContendedLockIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const caddys, each = 16, 8
		storage := newSlowStorage()
		var wg sync.WaitGroup
		var last *testZone
		for c := range caddys {
			z := newTestZoneOf(t, t.TempDir(), fmt.Sprintf("c%d", c), new(Zone))
			z.storage = storage
			last = z
			wg.Go(func() {
				for i := range each {
					z.add(t, fmt.Sprintf("c%d-%d", c, i), "192.0.2.1")
				}
			})
		}
		wg.Wait()
		last.syncNow(t)
		for c := range caddys {
			for i := range each {
				if name := fmt.Sprintf("c%d-%d", c, i); !last.holds(name, "192.0.2.1") {
					t.Errorf("%s was confirmed and is lost", name)
				}
			}
		}
	})
}
