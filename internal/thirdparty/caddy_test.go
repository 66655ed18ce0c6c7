package thirdparty

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	dynamicdns "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
)

func init() {
	caddy.RegisterModule(machine{})
	caddy.RegisterModule(logs{})
}

// machine is an IP source: a machine whose addresses a test can change.
type machine struct{}

var addrs struct {
	sync.Mutex
	list []netip.Addr
}

// CaddyModule returns the Caddy module information.
func (machine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.tp_machine", New: func() caddy.Module { return new(machine) }}
}

// GetIPs returns the addresses of the families that are asked for.
func (machine) GetIPs(_ context.Context, settings dynamicdns.IPSettings) ([]netip.Addr, error) {
	addrs.Lock()
	defer addrs.Unlock()
	return slices.DeleteFunc(slices.Clone(addrs.list), func(a netip.Addr) bool {
		return a.Is4() && !settings.IPVersions.V4Enabled() || a.Is6() && !settings.IPVersions.V6Enabled()
	}), nil
}

// move gives the machine other addresses.
func move(ips ...string) {
	addrs.Lock()
	defer addrs.Unlock()
	addrs.list = nil
	for _, ip := range ips {
		addrs.list = append(addrs.list, netip.MustParseAddr(ip))
	}
}

// logs is a log writer that keeps what is logged.
type logs struct{}

var logged struct {
	sync.Mutex
	buf bytes.Buffer
}

// CaddyModule returns the Caddy module information.
func (logs) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.tp_logs", New: func() caddy.Module { return new(logs) }}
}

func (logs) String() string                        { return "tp_logs" }
func (logs) WriterKey() string                     { return "tp_logs" }
func (l logs) OpenWriter() (io.WriteCloser, error) { return l, nil }
func (logs) Close() error                          { return nil }

// Write keeps a line.
func (logs) Write(p []byte) (int, error) {
	logged.Lock()
	defer logged.Unlock()
	return logged.buf.Write(p)
}

// takeLogs returns what was logged since the last time.
func takeLogs() string {
	logged.Lock()
	defer logged.Unlock()
	defer logged.buf.Reset()
	return logged.buf.String()
}

// worth leaves out what happens at every check, for people to read.
func worth(log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "address unknown") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// run loads a configuration that keeps a name in a zone at the machine's
// addresses. Whoever calls it stops Caddy.
func run(t *testing.T, provider json.RawMessage, zone, name string) {
	t.Helper()
	// A state of its own, as on a machine where Caddy has not run before.
	config, err := json.Marshal(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"storage": map[string]any{"module": "file_system", "root": t.TempDir()},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{
			"level": "DEBUG", "writer": map[string]any{"output": "tp_logs"}, "encoder": map[string]any{"format": "json"},
		}}},
		"apps": map[string]any{"dynamic_dns": map[string]any{
			"dns_provider":   provider,
			"domains":        map[string][]string{zone: {name}},
			"ip_sources":     []any{map[string]string{"source": "tp_machine"}},
			"check_interval": "1m",
			"watch":          false,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
}
