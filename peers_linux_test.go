package dynamicdns

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	real "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestDeadPeers asks every source a thousand times, in a network where nobody
// answers: neither a router, nor a service, nor a name server. Nothing must be
// left of that, nor of listening to them.
func TestDeadPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if _, inside := real.Inside(); !inside {
		real.NewNS(t).Rerun(t, "nothing")
		return
	}
	real.IP(t, real.WANLink+`
addr add 93.184.216.34/24 dev wan0
addr add 2606:2800:220:1::1/64 dev wan0 nodad
route add default via 93.184.216.1 dev wan0
route add default via 2606:2800:220:1::2 dev wan0
`)
	// What a source needs; others are asked as they are by default.
	needs := map[string]map[string]any{
		"static":   {"ips": []string{"93.184.216.34"}},
		"file":     {"path": filepath.Join(t.TempDir(), "missing")},
		"command":  {"command": "/bin/false"},
		"fritzbox": {"host": "192.168.178.1"},
		"simple_http": {"endpoints": []string{
			"https://198.41.0.4/", "https://192.33.4.12/", "https://[2001:503:ba3e::2:30]/", "https://[2001:500:2::c]/",
		}},
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	tested := 0
	for _, info := range caddy.GetModules("dynamic_dns.ip_sources") {
		name := info.ID.Name()
		if !strings.Contains(reflect.TypeOf(info.New()).Elem().PkgPath(), "/ipsources/") {
			continue
		}
		tested++
		t.Run(name, func(t *testing.T) {
			raw := []byte("{}")
			if options := needs[name]; options != nil {
				raw, _ = json.Marshal(options)
			}
			module, err := ctx.LoadModuleByID(string(info.ID), raw)
			if err != nil {
				t.Fatalf("%v; say above what the source needs", err)
			}
			source := module.(ipsources.IPSource)
			before := runtime.NumGoroutine()
			listening, stop := context.WithCancel(t.Context())
			var listeners sync.WaitGroup
			if n, ok := module.(ipsources.Notifier); ok {
				listeners.Go(func() { n.Notify(listening, func() {}) })
			}
			most := 0
			for i := range 1000 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
				_, _ = source.GetIPs(ctx, ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.Family(i % int(ipaddr.Families)))})
				cancel()
				most = max(most, runtime.NumGoroutine()-before)
			}
			stop()
			listeners.Wait()
			left := 0
			deadline := time.Now().Add(30 * time.Second)
			for left = runtime.NumGoroutine() - before; left > 0 && time.Now().Before(deadline); left = runtime.NumGoroutine() - before {
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("%d goroutines at most, %d left", most, max(0, left))
			if left > 0 || most > 100 {
				stacks := make([]byte, 1<<16)
				t.Errorf("%d goroutines at most, %d left:\n%s", most, left, stacks[:runtime.Stack(stacks, true)])
			}
		})
	}
	if tested < 5 {
		t.Errorf("tested %d sources", tested)
	}
}
