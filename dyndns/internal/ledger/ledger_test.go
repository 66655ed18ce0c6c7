package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const home = "home.example.com"

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func set(addrs ...string) Record {
	r := Record{State: plan.Set}
	for _, s := range addrs {
		r.Addrs = append(r.Addrs, netip.MustParseAddr(s))
	}
	return r
}

func update(host string, a, aaaa Record) *Update {
	return &Update{Host: host, User: "home", Records: [ipaddr.Families]Record{ipaddr.V4: a, ipaddr.V6: aaaa}}
}

// process is a ledger with the storage that it shares with others.
type process struct {
	t *testing.T
	*Ledger
	storage certmagic.Storage
	// applied are the addresses that were applied last, by host.
	mu      sync.Mutex
	applied map[string]string
}

func start(t *testing.T, writer string, storage certmagic.Storage) *process {
	t.Helper()
	p := &process{t: t, Ledger: New(writer), storage: storage, applied: make(map[string]string)}
	if err := p.Load(t.Context(), storage, p.apply); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) apply(e *Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied[e.Host] = fmt.Sprint(e.Records[ipaddr.V4].Addrs, e.Records[ipaddr.V6].Addrs)
}

func (p *process) store(u *Update) {
	p.t.Helper()
	release, err := p.Lock(p.t.Context(), []string{u.Host})
	if err == nil {
		err = p.Store(p.t.Context(), p.storage, u, now, p.apply)
		release()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) follow() {
	p.t.Helper()
	if err := p.Follow(p.t.Context(), p.storage, p.apply, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) expect(host, want string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.applied[host]; got != want {
		p.t.Errorf("%s: %s has %s, want %s", p.writer, host, got, want)
	}
}

// TestRestart: what was stored is known to a process that comes later, and
// what was taken away is, too.
func TestRestart(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	p := start(t, "a", storage)
	p.store(update(home, set("192.0.2.1"), set("2001:db8::1", "2001:db8::2")))
	p.store(update(home, Record{}, Record{State: plan.None}))
	p.store(update("*.example.com", set("192.0.2.3"), Record{}))
	later := start(t, "b", storage)
	later.expect(home, "[192.0.2.1] [2001:db8::1 2001:db8::2]")
	later.expect("*.example.com", "[192.0.2.3] []")
	e := later.Lookup(home)
	if e.Records[ipaddr.V6].State != plan.None || e.Sequence != 2 || e.Writer != "a" || e.User != "home" || !e.Updated.Equal(now) {
		t.Errorf("got %+v", e)
	}
	if later.Lookup("other.example.com").Sequence != 0 {
		t.Error("there is an entry of another host")
	}
}

// TestFollow: each process takes over what the others have stored.
func TestFollow(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b, c := start(t, "a", storage), start(t, "b", storage), start(t, "c", storage)
	a.store(update(home, set("192.0.2.1"), Record{}))
	a.follow()
	b.follow()
	b.expect(home, "[192.0.2.1] []")
	b.store(update(home, set("192.0.2.2"), Record{}))
	b.store(update("b.example.com", set("192.0.2.9"), Record{}))
	b.follow()
	a.follow()
	c.follow()
	for _, p := range []*process{a, c} {
		p.expect(home, "[192.0.2.2] []")
		p.expect("b.example.com", "[192.0.2.9] []")
	}
	// Equal sets of changes are not applied twice, nor older ones after all.
	a.applied, c.applied = map[string]string{}, map[string]string{}
	a.follow()
	c.follow()
	if n := len(a.applied) + len(c.applied); n > 0 {
		t.Errorf("%d entries were applied again", n)
	}
}

// TestNoOlderOverNewer: whoever did not know of a newer entry when writing
// builds upon it all the same, and what was told late does not count.
func TestNoOlderOverNewer(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b := start(t, "a", storage), start(t, "b", storage)
	for i := range 5 {
		a.store(update(home, set(fmt.Sprintf("192.0.2.%d", i)), Record{}))
	}
	b.store(update(home, Record{}, set("2001:db8::1")))
	b.expect(home, "[192.0.2.4] [2001:db8::1]")
	b.follow()
	a.follow()
	a.expect(home, "[192.0.2.4] [2001:db8::1]")
	if s := a.Lookup(home).Sequence; s != 6 {
		t.Errorf("the sequence is %d", s)
	}
}

// late is a storage in which reads of entries show what was there before
// the test opens the gate, so that two processes write upon the same entry.
type late struct {
	certmagic.Storage
	frozen bool
}

func (s *late) Load(ctx context.Context, key string) ([]byte, error) {
	if s.frozen && strings.HasPrefix(key, hostsDirectory) {
		return nil, fs.ErrNotExist
	}
	return s.Storage.Load(ctx, key)
}

// TestAtOnce: of two who write at once one wins, everywhere and in the
// storage, whoever tells first and whoever overwrites the other.
func TestAtOnce(t *testing.T) {
	for _, firstToStore := range []string{"a", "b"} {
		for _, firstToTell := range []string{"a", "b"} {
			storage := &late{Storage: &certmagic.FileStorage{Path: t.TempDir()}}
			all := map[string]*process{}
			for _, name := range []string{"a", "b", "c"} {
				all[name] = start(t, name, storage)
			}
			other := map[string]string{"a": "b", "b": "a"}
			addrs := map[string]string{"a": "192.0.2.1", "b": "192.0.2.2"}
			storage.frozen = true
			for _, name := range []string{firstToStore, other[firstToStore]} {
				all[name].store(update(home, set(addrs[name]), Record{}))
			}
			storage.frozen = false
			for range 3 {
				for _, name := range []string{firstToTell, other[firstToTell], "c"} {
					all[name].follow()
				}
			}
			for _, p := range all {
				p.expect(home, "[192.0.2.2] []")
			}
			start(t, "d", storage).expect(home, "[192.0.2.2] []")
		}
	}
}

// TestOverwritten: two who tell at once overwrite what the other has told. It
// is told again.
func TestOverwritten(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b, c := start(t, "a", storage), start(t, "b", storage), start(t, "c", storage)
	a.store(update("a.example.com", set("192.0.2.1"), Record{}))
	a.follow()
	if err := storage.Delete(t.Context(), changesKey); err != nil {
		t.Fatal(err)
	}
	b.store(update("b.example.com", set("192.0.2.2"), Record{}))
	b.follow()
	c.follow()
	a.follow()
	c.follow()
	c.expect("a.example.com", "[192.0.2.1] []")
	c.expect("b.example.com", "[192.0.2.2] []")
}

// TestMany: who has missed more than the changes hold reads all entries.
func TestMany(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a, b := start(t, "a", storage), start(t, "b", storage)
	for i := range 3 * maxChanges / 2 {
		a.store(update(fmt.Sprintf("h%04d.example.com", i), set("192.0.2.1"), Record{}))
		if i%maxChanges == 100 {
			a.follow()
		}
	}
	a.follow()
	b.follow()
	b.follow()
	if n := len(b.applied); n != 3*maxChanges/2 {
		t.Errorf("%d entries were taken over", n)
	}
	data, err := storage.Load(t.Context(), changesKey)
	if err != nil || strings.Count(string(data), `"host"`) != maxChanges {
		t.Errorf("%d changes are told of, %v", strings.Count(string(data), `"host"`), err)
	}
}

// broken is a storage that fails.
type broken struct {
	certmagic.Storage
	err error
}

func (s *broken) Store(ctx context.Context, key string, value []byte) error {
	if s.err != nil {
		return s.err
	}
	return s.Storage.Store(ctx, key, value)
}

func (s *broken) Load(ctx context.Context, key string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Storage.Load(ctx, key)
}

// TestStorageFails: what cannot be stored is not applied, and what was missed
// meanwhile is read once the storage recovers.
func TestStorageFails(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	storage := &broken{Storage: files}
	a, b := start(t, "a", storage), start(t, "b", files)
	storage.err = errors.New("disk full")
	if err := a.Store(t.Context(), storage, update(home, set("192.0.2.1"), Record{}), now, a.apply); !errors.Is(err, ErrStorage) {
		t.Errorf("got %v", err)
	}
	a.expect(home, "")
	if a.Follow(t.Context(), storage, a.apply, nil) == nil {
		t.Error("no error")
	}
	b.store(update(home, set("192.0.2.2"), Record{}))
	b.follow()
	if err := files.Delete(t.Context(), changesKey); err != nil {
		t.Fatal(err)
	}
	storage.err = nil
	a.follow()
	a.expect(home, "[192.0.2.2] []")
}

// TestDamagedHoldsUpNothing: where an entry is damaged, and all are to be read
// again, the others are told of all the same.
func TestDamagedHoldsUpNothing(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	storage := &broken{Storage: files}
	a, b := start(t, "a", storage), start(t, "b", files)
	if err := files.Store(t.Context(), key("cut.example.com"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	storage.err = errors.New("away for a while")
	if a.Follow(t.Context(), storage, a.apply, nil) == nil {
		t.Error("no error")
	}
	storage.err = nil
	a.store(update(home, set("192.0.2.1"), Record{}))
	a.follow()
	b.follow()
	b.expect(home, "[192.0.2.1] []")
}

// hooked is a storage that does something else before it stores.
type hooked struct {
	certmagic.Storage
	before func()
}

func (s *hooked) Store(ctx context.Context, key string, value []byte) error {
	s.before()
	return s.Storage.Store(ctx, key, value)
}

// TestOvertakenWhileStored: who stores an update while a newer one of another
// process arrives is handed the newer one.
func TestOvertakenWhileStored(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	storage := &hooked{files, func() {}}
	a, b := start(t, "a", storage), start(t, "b", files)
	storage.before = func() {
		storage.before = func() {}
		b.store(update(home, set("192.0.2.2"), Record{}))
		b.follow()
		// It hears of it, and cannot look, for the host's turn is taken.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = a.Follow(ctx, files, func(*Entry) {}, nil)
	}
	a.store(update(home, set("192.0.2.1"), Record{}))
	a.expect(home, "[192.0.2.2] []")
}

// TestEntriesStay: an entry that somebody looks at is not changed under his
// eyes, whatever becomes of the host.
func TestEntriesStay(t *testing.T) {
	p := start(t, "a", &certmagic.FileStorage{Path: t.TempDir()})
	p.store(update(home, set("192.0.2.1"), Record{}))
	seen := p.Lookup(home)
	before := *seen
	p.follow()
	p.Ask(home)
	p.store(update(home, set("192.0.2.2"), Record{}))
	p.follow()
	if !reflect.DeepEqual(*seen, before) {
		t.Errorf("%+v has become %+v", before, *seen)
	}
}

// TestTurns: who writes several hosts waits for nobody who waits for them.
func TestTurns(t *testing.T) {
	p := start(t, "a", &certmagic.FileStorage{Path: t.TempDir()})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			hosts := []string{"a.example.com", "b.example.com", "a.example.com"}
			if i%2 == 0 {
				hosts[0], hosts[1] = hosts[1], hosts[0]
			}
			release, err := p.Lock(t.Context(), hosts)
			if err != nil {
				t.Error(err)
				return
			}
			release()
		})
	}
	wg.Wait()
	release, _ := p.Lock(t.Context(), []string{home})
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Lock(ctx, []string{home}); err == nil {
		t.Error("the turn was taken twice")
	}
}

// TestEdited: entries that make no sense are told of, and the others count.
func TestEdited(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	a := start(t, "a", storage)
	a.store(update(home, set("192.0.2.1"), Record{}))
	for name, text := range map[string]string{
		"cut.example.com":    `{"host": "cut.exam`,
		"family.example.com": `{"host": "family.example.com", "a": {"addresses": ["2001:db8::1"]}}`,
		"nobody.example.com": `{}`,
	} {
		if err := storage.Store(t.Context(), key(name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	b := New("b")
	n := 0
	err := b.Load(t.Context(), storage, func(*Entry) { n++ })
	if !errors.As(err, new(*DamagedError)) || strings.Count(err.Error(), "\n") != 2 || n != 1 {
		t.Errorf("%d entries, and the error %v", n, err)
	}
	select {
	case <-b.Ready():
	default:
		t.Error("it is not ready")
	}
	b.Under(func(entries iter.Seq[*Entry]) {
		for e := range entries {
			if e.Host != home {
				t.Errorf("%s is on record", e.Host)
			}
		}
	})
}

// FuzzDecode: what was decoded is what it is when it is stored again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"host":"home.example.com","sequence":3,"writer":"a","user":"home","updated":"2026-01-02T03:04:05Z","a":{"addresses":["192.0.2.1"]},"aaaa":{"addresses":null,"removed":["2001:db8::1"]}}`))
	f.Add([]byte(`{"host":"x","a":{"addresses":["::1"]}}`))
	f.Add([]byte(`{"host":"x","aaaa":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decode("", data)
		if err != nil {
			return
		}
		again, err := e.encode()
		if err != nil {
			t.Skip(err) // years that JSON cannot write
		}
		back, err := decode(e.Host, again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		for f := range e.Records {
			if !e.Records[f].Equal(back.Records[f]) || e.Version != back.Version || e.Host != back.Host {
				t.Errorf("%+v became %+v", e, back)
			}
		}
	})
}
