package dynamicdns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func init() {
	caddy.RegisterModule(new(fakeSource))
	caddy.RegisterModule(new(logWriter))
}

// lab is what a test and the modules that its configuration names share.
type lab struct {
	t       *testing.T
	storage string

	mu    sync.Mutex
	addrs []netip.Addr
	err   error
	asked int
	slow  map[ipaddr.Family]time.Duration
	// admin is more of the admin configuration.
	admin  string
	log    bytes.Buffer
	loaded bool
}

// current is the lab of the running test: Caddy has one configuration at a
// time, and so have these tests. An admin endpoint that ends late may still log.
var current atomic.Pointer[lab]

// bubble runs the test in fake time. Caddy is stopped at its end, so that
// goroutines that are left over are found.
func bubble(t *testing.T, test func(l *lab)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		l := &lab{t: t, storage: dir}
		current.Store(l)
		defer l.end()
		test(l)
	})
}

// address is what the machine's addresses are from now on.
func (l *lab) address(addrs ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs, l.err = nil, nil
	for _, s := range addrs {
		l.addrs = append(l.addrs, netip.MustParseAddr(s))
	}
}

// fail makes the IP source fail.
func (l *lab) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lab) timesAsked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// load loads Caddy with the given configuration of the app.
func (l *lab) load(app string) {
	l.t.Helper()
	if err := l.tryLoad(app); err != nil {
		l.t.Fatalf("loading: %v", err)
	}
}

func (l *lab) tryLoad(app string, otherApps ...string) error {
	apps := `"dynamic_dns": ` + app
	for _, other := range otherApps {
		apps += ", " + other
	}
	admin := `"persist": false`
	if l.admin != "" {
		admin += ", " + l.admin
	}
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {%s}},
		"storage": {"module": "file_system", "root": %q},
		"logging": {"logs": {"default": {
			"writer": {"output": "dynamic_dns_test"},
			"encoder": {"format": "json"},
			"level": "DEBUG"
		}}},
		"apps": {%s}
	}`, admin, l.storage, apps)
	err := caddy.Load([]byte(config), true)
	l.loaded = l.loaded || err == nil
	return err
}

// stop stops Caddy.
func (l *lab) stop() {
	if l.loaded {
		_ = caddy.Stop()
		l.loaded = false
	}
}

// end stops Caddy for good. A call to a provider that is under way then may
// go on until its deadline, and no longer.
func (l *lab) end() {
	l.stop()
	time.Sleep(time.Hour)
}

// wait lets fake time pass.
func (l *lab) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// logged returns the lines of the log at the level and above that have the
// text, as maps.
func (l *lab) logged(level, text string) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := []string{"debug", "info", "warn", "error"}
	var lines []map[string]any
	for line := range strings.Lines(l.log.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || !strings.HasPrefix(fmt.Sprint(fields["logger"]), "dynamic_dns") {
			continue
		}
		if slices.Index(levels, fmt.Sprint(fields["level"])) >= slices.Index(levels, level) && strings.Contains(line, text) {
			lines = append(lines, fields)
		}
	}
	return lines
}

// wholeLog returns all that was logged at any level.
func (l *lab) wholeLog() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

// fakeSource is an IP source that gives the lab's addresses.
type fakeSource struct {
	Name string `json:"name,omitempty"`
}

func (*fakeSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.fake", New: func() caddy.Module { return new(fakeSource) }}
}

func (*fakeSource) GetIPs(_ context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	l := current.Load()
	l.mu.Lock()
	l.asked++
	f := ipaddr.V4
	if !settings.IPVersions.V4Enabled() {
		f = ipaddr.V6
	}
	slow := l.slow[f]
	l.mu.Unlock()
	time.Sleep(slow)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	return slices.Clone(l.addrs), nil
}

// logWriter takes Caddy's log into the lab.
type logWriter struct{}

func (*logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.dynamic_dns_test", New: func() caddy.Module { return new(logWriter) }}
}

func (*logWriter) String() string    { return "dynamic_dns_test" }
func (*logWriter) WriterKey() string { return "dynamic_dns_test" }

func (w *logWriter) OpenWriter() (io.WriteCloser, error) { return w, nil }

func (*logWriter) Write(p []byte) (int, error) {
	l := current.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

func (*logWriter) Close() error { return nil }

func record(name, typ, data string) libdns.RR {
	return libdns.RR{Name: name, Type: typ, Data: data, TTL: 5 * time.Minute}
}

// status is that of the app itself, without clients and timeline.
func (a *App) status(now time.Time) *status.Status { return a.statusOf(a.current(), now) }
