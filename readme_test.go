package dynamicdns

import (
	"encoding/json"
	"maps"
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
)

func init() {
	caddy.RegisterModule(new(vouchedSource))
}

// vouchedSource is an IP source whose addresses services have confirmed.
type vouchedSource struct{ fakeSource }

func (*vouchedSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.vouched", New: func() caddy.Module { return new(vouchedSource) }}
}

func (*vouchedSource) ConfirmedBy(netip.Addr) []string { return []string{"icanhazip.com", "ident.me"} }

// fenced matches a block of code, with its language and text.
var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// TestREADMEShowsWhatIsSeen runs the first Caddyfile of the README, at
// Cloudflare's API, and compares the log and the status that stand below it.
func TestREADMEShowsWhatIsSeen(t *testing.T) {
	// Who has a minute sees all of it.
	top := strings.Join(strings.SplitAfter(readFile(t, "README.md"), "\n")[:60], "")
	blocks := fenced.FindAllStringSubmatch(top, -1)
	at := slices.IndexFunc(blocks, func(b []string) bool { return b[1] == "caddyfile" })
	if at < 0 || len(blocks) < at+3 {
		t.Fatalf("the first 60 lines have the blocks %q", blocks)
	}
	config, log, shown := blocks[at][2], blocks[at+1][2], blocks[at+2][2]
	t.Setenv("CLOUDFLARE_API_TOKEN", standin.Token)
	api := cloudflare.New()
	api.Install(t)
	api.AddZone(zoneName, standin.Token)
	bubble(t, func(l *lab) {
		l.address(addr1, addr6)
		l.load(firstApp(t, config))
		l.wait(10 * time.Second)
		var got, want []string
		for _, line := range l.logged("info", "") {
			got = append(got, strings.ReplaceAll(sentence(line), "vouched", "simple_http"))
		}
		for line := range strings.Lines(log) {
			want = append(want, sentence(ofTerminal(t, line)))
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("the README shows\n%s\nwhich is not in the log\n%s", line, strings.Join(got, "\n"))
			}
		}
		status := strings.ReplaceAll(activeStatus(t).Text(false), "vouched", "simple_http")
		if withoutTimes(status) != withoutTimes(shown) {
			t.Errorf("the status is\n%s\nthe README shows\n%s", status, shown)
		}
	})
}

// withoutTimes leaves out of a status how long ago things were.
func withoutTimes(status string) string {
	return regexp.MustCompile(`\b\d+[smhd]\b`).ReplaceAllString(status, "some time")
}

// firstApp adapts a Caddyfile, and returns its app with an IP source of the lab.
func firstApp(t *testing.T, text string) string {
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
	maps.Copy(app, map[string]any{"ip_sources": []map[string]any{{"source": "vouched"}}, "watch": false})
	result, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	return string(result)
}

// ofTerminal makes of a line of the log, as a terminal shows it, what the log
// has as JSON.
func ofTerminal(t *testing.T, line string) map[string]any {
	t.Helper()
	columns := strings.Split(strings.TrimSpace(line), "\t")
	if len(columns) != 5 {
		t.Fatalf("not a line of the log: %q", line)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(columns[4]), &fields); err != nil {
		t.Fatal(err)
	}
	fields["level"], fields["msg"] = strings.ToLower(columns[1]), columns[3]
	return fields
}
