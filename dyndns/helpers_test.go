package dyndns

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

const (
	origin   = "example.com."
	addr1    = "93.184.216.34"
	addr2    = "93.184.216.35"
	addr3    = "93.184.216.36"
	addr6    = "2606:2800:220:1::1"
	password = "correct-horse-battery"
	client   = "198.41.0.4"
)

// hash is that of the password, as of a token, which is fast.
var hash = func() string {
	sum := sha256.Sum256([]byte(password))
	return "sha256:" + hex.EncodeToString(sum[:])
}()

func init() {
	caddy.RegisterModule(new(site))
	caddy.RegisterModule(new(logWriter))
	caddy.RegisterModule(new(recorder))
}

// bench is Caddy with the handlers of a configuration, in fake time and
// without sockets.
type bench struct {
	t       testing.TB
	z       *standin.Zones
	module  string
	storage string
	loaded  bool
	// apps are more apps of the configuration, each after a comma.
	apps string

	// provisioned is called before the apps start.
	provisioned func(*Handler)

	mu     sync.Mutex
	log    bytes.Buffer
	site   *site
	events []caddy.Event
}

var current *bench

func bubble(t *testing.T, character standin.Character, test func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, z: standin.New(character, origin, "example.net."), storage: dir}
		b.module = b.z.Register()
		current = b
		defer time.Sleep(time.Hour)
		defer b.stop()
		test(b)
	})
}

// config is a handler with one user.
func (b *bench) config(more string) string {
	return fmt.Sprintf(`{"dns_provider": {"name": %q}, "zones": ["example.com", "example.net"], %s "users": [
		{"name": "home", "password": %q, "hosts": ["home.example.com", "www.example.net"], "devices": {"nas.example.com": ["::21b:21ff:fe3c:4d5e"]}},
		{"name": "other", "password": %q, "hosts": ["other.example.com", "*.dyn.example.com"]}
	]}`, b.module, more, hash, hash)
}

func (b *bench) load(handlers ...string) {
	b.t.Helper()
	if err := b.tryLoad(handlers, ""); err != nil {
		b.t.Fatalf("loading: %v", err)
	}
}

func (b *bench) tryLoad(handlers []string, more string) error {
	before := b.site
	err := caddy.Load([]byte(b.json(handlers, more)), true)
	b.loaded = b.loaded || err == nil
	if err != nil {
		b.site = before
	}
	synctest.Wait()
	return err
}

func (b *bench) json(handlers []string, more string) string {
	return fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"storage": {"module": "file_system", "root": %q},
		"logging": {"logs": {"default": {"writer": {"output": "dyndns_test"}, "encoder": {"format": "json"}, "level": "DEBUG"}}},
		"apps": {
			"events": {"subscriptions": [{"modules": ["dyndns"], "handlers": [{"handler": "dyndns_test"}]}]},
			"dyndns_test": {"handlers": [%s]%s}%s
		}
	}`, b.storage, strings.Join(handlers, ", "), more, b.apps)
}

func (b *bench) stop() {
	if b.loaded {
		_ = caddy.Stop()
		b.loaded = false
	}
}

// answer is what a client gets.
type answer struct {
	status int
	body   string
	header http.Header
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body)) }

// do sends a request to the first handler of the running configuration.
func (b *bench) do(change func(*http.Request), target string) answer {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.SetBasicAuth("home", password)
	if change != nil {
		change(r)
	}
	return b.serve(r, client, false)
}

func (b *bench) serve(r *http.Request, from string, proxy bool) answer {
	b.mu.Lock()
	h := b.site.handlers[0]
	b.mu.Unlock()
	w := httptest.NewRecorder()
	r = prepare(r, w, from, proxy)
	if err := h.ServeHTTP(w, r, nil); err != nil {
		b.t.Errorf("the handler leaves it to Caddy: %v", err)
	}
	return answer{w.Code, w.Body.String(), w.Header()}
}

// prepare does what Caddy's server does with each request.
func prepare(r *http.Request, w http.ResponseWriter, from string, proxy bool) *http.Request {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, from)
	caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, proxy)
	return r
}

// update expects an answer of the update of home.example.com.
func (b *bench) update(query, want string) {
	b.t.Helper()
	if got := b.do(nil, "/nic/update?"+query).String(); got != want {
		b.t.Errorf("%s: answered %q, want %q", query, got, want)
	}
}

// expect looks at what the provider holds.
func (b *bench) expect(zone, name, typ string, want ...string) {
	b.t.Helper()
	got := b.z.Values(zone, name, typ)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.t.Errorf("%s %s in %s is %v, want %v", name, typ, zone, got, want)
	}
}

func (b *bench) wholeLog() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func (b *bench) logged(level, text string) (lines []string) {
	for line := range strings.Lines(b.wholeLog()) {
		if strings.Contains(line, `"level":"`+level+`"`) && strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// failing makes calls of a method fail until it is called again with nil.
func (b *bench) failing(err error, methods ...string) {
	b.z.Fail(func(c standin.Call) standin.Fault {
		if slices.Contains(methods, c.Method) {
			return standin.Fault{Err: err}
		}
		return standin.Fault{}
	})
}

func record(name, typ, data string) libdns.RR {
	return libdns.RR{Name: name, Type: typ, Data: data, TTL: time.Minute}
}

// site is an app that has handlers, as the http app has, but no sockets.
type site struct {
	HandlersRaw []json.RawMessage `json:"handlers,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	// Fail fails the start, as another app may.
	Fail bool `json:"fail,omitempty"`

	handlers []*Handler
}

func (*site) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dyndns_test", New: func() caddy.Module { return new(site) }}
}

func (s *site) Provision(ctx caddy.Context) error {
	for _, raw := range s.HandlersRaw {
		h, err := ctx.LoadModuleByID("http.handlers.dyndns", raw)
		if err != nil {
			return err
		}
		s.handlers = append(s.handlers, h.(*Handler))
		if current.provisioned != nil {
			current.provisioned(h.(*Handler))
		}
	}
	return nil
}

func (s *site) Start() error {
	if s.Fail {
		return errors.New("told to fail")
	}
	current.mu.Lock()
	defer current.mu.Unlock()
	current.site = s
	return nil
}

func (*site) Stop() error { return nil }

// logWriter takes Caddy's log into the bench.
type logWriter struct{}

func (*logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.dyndns_test", New: func() caddy.Module { return new(logWriter) }}
}

func (*logWriter) String() string                        { return "dyndns_test" }
func (*logWriter) WriterKey() string                     { return "dyndns_test" }
func (w *logWriter) OpenWriter() (io.WriteCloser, error) { return w, nil }
func (*logWriter) Close() error                          { return nil }

func (*logWriter) Write(p []byte) (int, error) {
	current.mu.Lock()
	defer current.mu.Unlock()
	return current.log.Write(p)
}

// recorder is an event handler.
type recorder struct{}

func (*recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.dyndns_test", New: func() caddy.Module { return new(recorder) }}
}

func (*recorder) Handle(_ context.Context, e caddy.Event) error {
	current.mu.Lock()
	defer current.mu.Unlock()
	current.events = append(current.events, e)
	return nil
}

var (
	_ caddyevents.Handler = (*recorder)(nil)
)

// breakStorage puts a file where the entries' directory is.
func breakStorage(t *testing.T, root string) {
	dir := filepath.Join(root, "dynamic_dns", "server", "hosts")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readAll returns all that is stored.
func readAll(t *testing.T, root string) string {
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(data) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
