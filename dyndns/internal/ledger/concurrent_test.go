package ledger

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// memory is a storage that is fast, so that what uses it meets often.
type memory struct {
	certmagic.Storage
	mu    sync.Mutex
	files map[string][]byte
}

func (m *memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.files[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[key] = value
	return nil
}

func (m *memory) List(_ context.Context, prefix string, _ bool) (keys []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.files {
		if path.Dir(key) == prefix {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// look reads all that there is of an entry, as those do who were given it.
func look(e *Entry) { _ = fmt.Sprintf("%+v", *e) }

// TestAtOnceInAll: requests, followers, reloads and those who look all use two
// ledgers at a time. Nobody sees an entry change, and both agree in the end.
func TestAtOnceInAll(t *testing.T) {
	storage := &memory{files: make(map[string][]byte)}
	hosts := []string{"a.example.com", "b.example.com", "c.example.com"}
	both := []*Ledger{New("a"), New("b")}
	ctx := t.Context()
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	judge := func(entries []*Entry) [][ipaddr.Families]*bool {
		verdicts := make([][ipaddr.Families]*bool, len(entries))
		for i, e := range entries {
			look(e)
			verdicts[i][ipaddr.V4] = new(e.Sequence%2 == 0)
		}
		return verdicts
	}
	for _, l := range both {
		must(l.Load(ctx, storage, look))
	}
	var tellers, others sync.WaitGroup
	over := make(chan struct{})
	for n, l := range both {
		tellers.Go(func() {
			for i := range 40 {
				host := hosts[i%len(hosts)]
				release, err := l.Lock(ctx, []string{host})
				if err != nil {
					t.Error(err)
					return
				}
				must(l.Store(ctx, storage, update(host, set(fmt.Sprintf("192.0.%d.%d", n, i%250)), Record{}), now, look))
				release()
				must(l.Follow(ctx, storage, look, judge))
			}
		})
		each := func(do func(i int, host string)) {
			others.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-over:
						return
					default:
						do(i, hosts[i%len(hosts)])
					}
				}
			})
		}
		for range 2 {
			each(func(_ int, host string) { look(l.Lookup(host)) })
		}
		each(func(int, string) { must(l.Follow(ctx, storage, look, judge)) })
		each(func(i int, host string) {
			l.Together(i%3 == 0)
			l.Ask(host)
			l.Apply(host, look)
			l.Under(func(entries iter.Seq[*Entry]) {
				for e := range entries {
					look(e)
				}
			})
		})
		each(func(i int, host string) {
			_ = l.Refresh(ctx, storage, []string{host}, look)
			l.Unread()
			if i%50 == 0 {
				l.Behind()
				must(l.Load(ctx, storage, look))
			}
		})
	}
	tellers.Wait()
	close(over)
	others.Wait()
	deadline := time.Now().Add(time.Minute)
	agree := func() (told string, ok bool) {
		for _, host := range hosts {
			a, b := both[0].Lookup(host), both[1].Lookup(host)
			there, err := load(ctx, storage, host)
			must(err)
			told += fmt.Sprintf("%+v\n%+v\n%+v\n", a, b, there)
			if a.Version != b.Version || there.Version != a.Version {
				return told, false
			}
		}
		return told, true
	}
	for {
		for _, l := range both {
			must(l.Follow(ctx, storage, look, nil))
		}
		told, ok := agree()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("they do not agree:\n%s", told)
		}
	}
}
