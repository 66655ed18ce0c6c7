package dynamicdns

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/pagetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const troublePage = "docs/troubleshooting.md"

// TestTroubleAtTheProvider makes what goes wrong with the token and the zone, and
// compares what is said of it with the page.
func TestTroubleAtTheProvider(t *testing.T) {
	modules, path := routerModules, pathOf
	defer func() { routerModules, pathOf = modules, path }()
	routerModules = nil
	pathOf = func(f ipaddr.Family) (p doctor.Path) {
		if f == ipaddr.V4 {
			p = doctor.Path{Interface: "eth0", Local: netip.MustParseAddr(addr1)}
		}
		return p
	}
	for heading, test := range map[string]struct {
		has    string // the zone of the account
		token  string
		denied bool // to write
		zone   string
	}{
		"The token is not accepted":       {zoneName, "another token", false, `"example.com": ["www"]`},
		"The token may not write records": {zoneName, standin.Token, true, `"example.com": ["www"]`},
		"The zone is not found":           {zoneName, standin.Token, false, `"home.example.com": ["@", "www"]`},
	} {
		t.Run(heading, func(t *testing.T) {
			api := cloudflare.New()
			api.Install(t)
			api.AddZone(test.has, test.token)
			if test.denied {
				api.Intercept(cloudflare.ReadOnly)
			}
			bubble(t, func(l *lab) {
				l.address(addr1)
				app := strings.Replace(appConfig("cloudflare", "{"+test.zone+"}"), `"token"`, `"api_token"`, 1)
				app = strings.Replace(app, "{", `{"versions": {"ipv6": false},`, 1)
				l.load(app)
				l.wait(time.Minute)
				running, err := currentStatus(time.Now())
				if err != nil {
					t.Fatal(err)
				}
				facts := &doctor.Facts{Admin: "localhost:2019", Running: running, Now: time.Now()}
				looked, err := provisionOnly([]byte(`{"storage": {"module": "file_system", "root": "` + l.storage + `"}, "apps": {"dynamic_dns": ` + app + `}}`))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = looked.Cleanup() }()
				if err := looked.examine(l.t.Context(), nil, facts); err != nil {
					t.Fatal(err)
				}
				d := status.NewDiagnosis(facts.Now, doctor.Judge(facts))
				if d.Verdict != status.VerdictWrong {
					t.Errorf("the verdict is %s", d.Verdict)
				}
				if strings.Contains(d.Text(false)+running.Text(false), standin.Token) {
					t.Error("the token is told")
				}
				asShown := strings.NewReplacer("from fake", "from simple_http", "fake, IPv4", "simple_http, IPv4").Replace
				pagetest.Shows(t, troublePage, heading, "caddy dynamic-dns status", asShown(running.Text(false)))
				pagetest.Shows(t, troublePage, heading, "caddy dynamic-dns doctor", asShown(d.Text(false)))
			})
		})
	}
}

// TestTroubleIsMade: of all that the page shows, a test makes the case.
func TestTroubleIsMade(t *testing.T) {
	var tests string
	for _, pattern := range []string{"trouble_test.go", "e2e/trouble/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests += string(text)
		}
	}
	blocks := pagetest.Blocks(t, troublePage)
	if len(blocks) < 15 {
		t.Errorf("the page shows %d outputs only", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(tests, `"`+b.Heading+`"`) {
			t.Errorf("no test makes %q", b.Heading)
		}
	}
}
