//go:build linux

package lab

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestBINDTakesUpdatesAndKeepsThem(t *testing.T) {
	t.Parallel()
	b := StartBIND(t, nil, "example.test", "example.net")
	for _, zone := range []string{"example.test", "example.net"} {
		EventuallyEqual(t, time.Second, "ns1."+zone, func() []string { return b.Dig("ns1."+zone, "A") }, "127.0.0.1")
	}
	if n := b.Updates(); n != 0 {
		t.Errorf("%d updates before the first", n)
	}
	b.NSUpdate("update add www.example.test. 300 A 93.184.216.34", "update add www.example.test. 300 A 93.184.216.35")
	want := []string{"93.184.216.34", "93.184.216.35"}
	www := func() []string { return b.Dig("www.example.test", "A") }
	EventuallyEqual(t, time.Second, "www.example.test", www, want...)
	if n := b.Updates(); n != 1 {
		t.Errorf("%d updates counted, want 1", n)
	}
	if ttl := b.TTL("www.example.test", dns.TypeA); ttl != 300 {
		t.Errorf("TTL %d, want 300", ttl)
	}

	b.Kill()
	if got := www(); len(got) != 0 {
		t.Errorf("dead, and yet it answers %q", got)
	}
	b.Start()
	EventuallyEqual(t, time.Second, "www.example.test after SIGKILL", www, want...)
	b.Stop()
	b.Start()
	EventuallyEqual(t, time.Second, "www.example.test after SIGTERM", www, want...)

	if got, err := b.Lookup("www.example.test", dns.TypeA); err != nil || len(got) != 2 {
		t.Errorf("Lookup: %q, %v", got, err)
	}
	if got, err := b.Lookup("nobody.example.test", dns.TypeA); err != nil || got != nil {
		t.Errorf("Lookup of a name that is not there: %q, %v", got, err)
	}

	want = []string{
		"example.test. 60 IN NS ns1.example.test.", "ns1.example.test. 60 IN A 127.0.0.1",
		"www.example.test. 300 IN A 93.184.216.34", "www.example.test. 300 IN A 93.184.216.35",
	}
	EventuallyEqual(t, time.Second, "the zone", func() []string { return b.Zone("example.test") }, want...)
	if n := b.Transfers(); n != 1 {
		t.Errorf("%d transfers counted, want 1", n)
	}
}

func TestNamespaceAddressesAndEcho(t *testing.T) {
	t.Parallel()
	home, isp := NewNS(t), NewNS(t)
	Link(home, "wan0", isp, "isp0")
	isp.AddAddr("isp0", "198.41.0.4/32")
	home.AddAddr("wan0", "93.184.216.34/32")
	home.IP("route add default dev wan0")
	isp.IP("route add default dev isp0")
	echo := StartEcho(t, isp, "198.41.0.4:443")

	ask := func() string {
		out, err := home.Run(exec.Command("curl", "-sS", "--max-time", "5", "--cacert", echo.CertFile, echo.URL))
		if err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		return strings.TrimSpace(out)
	}
	if got := ask(); got != "93.184.216.34" {
		t.Errorf("the caller's address is %s", got)
	}
	home.ReplaceAddr("wan0", "93.184.216.34/32", "93.184.216.35/32")
	home.IP("route replace default dev wan0")
	if got := ask(); got != "93.184.216.35" {
		t.Errorf("the caller's address is %s after it was replaced", got)
	}
	echo.Answer("151.101.1.69")
	if got := ask(); got != "151.101.1.69" {
		t.Errorf("the answer is %s, not the one it was told", got)
	}
	if n := echo.Asked(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestCaddyLoadsAndRestarts(t *testing.T) {
	t.Parallel()
	c := StartCaddy(t, NewNS(t), "")
	c.Load(map[string]any{"apps": map[string]any{"http": map[string]any{}}})
	if status, body := c.Admin(http.MethodGet, "/config/apps", nil); status != http.StatusOK || strings.TrimSpace(body) != `{"http":{}}` {
		t.Errorf("GET /config/apps: %d %s", status, body)
	}
	if status, body := c.Admin(http.MethodPost, "/load", map[string]any{"apps": map[string]any{"nonsense": 1}}); status != http.StatusBadRequest {
		t.Errorf("a bad config: %d %s", status, body)
	}
	c.Kill()
	c.Start()
	if !strings.Contains(c.Log(), "admin endpoint started") {
		t.Error("nothing in the log")
	}
}
