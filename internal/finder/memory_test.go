package finder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// restart runs a search as a new process does, with what an earlier one has found.
func (w *world) restart(t *testing.T, storage certmagic.Storage, hosts Hosts) *Known {
	known := new(Known)
	s := &Search{Name: "test", Known: known, Provider: w, Hosts: hosts}
	NewMemory().Exchange(t.Context(), storage, func() string { return "test" }, []*Search{s}, zap.NewNop())
	w.start(t, known, hosts)
	return known
}

// TestRecalled: what an earlier process has found holds until the provider, or
// name servers where it cannot list, say something else.
func TestRecalled(t *testing.T) {
	const host = "www.sub.example.com"
	for name, test := range map[string]struct {
		// file is what is stored, and w what can be asked now.
		file string
		w    *world
		want string
		// lists is how often zones are listed in ten minutes.
		lists int
	}{
		"as it was":                    {`"listed":true`, &world{lists: true, reads: true, zones: []string{"sub.example.com."}}, "sub.example.com.", 1},
		"lists fail":                   {`"listed":true`, &world{lists: true, reads: true, zones: []string{"sub.example.com."}, listErr: errors.New("503")}, "sub.example.com.", 7},
		"lists fail, DNS has another":  {`"listed":true`, &world{lists: true, listErr: errors.New("503"), inDNS: []string{"example.com."}}, "sub.example.com.", 7},
		"gone from the list":           {`"listed":true`, &world{lists: true, reads: true, zones: []string{"example.com."}}, "example.com.", 1},
		"gone from an incomplete list": {`"listed":true`, &world{lists: true, reads: true, readErr: errors.New("503"), zones: []string{"example.com."}}, "sub.example.com.", 1},
		"gone, and cannot be read":     {`"listed":true`, &world{lists: true, zones: []string{"example.com."}}, "sub.example.com.", 1},
		"lists no more":                {`"listed":true`, &world{reads: true, zones: []string{"example.com."}, inDNS: []string{"example.com."}}, "example.com.", 0},
		"DNS does not answer":          {`"listed":false`, &world{reads: true, zones: []string{"sub.example.com."}}, "sub.example.com.", 0},
		"DNS has another":              {`"listed":false`, &world{reads: true, zones: []string{"example.com."}, inDNS: []string{"example.com."}}, "example.com.", 0},
		"DNS has another's":            {`"listed":false`, &world{reads: true, inDNS: []string{"example.com."}}, "", 0},
		"listed by now":                {`"listed":false`, &world{lists: true, reads: true, zones: []string{"example.com."}}, "example.com.", 1},
	} {
		t.Run(name, func(t *testing.T) {
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			path := filepath.Join(storage.Path, "dynamic_dns/found/test.json")
			synctest.Test(t, func(t *testing.T) {
				file := `[{"provider":"test","host":"` + host + `","zone":"sub.example.com",` + test.file + `}]`
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
					t.Fatal(err)
				}
				w := test.w
				known := w.restart(t, storage, Hosts{Needed: []string{host}})
				if a := known.Answer(host); a.Zone != "sub.example.com." {
					t.Errorf("at the start: %+v", a)
				}
				wait(10 * time.Minute)
				if a := known.Answer(host); a.Zone != test.want {
					t.Errorf("got %+v, want %s", a, test.want)
				}
				if n := len(w.hasListed()); n != test.lists {
					t.Errorf("%d lists, want %d", n, test.lists)
				}
			})
		})
	}
}

// hanging is a storage that does not answer.
type hanging struct {
	certmagic.Storage
	ended chan struct{}
}

func (h hanging) Load(context.Context, string) ([]byte, error) {
	<-h.ended
	return nil, errors.New("gone")
}

