package nameserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

func init() { caddy.RegisterModule(failingApp{}) }

// failingApp is an app whose start fails after a while.
type failingApp struct{}

func (failingApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "nameserver_test_failing", New: func() caddy.Module { return new(failingApp) }}
}

func (failingApp) Start() error {
	time.Sleep(200 * time.Millisecond)
	return errors.New("not today")
}

func (failingApp) Stop() error { return nil }

// A configuration of which another app does not start changes no zone.
func TestConfigurationThatNeverRan(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	app := &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {Records: []Record{{"www", "A", "192.0.2.1"}}}}}
	load(t, configFor(t, dir, app))
	if err := set(providerAt(dir))([]libdns.Record{address("hand", "192.0.2.7")}); err != nil {
		t.Fatal(err)
	}
	file := dir + "/nameserver/example.test.zone"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	app.Zones["example.test"].Records = []Record{{"www", "A", "192.0.2.2"}, {"hand", "CNAME", "www"}}
	app.Zones["other.test"] = &Zone{}
	var config map[string]any
	if err := json.Unmarshal(configFor(t, dir, app), &config); err != nil {
		t.Fatal(err)
	}
	config["apps"].(map[string]any)["nameserver_test_failing"] = map[string]any{}
	refused, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 { // apps start in any order
		if err := caddy.Load(refused, true); err == nil {
			t.Fatal("the configuration was taken")
		}
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("the zone file was\n%sand is\n%s", before, after)
	}
	if _, err := os.Stat(dir + "/nameserver/other.test.zone"); err == nil {
		t.Error("a zone has a file whose configuration never ran")
	}
	for name, want := range map[string]string{"www.example.test.": "192.0.2.1", "hand.example.test.": "192.0.2.7"} {
		r := ask(t, "udp", server, name, dns.TypeA)
		if len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != want {
			t.Errorf("%s: %v, want %s", name, r.Answer, want)
		}
	}
}

// What a configuration says is served when its load has returned.
func TestServedOnceLoaded(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	for i := range 5 {
		want := fmt.Sprintf("192.0.2.%d", i+1)
		load(t, configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {Records: []Record{{"www", "A", want}}}}}))
		if r := ask(t, "udp", server, "www.example.test.", dns.TypeA); len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != want {
			t.Errorf("%v, want %s", r.Answer, want)
		}
	}
}
