package nameserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	dynamicdns "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func init() {
	caddy.RegisterModule(restlessSource{})
}

// restlessSource is an IP source that knows another address each time.
type restlessSource struct{}

var restless atomic.Uint32

func (restlessSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.restless",
		New: func() caddy.Module { return new(restlessSource) },
	}
}

func (restlessSource) GetIPs(context.Context, dynamicdns.IPSettings) ([]netip.Addr, error) {
	n := restless.Add(1)
	return []netip.Addr{netip.AddrFrom4([4]byte{8, 8, byte(n >> 8), byte(n)})}, nil
}

// restlessCount tells which address it was.
func restlessCount(ip string) uint32 {
	b := netip.MustParseAddr(ip).As4()
	return uint32(b[2])<<8 | uint32(b[3])
}

// newZoneName returns a name that no test had before: for a moment after it
// stopped, dynamic_dns may remember what it published in a zone.
func newZoneName() string { return fmt.Sprintf("zone%d.test", zoneNames.Add(1)) }

var zoneNames atomic.Uint32

// dynamicFor returns the configuration of a dynamic_dns app that keeps names
// of the zone here.
func dynamicFor(zone string, source map[string]any, names ...string) map[string]any {
	return map[string]any{
		"dns_provider":   map[string]any{"name": "nameserver"},
		"domains":        map[string]any{zone: names},
		"ip_sources":     []any{source},
		"versions":       map[string]any{"ipv6": false},
		"check_interval": "1s",
	}
}

func staticSource(ip string) map[string]any {
	return map[string]any{"source": "static", "ips": []string{ip}}
}

// withDynamicDNS adds the app, and a log, to a configuration.
func withDynamicDNS(t testing.TB, config []byte, app map[string]any, log string) []byte {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	c["apps"].(map[string]any)["dynamic_dns"] = app
	c["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"writer": map[string]any{"output": "file", "filename": log},
	}}}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addresses(t testing.TB, server, name string) (ips []string) {
	t.Helper()
	for _, rr := range ask(t, "udp", server, name, dns.TypeA).Answer {
		if a, ok := rr.(*dns.A); ok {
			ips = append(ips, a.A.String())
		}
	}
	return ips
}

func awaitAddress(t testing.TB, server, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		ips := addresses(t, server, name)
		if len(ips) == 1 && ips[0] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q, want %s", name, ips, want)
		}
	}
}

// Caddy starts its apps in no order. Either may be the first.
func TestAppsStartInAnyOrder(t *testing.T) {
	seen := make(map[bool]bool)
	for range 50 {
		dir, zone := t.TempDir(), newZoneName()
		log := filepath.Join(dir, "caddy.log")
		server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		config := configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {}}})
		t.Cleanup(func() {
			if b, _ := os.ReadFile(log); t.Failed() {
				t.Logf("Caddy's log:\n%s", b)
			}
		})
		load(t, withDynamicDNS(t, config, dynamicFor(zone, staticSource("192.0.2.1"), "@", "*"), log))
		awaitAddress(t, server, "any."+zone+".", "192.0.2.1")
		awaitAddress(t, server, zone+".", "192.0.2.1")
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if !strings.Contains(line, `"level":"info"`) && !strings.Contains(line, "admin endpoint disabled") {
				t.Error(line)
			}
		}
		started := func(msg string) int {
			i := strings.Index(string(b), `"msg":"`+msg+`"`)
			if i < 0 {
				t.Fatalf("%q is not in the log:\n%s", msg, b)
			}
			return i
		}
		seen[started("managing DNS records") < started("serving zone")] = true
		if len(seen) == 2 {
			return
		}
	}
	t.Error("dynamic_dns never started before the name server, or always: the order is not tested")
}

// A zone that this Caddy does not serve is written all the same, and the status
// says so, until this Caddy serves it.
func TestZoneThatIsNotServed(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	shown := func(served string) *status.Status {
		config := configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{served: {}}})
		load(t, withDynamicDNS(t, config, dynamicFor(zone, staticSource("192.0.2.1"), "www"), filepath.Join(dir, "caddy.log")))
		app, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			s := app.(*dynamicdns.App).Status(time.Now())
			if s.InSync != nil && *s.InSync || time.Now().After(deadline) {
				return s
			}
		}
	}
	if z := shown(zone).Zones[0]; z.Note != "" || z.State != status.StateInSync {
		t.Errorf("served: %+v", z)
	}
	s := shown(newZoneName())
	want := "this Caddy does not serve the zone; unless another one on the same storage does, write `zone " + zone + "` into the block of the global option nameserver"
	if z := s.Zones[0]; z.Note != want || z.State != status.StateInSync {
		t.Errorf("no longer served: %+v", z)
	}
	if text := s.Text(false); !strings.Contains(text, "this Caddy does not serve the zone") {
		t.Errorf("no longer served: %s", text)
	}
	if z := shown(zone).Zones[0]; z.Note != "" || z.State != status.StateInSync {
		t.Errorf("served again: %+v", z)
	}
}

