package dyndns

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// adminPlan asks the admin endpoint of the dynamic_dns app for a plan.
func (b *bench) adminPlan() *status.Plan {
	b.t.Helper()
	info, err := caddy.GetModule("admin.api.dynamic_dns")
	if err != nil {
		b.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	if err := info.New().(caddy.AdminRouter).Routes()[0].Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/dynamic_dns/plan", nil)); err != nil {
		b.t.Fatal(err)
	}
	p := new(status.Plan)
	if err := json.Unmarshal(rec.Body.Bytes(), p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// filePlan runs the command with the configuration in a file.
func (b *bench) filePlan(config string) *status.Plan {
	b.t.Helper()
	dir := b.t.TempDir()
	file := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	stdout := os.Stdout
	os.Stdout = out
	defer func() { os.Stdout = stdout }()
	cmd := &cobra.Command{Use: "dynamic-dns"}
	caddycmd.Commands()["dynamic-dns"].CobraFunc(cmd)
	cmd.SetArgs([]string{"plan", "--json", "--config", file})
	_ = cmd.Execute() // It fails where something would change.
	shown, err := os.ReadFile(out.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	p := new(status.Plan)
	if err := json.Unmarshal(shown, p); err != nil {
		b.t.Fatalf("%v in %s", err, shown)
	}
	return p
}

// TestPlan: what would change of what clients have told, beside this machine's
// names or alone, in the running Caddy and from a file without one. It writes
// nothing.
func TestPlan(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprintf("beside=%t", beside), func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				wantZones := []string{"example.com", "example.net"}
				if beside {
					b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": ["own"]}, "versions": {"ipv6": false}, "watch": false, "ip_sources": [{"source": "static", "ips": [%q]}]}`, b.module, addr3)
				}
				expect := func(when string, p *status.Plan, want ...string) {
					t.Helper()
					var zones, changes []string
					for _, z := range p.Zones {
						zones = append(zones, z.Zone)
						if z.Error != "" {
							t.Errorf("%s: %s: %s", when, z.Zone, z.Error)
						}
						for _, c := range z.Changes {
							changes = append(changes, fmt.Sprintf("%s.%s %s from %s to %s by %s", c.Name, z.Zone, c.Type, c.From, c.To, c.Source))
						}
					}
					if fmt.Sprint(zones) != fmt.Sprint(wantZones) || fmt.Sprint(changes) != fmt.Sprint(want) {
						t.Errorf("%s: the zones are %q and the changes\n%q, want %q and\n%q", when, zones, changes, wantZones, want)
					}
				}
				b.load(b.config(""))
				time.Sleep(time.Minute)
				b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
				expect("in sync", b.adminPlan())
				b.z.Put(origin, record("home", "A", addr2))
				b.z.Drop(origin, "home", "A")
				b.z.Put(origin, record("home", "A", addr2))
				calls := b.z.Count(standin.Set, "")
				drift := "home.example.com A from " + addr2 + " to " + addr1 + " by home"
				expect("changed by others", b.adminPlan(), drift)
				b.stop()
				time.Sleep(time.Minute)
				expect("from a file", b.filePlan(b.json([]string{b.config("")}, "")), drift)
				time.Sleep(time.Hour)
				if n := b.z.Count(standin.Set, ""); n != calls {
					t.Errorf("%d writes", n-calls)
				}
				b.expect(origin, "home", "A", addr2)
				b.load(b.config(""))
				time.Sleep(time.Minute)
				expect("repaired", b.adminPlan())
			})
		})
	}
}
