package browser

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage"
)

func init() {
	caddy.RegisterModule(new(app))
	caddy.RegisterModule(new(server))
}

// shown is what the apps answer now.
var shown struct {
	sync.Mutex
	scene  scene
	checks int
	// checked changes the scene when a check was asked for.
	checked func(*scene)
}

func show(s scene) {
	shown.Lock()
	defer shown.Unlock()
	shown.scene = s
}

func checks() int {
	shown.Lock()
	defer shown.Unlock()
	return shown.checks
}

// app stands in for dynamic_dns, and server for nameserver.
type (
	app    struct{}
	server struct{}
)

func (*app) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns", New: func() caddy.Module { return new(app) }}
}
func (*app) Start() error { return nil }
func (*app) Stop() error  { return nil }

func (*app) Status(time.Time) *status.Status {
	shown.Lock()
	defer shown.Unlock()
	return shown.scene.status
}

func (*app) Check() <-chan struct{} {
	shown.Lock()
	defer shown.Unlock()
	shown.checks++
	if shown.checked != nil {
		shown.checked(&shown.scene)
	}
	done := make(chan struct{})
	close(done)
	return done
}

func (*server) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "nameserver", New: func() caddy.Module { return new(server) }}
}
func (*server) Start() error { return nil }
func (*server) Stop() error  { return nil }

func (*server) Report() *report.Status {
	shown.Lock()
	defer shown.Unlock()
	if shown.scene.server == nil {
		return new(report.Status)
	}
	return shown.scene.server
}

// site is Caddy with the page below /status, and beside it what another site's
// page could be.
type site struct {
	t *testing.T
	// addr is where it listens.
	addr string
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.load("")
	t.Cleanup(func() {
		began := time.Now()
		_ = caddy.Stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Caddy took %s to stop", took)
		}
	})
	return s
}

// load loads Caddy, with a header so that configurations differ.
func (s *site) load(mark string) {
	s.t.Helper()
	began := time.Now()
	err := caddy.Load(fmt.Appendf(nil, `{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": "ERROR"}}},
		"apps": {
			"dynamic_dns": {}, "nameserver": {},
			"http": {"servers": {"s": {"listen": [%q], "automatic_https": {"disable": true}, "routes": [
				{"match": [{"path": ["/status*"]}], "handle": [
					{"handler": "headers", "response": {"set": {"Mark": [%q]}}},
					{"handler": "rewrite", "strip_path_prefix": "/status"},
					{"handler": "dynamic_dns_status", "allow_check": true}
				]},
				{"match": [{"path": ["/evil"]}], "handle": [
					{"handler": "static_response", "headers": {"Content-Type": ["text/html"]}, "body": %q}
				]}
			]}}}
		}
	}`, s.addr, mark, `<form id="f" method="post" action="http://`+s.addr+`/status"><button>x</button></form>`), true)
	if err != nil {
		s.t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		s.t.Errorf("Caddy took %s to load", took)
	}
}

func (s *site) url() string { return "http://" + s.addr + "/status" }
