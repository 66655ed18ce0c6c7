package nameserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libdns/libdns"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

func TestRelativeTargets(t *testing.T) {
	for _, tc := range []struct{ typ, data, becomes string }{
		{"MX", "10 mail.example.org", "mail.example.org.example.test."},
		{"MX", "10 mail.example.org.", ""},
		{"MX", "10 mail", ""},
		{"CNAME", "www.example.org", "www.example.org.example.test."},
		{"cname", "@", ""},
		{"SRV", "1 2 443 sip.example.org", "sip.example.org.example.test."},
		{"HTTPS", "1 . alpn=h2", ""},
		{"HTTPS", "1 www.example.org alpn=h2", "www.example.org.example.test."},
		{"TXT", `"mail.example.org"`, ""},
		{"A", "192.0.2.1", ""},
		{"MX", "nonsense", ""},
	} {
		becomes, dotted := zonedata.RelativeTarget("example.test.", tc.typ, tc.data)
		if becomes != tc.becomes || dotted != (tc.becomes != "") {
			t.Errorf("%s %s: %q", tc.typ, tc.data, becomes)
		}
	}
}

// Who writes a record whose target lost its last dot is told what became of it,
// once.
func TestWarnsOfRelativeTargets(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	p := newProvider(t, new(Zone))
	p.logger = zap.New(core)
	for range 3 {
		if err := set(p)([]libdns.Record{libdns.MX{Name: "@", Preference: 10, Target: "mail.example.org"}}); err != nil {
			t.Fatal(err)
		}
	}
	entries := logs.All()
	if len(entries) != 1 || entries[0].ContextMap()["becomes"] != "mail.example.org.example.test." || !strings.Contains(entries[0].Message, "write a dot at its end") {
		t.Errorf("%v", entries)
	}
}

// So is who writes it in the configuration, when that is loaded.
func TestWarnsOfRelativeTargetsAtLoad(t *testing.T) {
	dir, zone := t.TempDir(), newZoneName()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {
		Records: []Record{{Name: "@", Type: "MX", Data: "10 mail.example.org"}},
	}}})
	log := filepath.Join(dir, "caddy.log")
	load(t, withDynamicDNS(t, config, dynamicFor(zone, staticSource("192.0.2.1"), "www"), log))
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(said), "write a dot at its end") || !strings.Contains(string(said), "mail.example.org."+zone+".") {
		t.Errorf("no warning:\n%s", said)
	}
}
