package dynamicdns

import (
	"context"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	caddy.RegisterModule(&asSource{name: "as_simple_http"})
	caddy.RegisterModule(&asSource{name: "as_fritzbox"})
	caddy.RegisterModule(&asSource{name: "as_interface"})
}

// asSource takes the place of an IP source in a configuration that is shown to
// people.
type asSource struct {
	name string

	Addrs     []netip.Addr `json:"addrs,omitempty"`
	Network   netip.Prefix `json:"network,omitzero"`
	Confirmed []string     `json:"confirmed,omitempty"`
}

func (a *asSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  caddy.ModuleID("dynamic_dns.ip_sources." + a.name),
		New: func() caddy.Module { return &asSource{name: a.name} },
	}
}

func (a *asSource) GetIPs(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
	return slices.Clone(a.Addrs), nil
}

func (a *asSource) Prefix(context.Context, ipsources.IPSettings) (netip.Prefix, error) {
	return a.Network, nil
}

func (a *asSource) ConfirmedBy(netip.Addr) []string { return a.Confirmed }

// home6 is this machine's IPv6 address where devices are shown.
const home6 = "2606:2800:220:1:5054:ff:fe12:3456"

// onTheWeb takes the place of simple_http.
var onTheWeb = map[string]any{
	"source": "as_simple_http", "addrs": []string{addr1, addr6}, "confirmed": []string{"icanhazip.com", "ident.me"},
}

// TestDocsShowWhatIsSeen runs the first Caddyfile of a page at Cloudflare's
// API, and compares what stands on the page with what is then seen.
func TestDocsShowWhatIsSeen(t *testing.T) {
	for _, tc := range []struct {
		page string
		// lines is how many of the page are looked at.
		lines   int
		there   []cloudflare.Record
		sources []map[string]any
		log     bool
	}{
		// Who has a minute sees all of it.
		{page: "README.md", lines: 60, sources: []map[string]any{onTheWeb}, log: true},
		{
			page: "docs/devices.md", lines: 1000,
			sources: []map[string]any{
				{"source": "as_fritzbox", "addrs": []string{addr1}, "network": "2606:2800:220:1::/64"},
				{"source": "as_interface", "addrs": []string{home6}},
			},
		},
		{
			page: "docs/monitoring.md", lines: 1000, sources: []map[string]any{onTheWeb},
			there: []cloudflare.Record{{Type: "CNAME", Name: "www", Content: "elsewhere.example.net", TTL: 300}},
		},
	} {
		t.Run(tc.page, func(t *testing.T) {
			lines := strings.SplitAfter(readFile(t, tc.page), "\n")
			text := strings.Join(lines[:min(tc.lines, len(lines))], "")
			blocks := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(text, -1)
			block := func(language, has string) string {
				i := slices.IndexFunc(blocks, func(b []string) bool { return b[1] == language && strings.Contains(b[2], has) })
				if i < 0 {
					t.Fatalf("there is no block of %q with %q", language, has)
				}
				return blocks[i][2]
			}
			t.Setenv("CLOUDFLARE_API_TOKEN", standin.Token)
			api := cloudflare.New()
			api.Install(t)
			api.AddZone(zoneName, standin.Token)
			for _, rec := range tc.there {
				api.Add(zoneName, rec)
			}
			bubble(t, func(l *lab) {
				l.load(shownApp(t, block("caddyfile", "dynamic_dns"), tc.sources))
				l.wait(10 * time.Second)
				if tc.log {
					l.wantLines(block("", "INFO"))
				}
				status := strings.ReplaceAll(activeStatus(t).Text(false), "as_", "")
				shown := strings.TrimPrefix(block("", "default (cloudflare)"), "$ caddy dynamic-dns status\n")
				if withoutTimes(status) != withoutTimes(shown) {
					t.Errorf("the status is\n%s\nthe page shows\n%s", status, shown)
				}
			})
		})
	}
}

// wantLines looks for lines as a terminal shows them in the log.
func (l *lab) wantLines(lines string) {
	l.t.Helper()
	var got []string
	for _, line := range l.logged("info", "") {
		got = append(got, strings.ReplaceAll(sentence(line), "as_", ""))
	}
	for line := range strings.Lines(lines) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		fields := make(map[string]any)
		if len(columns) != 5 || json.Unmarshal([]byte(columns[4]), &fields) != nil {
			l.t.Fatalf("not a line of the log: %q", line)
		}
		fields["level"], fields["msg"] = strings.ToLower(columns[1]), columns[3]
		if !slices.Contains(got, sentence(fields)) {
			l.t.Errorf("shown is\n%s\nwhich is not in the log\n%s", line, strings.Join(got, "\n"))
		}
	}
}

// withoutTimes leaves out of a status how long ago things were.
func withoutTimes(status string) string {
	return regexp.MustCompile(`\b\d+[smhd]\b`).ReplaceAllString(status, "some time")
}

// shownApp adapts a Caddyfile, and returns its app with other IP sources.
func shownApp(t *testing.T, text string, sources []map[string]any) string {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps map[string]map[string]any `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	app := config.Apps["dynamic_dns"]
	app["ip_sources"], app["watch"] = sources, false
	delete(app, "heartbeat")
	result, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	return string(result)
}
