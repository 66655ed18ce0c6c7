package nameserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// freePort returns a port of the loopback address that both UDP and TCP have
// free.
func freePort(t testing.TB) int {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		ln.Close()
		if err == nil {
			pc.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// configFor returns a configuration of Caddy with the app.
func configFor(t testing.TB, dir string, app any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}},
		"storage": map[string]any{"module": "file_system", "root": dir},
		"apps":    map[string]any{"nameserver": app},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, config []byte) {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
}

func providerAt(dir string) *Provider {
	return &Provider{storage: &certmagic.FileStorage{Path: dir}, logger: zap.NewNop()}
}

func ask(t testing.TB, network, server, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	r, _, err := (&dns.Client{Net: network, Timeout: 3 * time.Second}).Exchange(m, server)
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.TypeToString[qtype], network, err)
	}
	return r
}

func address(name, ip string) libdns.Address {
	return libdns.Address{Name: name, TTL: time.Minute, IP: netip.MustParseAddr(ip)}
}

func TestServesWhatTheProviderSets(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, dir, &App{
		Listen: []string{server},
		Zones: map[string]*Zone{"Home.Example.com": {
			Contact: "first.last@example.org",
			Records: []Record{{"www", "CNAME", "@"}},
		}},
	}))
	for _, network := range []string{"udp", "tcp"} {
		if r := ask(t, network, server, "home.example.com.", dns.TypeA); r.Rcode != 0 || len(r.Answer) != 0 || len(r.Ns) != 1 {
			t.Errorf("before any record: %v", r)
		}
	}
	p := providerAt(dir)
	if _, err := p.SetRecords(context.Background(), "home.example.com.", []libdns.Record{address("@", "203.0.113.7")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"home.example.com.", "ns1.home.example.com.", "www.home.example.com."} {
		r := ask(t, "udp", server, name, dns.TypeA)
		if len(r.Answer) == 0 || !r.Authoritative {
			t.Fatalf("%s: %v", name, r)
		}
		if a, ok := r.Answer[len(r.Answer)-1].(*dns.A); !ok || a.A.String() != "203.0.113.7" {
			t.Errorf("%s: %v", name, r.Answer)
		}
	}
	soa := ask(t, "udp", server, "home.example.com.", dns.TypeSOA).Answer[0].(*dns.SOA)
	if soa.Mbox != `first\.last.example.org.` || soa.Ns != "ns1.home.example.com." {
		t.Errorf("SOA: %v", soa)
	}
	data, err := os.ReadFile(dir + "/nameserver/home.example.com.zone")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), "@\t60\tIN\tA\t203.0.113.7\n") {
		t.Errorf("zone file:\n%s", data)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Setenv("NAMESERVER_TEST_ZONE", "Bücher.example")
	t.Setenv("NAMESERVER_TEST_ADDRESS", "192.0.2.1")
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	t.Setenv("NAMESERVER_TEST_LISTEN", server)
	load(t, configFor(t, t.TempDir(), &App{
		Listen: []string{"{env.NAMESERVER_TEST_LISTEN}"},
		Zones:  map[string]*Zone{"{env.NAMESERVER_TEST_ZONE}": {Records: []Record{{"wörld", "A", "{env.NAMESERVER_TEST_ADDRESS}"}}}},
	}))
	if r := ask(t, "udp", server, "xn--wrld-5qa.xn--bcher-kva.example.", dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("%v", r)
	}
}

func newReplacer() *caddy.Replacer { return caddy.NewReplacer() }
