package dyndns

import (
	"context"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// hanging is a storage that may not answer, whatever the context says.
type hanging struct {
	Root string `json:"root"`

	certmagic.Storage `json:"-"`
}

// before is called before each use of the storage.
var before atomic.Pointer[func(method string)]

func init() {
	caddy.RegisterModule(new(hanging))
}

func (*hanging) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.dyndns_test", New: func() caddy.Module { return new(hanging) }}
}

func (s *hanging) CertMagicStorage() (certmagic.Storage, error) {
	s.Storage = &certmagic.FileStorage{Path: s.Root}
	return s, nil
}

func use(method, key string) {
	if do := before.Load(); do != nil && strings.HasPrefix(key, "dynamic_dns/server") {
		(*do)(method)
	}
}

func (s *hanging) Load(ctx context.Context, key string) ([]byte, error) {
	use("load", key)
	return s.Storage.Load(ctx, key)
}

func (s *hanging) Store(ctx context.Context, key string, value []byte) error {
	use("store", key)
	return s.Storage.Store(ctx, key, value)
}

func (s *hanging) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	use("list", path)
	return s.Storage.List(ctx, path, recursive)
}

// TestStorageHangs: clients are told in time, and neither a reload nor the end
// waits for a storage that does not answer.
func TestStorageHangs(t *testing.T) {
	for _, method := range []string{"list", "load", "store"} {
		t.Run(method, func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				release := make(chan struct{})
				hang := func(m string) {
					if m == method {
						<-release
					}
				}
				load := func(more string) {
					t.Helper()
					config := strings.Replace(b.json([]string{b.config(more)}, ""), `"file_system"`, `"dyndns_test"`, 1)
					if err := caddy.Load([]byte(config), true); err != nil {
						t.Fatal(err)
					}
					b.loaded = true
				}
				took := func(what string, most time.Duration, do func()) {
					t.Helper()
					began := time.Now()
					do()
					if took := time.Since(began); took > most {
						t.Errorf("%s took %s", what, took)
					}
				}
				if method != "list" {
					load("")
					b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
				}
				before.Store(&hang)
				defer before.Store(nil)
				load("")
				took("the answer", patience, func() { b.update("hostname=home.example.com&myip="+addr2, "503 911") })
				took("a reload", 0, func() { load(`"ttl": 120000000000,`) })
				took("the end", 0, b.stop)
				close(release)
				time.Sleep(time.Minute)
				load("")
				b.update("hostname=home.example.com&myip="+addr3, "200 good "+addr3)
			})
		})
	}
}

// crossed is a folder of which the first list meets the file of something that is
// being written, and is gone then.
type crossed struct {
	certmagic.Storage
	lists int
}

func (s *crossed) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	if s.lists++; s.lists == 1 {
		return nil, &fs.PathError{Op: "lstat", Path: "/srv/caddy/" + path + "/945574456", Err: syscall.ENOENT}
	}
	return s.Storage.List(ctx, path, recursive)
}

// TestListCrossed: what is on record is all known where its list crosses a write
// of others.
func TestListCrossed(t *testing.T) {
	files := &certmagic.FileStorage{Path: t.TempDir()}
	entry := `{"host": "home.example.com", "sequence": 1, "writer": "a", "user": "home", "updated": "2000-01-01T00:00:00Z", "a": {"addresses": ["192.0.2.1"]}}`
	if err := files.Store(t.Context(), "dynamic_dns/server/hosts/home.example.com.json", []byte(entry)); err != nil {
		t.Fatal(err)
	}
	l := ledger.New("b")
	if err := l.Load(t.Context(), bounded{&crossed{Storage: files}}, func(*ledger.Entry) {}); err != nil {
		t.Fatal(err)
	}
	if e := l.Lookup("home.example.com"); e.Sequence != 1 {
		t.Errorf("got %+v", e)
	}
}