// TestStorageHangs: a search waits a short time for the storage, and for what is
// under way with it no longer than its own end.
func TestStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hanging{ended: make(chan struct{})}
		w := &world{lists: true}
		m, s := NewMemory(), []*Search{{Name: "test", Known: new(Known), Provider: w, Hosts: Hosts{Needed: []string{"www.example.com"}}}}
		core, logs := observer.New(zap.WarnLevel)
		exchange := func(ctx context.Context) time.Duration {
			began := time.Now()
			m.Exchange(ctx, h, func() string { return "test" }, s, zap.New(core))
			return time.Since(began)
		}
		for range 3 {
			if took := exchange(t.Context()); took != storageTimeout {
				t.Errorf("took %s", took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took := exchange(ctx); took != time.Second {
			t.Errorf("took %s until its end", took)
		}
		if logs.Len() != 1 {
			t.Errorf("said: %v", logs.All())
		}
		close(h.ended)
		wait(time.Second)
	})
}

// TestMemoryOfSeveral: each module of a machine, and each provider, has its own.
func TestMemoryOfSeveral(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	search := func(name string, hosts Hosts) *Search {
		return &Search{Name: name, Known: new(Known), Provider: &world{lists: true}, Hosts: hosts}
	}
	exchange := func(owner string, searches ...*Search) {
		NewMemory().Exchange(t.Context(), storage, func() string { return owner }, searches, zap.NewNop())
	}
	hosts := Hosts{Needed: []string{"www.example.com"}, Offered: []string{"blog.example.com"}}
	one, two := search("one", hosts), search("two", hosts)
	one.Known.list([]string{"example.com."}, nil)
	exchange("a", one, two)
	for name, test := range map[string]struct {
		owner    string
		searches []*Search
		want     string
	}{
		"again":              {"a", []*Search{search("one", hosts)}, "example.com. example.com."},
		"another owner":      {"b", []*Search{search("one", hosts)}, " "},
		"another provider":   {"a", []*Search{search("two", hosts)}, " "},
		"two of one name":    {"a", []*Search{search("one", hosts), search("one", Hosts{Offered: hosts.Offered})}, "example.com. "},
		"as what one needs":  {"a", []*Search{search("one", Hosts{Needed: hosts.Offered})}, " example.com."},
		"not asked for more": {"a", []*Search{search("one", Hosts{})}, " "},
	} {
		data, err := storage.Load(t.Context(), "dynamic_dns/found/a.json")
		if err != nil {
			t.Fatal(err)
		}
		exchange(test.owner, test.searches...)
		known := test.searches[0].Known
		if got := known.Answer("www.example.com").Zone + " " + known.Answer("blog.example.com").Zone; got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		if err := storage.Store(t.Context(), "dynamic_dns/found/a.json", data); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemoryOfAnother: who goes by another name from a reload on keeps under that
// what is known.
func TestMemoryOfAnother(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	s := &Search{Name: "test", Known: new(Known), Provider: &world{lists: true}, Hosts: Hosts{Needed: []string{"www.example.com"}}}
	s.Known.list([]string{"example.com."}, nil)
	m := NewMemory()
	for _, owner := range []string{"a", "b", "a"} {
		m.Exchange(t.Context(), storage, func() string { return owner }, []*Search{s}, zap.NewNop())
		if data, err := storage.Load(t.Context(), "dynamic_dns/found/"+owner+".json"); err != nil || !strings.Contains(string(data), "www.example.com") {
			t.Errorf("%s: %s, %v", owner, data, err)
		}
	}
}

// away is a storage whose errors name another port each time.
type away struct {
	certmagic.Storage
	port int
}

func (a *away) Load(context.Context, string) ([]byte, error) {
	a.port++
	return nil, fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:6379: i/o timeout", a.port)
}

// TestStorageSaidOnce: a storage that is away is worth one line.
func TestStorageSaidOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	m, storage := NewMemory(), &away{port: 40000}
	s := []*Search{{Name: "test", Known: new(Known), Provider: &world{lists: true}, Hosts: Hosts{Needed: []string{"www.example.com"}}}}
	for range 3 {
		m.Exchange(t.Context(), storage, func() string { return "test" }, s, zap.New(core))
	}
	if logs.Len() != 1 {
		t.Errorf("said: %v", logs.All())
	}
}
