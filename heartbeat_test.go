package dynamicdns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/beattest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/heartbeat"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestHeartbeatOfOneURL is refused, also where placeholders say so: failures
// would count as success.
func TestHeartbeatOfOneURL(t *testing.T) {
	bubble(t, func(l *lab) {
		t.Setenv("HC", "https://hc.example/0ae1")
		err := l.tryLoad(`{"dns_provider": {"name": "` + standin.New(standin.Character{}, zoneName).Register() + `"}, "domains": {"example.com": ["www"]},
			"heartbeat": {"url": "https://hc.example/0ae1", "failure_url": "{env.HC}"}}`)
		if err == nil || !strings.Contains(err.Error(), "both URLs are the same") || strings.Contains(err.Error(), "0ae1") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	bubble(t, func(l *lab) {
		service := new(beattest.Service)
		heartbeat.Transport = service
		defer func() { heartbeat.Transport = nil }()
		z := standin.New(standin.Character{}, zoneName)
		l.address("93.184.216.1")
		l.load(fmt.Sprintf(`{"dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "versions": {"ipv6": false}, "watch": false,
			"ip_sources": [{"source": "fake"}],
			"heartbeat": {"url": "https://hc.example/well", "failure_url": "https://hc.example/fail"}}`, z.Register()))
		l.wait(time.Minute)
		if got := service.Since(); got != "/well" {
			t.Errorf("after the first check: asked %q", got)
		}
		l.wait(5 * time.Minute)
		if got := service.Since(); got != "/well" {
			t.Errorf("after the second check: asked %q", got)
		}
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errors.New("down")} })
		l.address("93.184.216.2")
		l.wait(5 * time.Minute)
		if got := service.Since(); got == "" || strings.Contains(got, "/well") {
			t.Errorf("while the provider fails: asked %q", got)
		}
		z.Fail(nil)
		l.wait(20 * time.Minute)
		if got := service.Since(); !strings.HasSuffix(got, "/well") {
			t.Errorf("after the provider was back: asked %q", got)
		}
		l.fail(errors.New("no network"))
		l.wait(6 * time.Minute)
		if got := service.Since(); strings.Contains(got, "/well") || !strings.Contains(got, "/fail") {
			t.Errorf("while the address is not found: asked %q", got)
		}
	})
}
