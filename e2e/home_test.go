//go:build linux

// Package e2e tests the built Caddy against a real name server, in a network
// of its own.
package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

const (
	first4, second4, third4 = "93.184.216.34", "93.184.216.35", "93.184.216.36"
	first6, second6         = "2606:2800:220:1::1", "2606:2800:220:1::2"

	// soon is for what happens at once, on a machine that has much else to
	// do; nothing that waits for a timer of an hour is soon.
	soon = 10 * time.Second
	// backoff is for what a failed write delays: the first pauses are 5, 10
	// and 20 seconds.
	backoff = 45 * time.Second
)

// home is a machine with a WAN interface, wan0, whose Caddy keeps zones at
// the BIND beside it.
type home struct {
	t     *testing.T
	ns    *lab.NS
	bind  *lab.BIND
	caddy *lab.Caddy
}

// object is a JSON object.
type object = map[string]any

// newHome has everything but an address and a running Caddy.
func newHome(t *testing.T, zones ...string) *home {
	t.Helper()
	ns := lab.NewNS(t)
	lab.Link(ns, "wan0", ns, "wan0p")
	return &home{t: t, ns: ns, bind: lab.StartBIND(t, ns, zones...)}
}

// app returns the configuration of an app that follows the IPv4 address of
// wan0, and that never asks again by itself while a test runs.
func (h *home) app(domains map[string][]string) object {
	return object{
		"dns_provider": object{
			"name": "rfc2136", "server": h.bind.Addr,
			"key_name": h.bind.KeyName, "key_alg": h.bind.KeyAlg, "key": "{env.TSIG_KEY}",
		},
		"domains":        domains,
		"ip_sources":     []object{{"source": "interface", "name": "wan0"}},
		"versions":       object{"ipv6": false},
		"check_interval": "1h",
	}
}

func config(app object) object {
	return object{
		"logging": object{"logs": object{"default": object{"level": "DEBUG"}}},
		"apps":    object{"dynamic_dns": app},
	}
}

// start runs Caddy with the app.
func (h *home) start(app object, env ...string) {
	h.t.Helper()
	b, err := json.Marshal(config(app))
	if err != nil {
		h.t.Fatal(err)
	}
	h.run("config.json", string(b), env...)
}

// run runs Caddy with a configuration file, and looks for secrets in its log
// when the test is over.
func (h *home) run(name, content string, env ...string) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), name)
	lab.WriteFile(h.t, file, content)
	h.caddy = lab.StartCaddy(h.t, h.ns, file, append([]string{"TSIG_KEY=" + h.bind.Key}, env...)...)
	h.t.Cleanup(func() {
		if strings.Contains(h.caddy.Log(), h.bind.Key) {
			h.t.Error("the TSIG key is in Caddy's log")
		}
	})
}

// expect waits until the RRset holds exactly these addresses.
func (h *home) expect(within time.Duration, name, rrtype string, want ...string) {
	h.t.Helper()
	lab.EventuallyEqual(h.t, within, name+" "+rrtype, func() []string { return h.bind.Dig(name, rrtype) }, want...)
}

// settle waits until nobody has asked BIND for anything for a second.
func (h *home) settle() {
	h.t.Helper()
	count := func() [2]int { return [2]int{h.bind.Updates(), h.bind.Transfers()} }
	last, since := count(), time.Now()
	lab.Eventually(h.t, soon, "silence", func() bool {
		if now := count(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
}

// expectLog waits until a line of Caddy's log has all of these in it.
func (h *home) expectLog(within time.Duration, parts ...string) {
	h.t.Helper()
	lab.Eventually(h.t, within, "a log line with "+strings.Join(parts, ", "), func() bool {
		for line := range strings.Lines(h.caddy.Log()) {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}
