package dynamicdns

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

const monitoring = "examples/monitoring/"

var (
	// prefixConst matches what the metrics of a package begin with.
	prefixConst = regexp.MustCompile(`const (\w*[Pp]refix) = (observe\.Prefix \+ )?"(\w+)"`)
	metricMade  = regexp.MustCompile(`prometheus\.(?:NewDesc\(|\w+Opts\{)`)
	metricNamed = regexp.MustCompile(`(\w*[Pp]refix) ?\+ ?"(\w+)"|describeMetric\("(\w+)"|"(caddy_\w+)"`)
	metricName  = regexp.MustCompile(`caddy_(?:dynamic_dns|nameserver)_\w+`)
)

// metricsOfCode returns the names of all metrics that this module makes, as its
// source has them: some are served only where something has happened.
func metricsOfCode(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := os.ReadFile(path)
		text := string(file)
		made := len(metricMade.FindAllString(text, -1))
		if err != nil || made == 0 {
			return err
		}
		prefixes := make(map[string]string)
		for _, m := range prefixConst.FindAllStringSubmatch(text, -1) {
			prefixes[m[1]] = m[3]
			if m[2] != "" {
				prefixes[m[1]] = observe.Prefix + m[3]
			}
		}
		found := 0
		for _, m := range metricNamed.FindAllStringSubmatch(prefixConst.ReplaceAllString(text, ""), -1) {
			found++
			switch {
			case m[4] != "":
				names[m[4]] = true
			case m[3] != "":
				names[prefixes["metricsPrefix"]+m[3]] = true
			default:
				names[prefixes[m[1]]+m[2]] = true
			}
		}
		if found < made {
			t.Errorf("%s makes %d metrics, and this test finds the names of %d", path, made, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// ofHistogram makes of a series the metric that it belongs to.
func ofHistogram(names map[string]bool, series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok && names[base] {
			return base
		}
	}
	return series
}

// TestMetricsAreExplained: the page has each metric in a table, and the rules
// and the dashboard name none that does not exist.
func TestMetricsAreExplained(t *testing.T) {
	names := metricsOfCode(t)
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.loadExample(monitoring+"Caddyfile", z.Register())
		l.wait(time.Minute)
		for name := range l.parse(l.scrape()) {
			if !names[name] {
				t.Errorf("%s is served, and this test has not found it in the code", name)
			}
		}
	})
	const page = "docs/monitoring.md"
	explained := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(caddy_\\w+)` \\|.*\\| [^|]{10,} \\|$").FindAllStringSubmatch(readFile(t, page), -1) {
		explained[m[1]] = true
	}
	for name := range names {
		if !explained[name] {
			t.Errorf("%s does not explain %s", page, name)
		}
	}
	for _, file := range []string{page, monitoring + "alerts.yml", monitoring + "alerts_test.yml", monitoring + "dashboard.json"} {
		used := metricName.FindAllString(readFile(t, file), -1)
		if len(used) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range used {
			// A family of metrics is no metric.
			if !names[ofHistogram(names, name)] && !strings.HasSuffix(name, "_") {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
	}
}

// TestAlerts has Prometheus read and try the rules. For each there is a case in
// which it fires, and one in which it does not.
func TestAlerts(t *testing.T) {
	page := readFile(t, "docs/monitoring.md")
	cases := readFile(t, monitoring+"alerts_test.yml")
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, monitoring+"alerts.yml"), -1)
	if len(alerts) < 10 {
		t.Errorf("found %d alerts only", len(alerts))
	}
	for _, m := range alerts {
		if !regexp.MustCompile(`alertname: ` + m[1] + `\n +exp_alerts:`).MatchString(cases) {
			t.Errorf("%s never fires in alerts_test.yml", m[1])
		}
		if !strings.Contains(cases, "alertname: "+m[1]+"}") {
			t.Errorf("%s is nowhere expected not to fire in alerts_test.yml", m[1])
		}
		if !strings.Contains(page, "| `"+m[1]+"` |") {
			t.Errorf("%s is not in docs/monitoring.md", m[1])
		}
	}
	runPromtool(t, monitoring, "check", "rules", "alerts.yml")
	runPromtool(t, monitoring, "test", "rules", "alerts_test.yml")
}

// TestDashboardQueries has Prometheus read the dashboard's queries. The rest of
// it is checked against Grafana's schema, in internal/thirdparty/grafana.
func TestDashboardQueries(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, monitoring+"dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("the panel %q does not select the instance: %s", p.Title, target.Expr)
			}
			expr := strings.NewReplacer("$instance", ".+", "$__rate_interval", "5m").Replace(target.Expr)
			rules = append(rules, rule{fmt.Sprintf("query%d", len(rules)), expr})
		}
	}
	if len(rules) == 0 {
		t.Fatal("no queries")
	}
	// JSON is YAML, too.
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, dir, "check", "rules", "rules.yml")
}

func runPromtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(needPromtool(t), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
