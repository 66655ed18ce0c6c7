package ledger

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
)

// partial is a storage of which some cannot be read.
type partial struct {
	certmagic.Storage
	mu       sync.Mutex
	unlisted error
	// unread are parts of keys.
	unread []string
	loads  int
}

func (s *partial) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlisted != nil {
		return nil, s.unlisted
	}
	return s.Storage.List(ctx, path, recursive)
}

func (s *partial) Load(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if slices.ContainsFunc(s.unread, func(part string) bool { return strings.Contains(key, part) }) {
		return nil, fs.ErrPermission
	}
	return s.Storage.Load(ctx, key)
}

// TestUnread: an entry that cannot be read costs its host alone, until it can be.
func TestUnread(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	before := start(t, "a", files)
	before.store(update(home, set("192.0.2.1"), Record{}))
	before.store(update("www.example.com", set("192.0.2.2"), Record{}))
	storage := &partial{Storage: files, unread: []string{home}}
	p := &process{t: t, Ledger: New("b"), storage: storage, applied: make(map[string]string)}
	err := p.Load(t.Context(), storage, p.apply)
	if !errors.As(err, new(*UnreadError)) || !Partly(err) || !strings.Contains(err.Error(), home) {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Ready():
	default:
		t.Fatal("not ready")
	}
	p.expect("www.example.com", "[192.0.2.2] []")
	p.expect(home, "")
	for range 3 {
		if again := p.Follow(t.Context(), storage, p.apply, nil); again == nil || again.Error() != err.Error() || !Partly(again) {
			t.Errorf("got %v", again)
		}
	}
	if unread := p.Unread(); !slices.Equal(unread, []string{home}) {
		t.Errorf("unread are %q", unread)
	}
	p.store(update("www.example.com", set("192.0.2.3"), Record{}))
	if err := p.Store(t.Context(), storage, update(home, set("192.0.2.3"), Record{}), now, p.apply); !errors.Is(err, ErrStorage) {
		t.Errorf("got %v", err)
	}
	p.expect(home, "")
	storage.mu.Lock()
	storage.unread = nil
	storage.mu.Unlock()
	p.follow()
	p.expect(home, "[192.0.2.1] []")
	p.expect("www.example.com", "[192.0.2.3] []")
	if unread := p.Unread(); len(unread) > 0 {
		t.Errorf("unread are %q", unread)
	}
}

// TestUnreadMany: the storage is not asked for all of them at a time, all are
// read once that works again, and one that is damaged is said to be.
func TestUnreadMany(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	before := start(t, "a", files)
	hosts := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"}
	for i, label := range hosts {
		hosts[i] = label + ".example.com"
		before.store(update(hosts[i], set("192.0.2.1"), Record{}))
	}
	storage := &partial{Storage: files, unread: []string{"/hosts/"}}
	p := &process{t: t, Ledger: New("b"), storage: storage, applied: make(map[string]string)}
	if err := p.Load(t.Context(), storage, p.apply); !Partly(err) || !strings.Contains(err.Error(), "and 9 more") {
		t.Errorf("got %v", err)
	}
	loads := storage.loads
	if err := p.Follow(t.Context(), storage, p.apply, nil); !errors.As(err, new(*UnreadError)) {
		t.Errorf("got %v", err)
	}
	if n := storage.loads - loads; n > maxInVain+1 {
		t.Errorf("asked for %d", n)
	}
	if err := files.Store(t.Context(), key(hosts[0]), []byte("{")); err != nil {
		t.Fatal(err)
	}
	storage.unread = nil
	if err := p.Follow(t.Context(), storage, p.apply, nil); !errors.As(err, new(*DamagedError)) || errors.As(err, new(*UnreadError)) {
		t.Errorf("got %v", err)
	}
	for _, host := range hosts[1:] {
		p.expect(host, "[192.0.2.1] []")
	}
	p.follow()
}

// TestUnlisted: where nobody knows which entries there are, nothing is known.
func TestUnlisted(t *testing.T) {
	storage := &partial{Storage: &certmagic.FileStorage{Path: t.TempDir()}, unlisted: fs.ErrPermission}
	p := &process{t: t, Ledger: New("a"), storage: storage, applied: make(map[string]string)}
	if err := p.Load(t.Context(), storage, p.apply); err == nil || Partly(err) {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Ready():
		t.Error("ready")
	default:
	}
}
