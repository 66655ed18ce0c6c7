package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// interrupted is a storage in which something happens once an entry was read.
type interrupted struct {
	certmagic.Storage
	then func()
}

func (s *interrupted) Load(ctx context.Context, key string) ([]byte, error) {
	data, err := s.Storage.Load(ctx, key)
	if then := s.then; then != nil && strings.Contains(key, hostsDirectory) {
		s.then = nil
		then()
	}
	return data, err
}

// slow is a storage that takes a while to store an entry.
type slow struct {
	certmagic.Storage
	takes time.Duration
}

func (s *slow) Store(ctx context.Context, key string, value []byte) error {
	if strings.Contains(key, hostsDirectory) {
		time.Sleep(s.takes)
	}
	return s.Storage.Store(ctx, key, value)
}

// TestTooLate: what is stored only when nobody waits for it any more does not
// replace what another process was told meanwhile.
func TestTooLate(t *testing.T) {
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		synctest.Test(t, func(t *testing.T) {
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			p, q := start(t, names[0], &slow{storage, time.Minute}), start(t, names[1], storage)
			p.Together(true)
			q.Together(true)
			done := make(chan error)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				done <- p.Store(ctx, p.storage, update(home, set("192.0.2.1"), Record{}), now, p.apply)
			}()
			time.Sleep(30 * time.Second)
			q.store(update(home, set("192.0.2.2"), Record{}))
			if err := <-done; !errors.Is(err, ErrStorage) {
				t.Errorf("got %v", err)
			}
			for range 3 {
				q.follow()
				p.follow()
			}
			p.expect(home, "[192.0.2.2] []")
			q.expect(home, "[192.0.2.2] []")
			start(t, "c", storage).expect(home, "[192.0.2.2] []")
		})
	}
}

// TestBothFamilies: a client that tells its IPv4 address to one process and its
// IPv6 address to another at the same time loses neither, whichever is stored
// last, and whoever of them looks first.
func TestBothFamilies(t *testing.T) {
	const both = "[192.0.2.2] [2001:db8::2]"
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		for _, first := range []int{0, 1} {
			storage := &interrupted{Storage: &certmagic.FileStorage{Path: t.TempDir()}}
			p, q := start(t, names[0], storage), start(t, names[1], storage)
			p.store(update(home, set("192.0.2.1"), set("2001:db8::1")))
			p.follow()
			q.follow()
			storage.then = func() { q.store(update(home, Record{}, set("2001:db8::2"))) }
			p.store(update(home, set("192.0.2.2"), Record{}))
			for n := range 6 {
				[]*process{p, q}[(first+n)%2].follow()
			}
			p.expect(home, both)
			q.expect(home, both)
			if p.Lookup(home).Version != q.Lookup(home).Version {
				t.Errorf("%v and %v", p.Lookup(home).Version, q.Lookup(home).Version)
			}
			start(t, "c", storage).expect(home, both)
		}
	}
}

// TestSlowProcess: what a slow process stores over something newer does not
// make the update lose that comes next.
func TestSlowProcess(t *testing.T) {
	storage := &interrupted{Storage: &certmagic.FileStorage{Path: t.TempDir()}}
	slow, second, third, last := start(t, "a", storage), start(t, "b", storage), start(t, "d", storage), start(t, "c", storage)
	all := []*process{slow, second, third, last}
	for _, p := range all {
		p.Together(true)
	}
	storage.then = func() {
		second.store(update(home, set("192.0.2.2"), Record{}))
		third.store(update(home, set("192.0.2.3"), Record{}))
	}
	slow.store(update(home, set("192.0.2.1"), Record{}))
	last.store(update(home, set("192.0.2.4"), Record{}))
	for range 3 {
		for _, p := range all {
			p.follow()
		}
	}
	for _, p := range all {
		p.expect(home, "[192.0.2.4] []")
	}
}