// Who writes a zone that there was not is told as soon as it is served, and need
// not wait for the next attempt.
func TestZoneThatIsServedAtLast(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	app := &App{Listen: []string{fmt.Sprintf("127.0.0.1:%d", freePort(t))}, Zones: map[string]*Zone{newZoneName(): {}}}
	load(t, configFor(t, dir, app))
	told := make(chan struct{}, 1)
	p := &Provider{storage: caddy.ActiveContext().Storage()}
	defer p.NotifyChanged(zone, func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})()
	app.Zones[zone] = &Zone{}
	load(t, configFor(t, dir, app))
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("not told")
	}
}

// An editor that saves an old file puts an old address back. That is repaired
// at once, and not when the records are verified next.
func TestHandEditIsRepaired(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {}}})
	log := filepath.Join(dir, "caddy.log")
	load(t, withDynamicDNS(t, config, dynamicFor(zone, staticSource("192.0.2.1"), "www"), log))
	awaitAddress(t, server, "www."+zone+".", "192.0.2.1")
	file := filepath.Join(dir, "nameserver", zone+".zone")
	var before []byte
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(string(before), "192.0.2.1"); time.Sleep(10 * time.Millisecond) {
		if before, _ = os.ReadFile(file); time.Now().After(deadline) {
			t.Fatalf("the file does not hold the address:\n%s", before)
		}
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(before), "192.0.2.1", "192.0.2.99")), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		said, _ := os.ReadFile(log)
		if strings.Contains(string(said), "repaired drift") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not repaired:\n%s", said)
		}
	}
	awaitAddress(t, server, "www."+zone+".", "192.0.2.1")
}

// What another consumer of the provider has in the zone stays as the
// addresses change, and the addresses stay as it comes and goes.
func TestConsumersShareAZone(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	apex := zone + "."
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := func(ip string) []byte {
		app := &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {}}}
		return withDynamicDNS(t, configFor(t, dir, app), dynamicFor(zone, staticSource(ip), "@", "www", "*"), filepath.Join(dir, "caddy.log"))
	}
	names := []string{apex, "www." + apex, "any." + apex}
	texts := []libdns.Record{
		libdns.TXT{Name: "@", Text: "v=spf1 -all"},
		libdns.TXT{Name: "_acme-challenge", Text: "one"},
		libdns.TXT{Name: "_acme-challenge", Text: "two"},
		libdns.TXT{Name: "_acme-challenge.www", Text: "three"},
		libdns.TXT{Name: "www", Text: "four"},
	}
	count := func(name string) int { return len(ask(t, "udp", server, name, dns.TypeTXT).Answer) }
	p := providerAt(dir)

	load(t, config("192.0.2.1"))
	for _, name := range names {
		awaitAddress(t, server, name, "192.0.2.1")
	}
	if _, err := p.AppendRecords(t.Context(), zone, texts); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if ips := addresses(t, server, name); len(ips) != 1 || ips[0] != "192.0.2.1" {
			t.Errorf("%s beside texts: %q", name, ips)
		}
	}
	if err := caddy.Load(config("192.0.2.2"), true); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		awaitAddress(t, server, name, "192.0.2.2")
	}
	for name, want := range map[string]int{
		apex: 1, "www." + apex: 1, "any." + apex: 0,
		"_acme-challenge." + apex: 2, "_acme-challenge.www." + apex: 1,
	} {
		if got := count(name); got != want {
			t.Errorf("after the change of address there are %d texts at %s, want %d", got, name, want)
		}
	}
	if _, err := p.DeleteRecords(t.Context(), zone, texts); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if ips := addresses(t, server, name); len(ips) != 1 || ips[0] != "192.0.2.2" || count(name) != 0 {
			t.Errorf("%s without texts: %q", name, ips)
		}
	}
}

// A name below a delegation is answered by a referral, so it is told and not
// called in sync. The address of the name server there is glue, which is kept.
func TestDelegationHides(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {}}})
	load(t, config)
	if _, err := providerAt(dir).AppendRecords(t.Context(), zone, []libdns.Record{libdns.NS{Name: "sub", Target: "ns1.sub." + zone + "."}}); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "caddy.log")
	if err := caddy.Load(withDynamicDNS(t, config, dynamicFor(zone, staticSource("192.0.2.1"), "@", "www.sub", "ns1.sub"), log), true); err != nil {
		t.Fatal(err)
	}
	awaitAddress(t, server, zone+".", "192.0.2.1")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		said, _ := os.ReadFile(log)
		if strings.Contains(string(said), "hidden by the delegation of sub."+zone) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not told:\n%s", said)
		}
	}
	referral := ask(t, "udp", server, "www.sub."+zone+".", dns.TypeA)
	if len(referral.Answer) > 0 || len(referral.Extra) == 0 || !strings.Contains(fmt.Sprint(referral.Extra), "192.0.2.1") {
		t.Errorf("no referral with glue: %v", referral)
	}
	recs, err := providerAt(dir).GetRecords(t.Context(), zone)
	if err != nil || strings.Contains(fmt.Sprint(rrs(recs)), "www.sub") {
		t.Errorf("written all the same: %v, %v", rrs(recs), err)
	}
}
