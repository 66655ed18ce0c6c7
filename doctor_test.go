package dynamicdns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// TestDoctor looks at a configuration that is not running: it asks everybody,
// and writes nothing.
func TestDoctor(t *testing.T) {
	modules, path := routerModules, pathOf
	defer func() { routerModules, pathOf = modules, path }()
	routerModules = nil
	pathOf = func(f ipaddr.Family) (p doctor.Path) {
		if f == ipaddr.V4 {
			p = doctor.Path{Interface: "eth0", Local: netip.MustParseAddr(addr1)}
		}
		return p
	}
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("same", "A", addr1), record("other", "A", addr2), record("alias", "CNAME", "example.net."))
		name := z.Register()
		for _, test := range []struct {
			names   string
			running *status.Status
			verdict status.Verdict
			want    []string
		}{
			{`["same"]`, nil, status.VerdictUnknown, []string{"fake, IPv4: " + addr1, "no NAT", "the records can be read", "1 record is as desired at the provider", "this machine has no resolver"}},
			{`["same", "other"]`, nil, status.VerdictWrong, []string{"other.example.com A is " + addr2 + " at " + name, "caddy run"}},
			{`["alias"]`, nil, status.VerdictWrong, []string{"alias.example.com A: a CNAME record to example.net"}},
			{`["same"]`, &status.Status{InSync: new(false), Zones: []status.ZoneStatus{{
				Zone: "example.com", Provider: name, FailingSince: time.Now().Add(-time.Hour), LastFailure: &status.Failure{Error: "quota"},
			}}}, status.VerdictWrong, []string{"failed to keep example.com for 1 h; see below", "the running Caddy fails: quota"}},
		} {
			l.address(addr1)
			config := strings.Replace(appConfig(name, `{"example.com": `+test.names+`}`), `{`, `{"versions": {"ipv6": false}, `, 1)
			app, err := provisionOnly([]byte(`{"storage": {"module": "file_system", "root": "` + l.storage + `"}, "apps": {"dynamic_dns": ` + config + `}}`))
			if err != nil {
				t.Fatal(err)
			}
			facts := &doctor.Facts{Running: test.running, Now: time.Now()}
			if err := app.examine(l.t.Context(), nil, facts); err != nil {
				t.Fatal(err)
			}
			d := status.NewDiagnosis(facts.Now, doctor.Judge(facts))
			text := strings.Join(strings.Fields(d.Text(false)), " ")
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in\n%s", test.names, want, d.Text(false))
				}
			}
			if d.Verdict != test.verdict || strings.Contains(text, standin.Token) {
				t.Errorf("%s: %s\n%s", test.names, d.Verdict, d.Text(false))
			}
			if err := app.Cleanup(); err != nil {
				t.Error(err)
			}
		}
		l.wait(24 * time.Hour)
		if n := z.Count("", "") - z.Count(standin.Get, "") - z.Count(standin.List, ""); n > 0 {
			t.Errorf("%d calls that do not read", n)
		}
	})
}

// TestDoctorOfNamesInFull: one whose zone nobody knows is a finding, and the
// others are looked at in their zones.
func TestDoctorOfNamesInFull(t *testing.T) {
	inDNS(t)
	modules, path := routerModules, pathOf
	defer func() { routerModules, pathOf = modules, path }()
	routerModules, pathOf = nil, func(ipaddr.Family) (p doctor.Path) { return p }
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{ListsZones: true}, zoneName)
		z.Put(zoneName, record("www", "A", addr1))
		l.address(addr1)
		app, err := provisionOnly([]byte(`{"storage": {"module": "file_system", "root": "` + l.storage + `"}, "apps": {"dynamic_dns": ` +
			hostsConfig(z.Register(), `"hosts": ["www.example.com", "www.example.net"]`) + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = app.Cleanup() }()
		facts := &doctor.Facts{Now: time.Now()}
		if err := app.examine(l.t.Context(), nil, facts); err != nil {
			t.Fatal(err)
		}
		text := status.NewDiagnosis(facts.Now, doctor.Judge(facts)).Text(false)
		for _, want := range []string{"wrong        www.example.net: ", "is as desired at the provider"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	})
}

// siteApp has a dyndns handler, without the servers of a real site.
type siteApp struct {
	HandlerRaw json.RawMessage `json:"handler" caddy:"namespace=http.handlers inline_key=handler"`
}

func init() { caddy.RegisterModule(new(siteApp)) }

func (*siteApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns_test_site", New: func() caddy.Module { return new(siteApp) }}
}

func (s *siteApp) Provision(ctx caddy.Context) error {
	_, err := ctx.LoadModule(s, "HandlerRaw")
	return err
}

func (*siteApp) Start() error { return nil }
func (*siteApp) Stop() error  { return nil }

// TestDoctorOfClients looks at what clients of dyndns handlers have on record,
// beside this machine's names or alone.
func TestDoctorOfClients(t *testing.T) {
	modules, path := routerModules, pathOf
	defer func() { routerModules, pathOf = modules, path }()
	routerModules, pathOf = nil, func(ipaddr.Family) (p doctor.Path) { return p }
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName, "example.net.")
		z.Put(zoneName, record("same", "A", addr1), record("own", "A", addr1))
		hosts := filepath.Join(l.storage, "dynamic_dns", "server", "hosts")
		if err := os.MkdirAll(hosts, 0o700); err != nil {
			t.Fatal(err)
		}
		for host, addr := range map[string]string{"same.example.com": addr1, "other.example.net": addr2} {
			entry := fmt.Sprintf(`{"host": %q, "sequence": 1, "writer": "a", "user": "home", "updated": "2000-01-01T00:00:00Z", "a": {"addresses": [%q]}}`, host, addr)
			if err := os.WriteFile(filepath.Join(hosts, host+".json"), []byte(entry), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		name := z.Register()
		l.address(addr1)
		handler := `{"handler": "dyndns", "dns_provider": {"name": "` + name + `", "token": "` + standin.Token + `"}, "zones": ["example.com", "example.net"],
			"users": [{"name": "home", "password": "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "hosts": ["same.example.com", "other.example.net"]}]}`
		own := `"dynamic_dns": ` + appConfig(name, `{"example.com": ["own"]}`) + `, `
		// diagnose is with these apps besides the handler.
		diagnose := func(apps string) string {
			app, err := provisionOnly([]byte(`{"storage": {"module": "file_system", "root": "` + l.storage + `"}, "apps": {` + apps +
				`"dynamic_dns_test_site": {"handler": ` + handler + `}}}`))
			if err != nil {
				t.Fatal(err)
			}
			defer app.giveBack()
			facts := &doctor.Facts{Now: time.Now()}
			if err := app.examine(l.t.Context(), nil, facts); err != nil {
				t.Fatal(err)
			}
			return status.NewDiagnosis(facts.Now, doctor.Judge(facts)).Text(false)
		}
		for apps, right := range map[string]string{"": "1 record is as desired", own: "2 records are as desired"} {
			text := diagnose(apps)
			for _, want := range []string{"names in example.com\n  ok           " + right, "wrong        other.example.net A is none at " + name} {
				if !strings.Contains(text, want) || strings.Count(text, "\nexample.com at ") != 1 {
					t.Errorf("with %s: no %q in\n%s", apps, want, text)
				}
			}
		}
		l.wait(24 * time.Hour)
		if n := z.Count("", "") - z.Count(standin.Get, "") - z.Count(standin.List, ""); n > 0 {
			t.Errorf("%d calls that do not read", n)
		}

		server := filepath.Dir(hosts)
		for _, test := range []struct{ unread, right, said string }{
			{filepath.Join(hosts, "other.example.net.json"), "2 records are as desired", "dynamic_dns/server/hosts/other.example.net.json: "},
			{server, "1 record is as desired", "reading what is on record"},
		} {
			// A link to itself can be read by nobody, not even root.
			if err := errors.Join(os.Rename(test.unread, test.unread+".kept"), os.Symlink(test.unread, test.unread)); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(diagnose(own)), " ")
			for _, want := range []string{test.right, "names of clients cannot tell they are not looked at: " + test.said} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
		}
	})
}

// TestDoctorCommand: what is wrong with the configuration is a finding, too.
func TestDoctorCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tdynamic_dns {\n\t\tprovider standin_1\n\t\tdomains {\n\t\t\texample.com x.example.com.\n\t\t}\n\t}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(none, []byte(":8080 {\n\trespond hello\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"--config " + file, 2, "it cannot be loaded:"},
		{"--json --config " + file, 2, `"verdict": "wrong"`},
		{"--config " + none, 1, "neither dynamic_dns nor a dyndns handler; write a dynamic_dns block"},
		{"", 1, "there is no Caddyfile here; write --config"},
		{"--resolver nonsense", 1, "write one such as 9.9.9.9"},
	} {
		code, stdout, stderr := shell(t, "caddy dynamic-dns doctor --address localhost:1 "+test.line)
		if code != test.code || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("%s: exit status %d, want %d with %q, got\n%s%s", test.line, code, test.code, test.want, stdout, stderr)
		}
	}
}
