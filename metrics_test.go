package dynamicdns

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// scrape returns our metrics as the running configuration serves them.
func (l *lab) scrape() string {
	l.t.Helper()
	ctx := caddy.ActiveContext()
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(ctx.GetMetricsRegistry(), promhttp.HandlerOpts{}).
		ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		l.t.Fatalf("scraping: %d %s", rec.Code, rec.Body)
	}
	var ours strings.Builder
	for line := range strings.Lines(rec.Body.String()) {
		if strings.Contains(line, observe.Prefix) {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

// sample returns the value of a series, by its name and labels as they are
// written, or -1 if there is none.
func (l *lab) sample(series string) float64 {
	l.t.Helper()
	for name, family := range l.parse(l.scrape()) {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, p := range m.GetLabel() {
				labels = append(labels, p.GetName()+"="+p.GetValue())
			}
			if series == name+"{"+strings.Join(labels, ",")+"}" {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return -1
}

func (l *lab) parse(text string) map[string]*dto.MetricFamily {
	l.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		l.t.Fatal(err)
	}
	return parsed
}

func (l *lab) wantSamples(when string, want map[string]float64) {
	l.t.Helper()
	for series, value := range want {
		if got := l.sample(observe.Prefix + series); got != value {
			l.t.Errorf("%s: %s is %v, want %v", when, series, got, value)
		}
	}
	if l.t.Failed() {
		l.t.Log(l.scrape())
	}
}

func TestMetrics(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{Latency: time.Second}, zoneName)
		l.address(addr1)
		name := z.Register()
		config := appConfig(name, `{"example.com": ["@", "www"]}`)
		zone := "{provider=" + name + ",zone=example.com}"
		changes := "changes_total{provider=" + name + ",type=A,zone=example.com}"
		calls := func(method, result string) string {
			return "provider_calls_total{method=" + method + ",provider=" + name + ",result=" + result + "}"
		}
		l.load(config)
		l.wantSamples("before the first change", map[string]float64{
			changes:               0,
			"zone_in_sync" + zone: 0,
			"zone_last_verified_timestamp_seconds" + zone: -1,
		})
		l.wait(time.Minute)
		verified := float64(time.Now().Add(-57 * time.Second).Unix())
		inSync := map[string]float64{
			changes:                            2,
			"zone_in_sync" + zone:              1,
			"zone_consecutive_failures" + zone: 0,
			"zone_last_verified_timestamp_seconds" + zone:                               verified,
			"address_info{address=" + addr1 + ",family=ipv4,group=default,source=fake}": 1,
			calls("GetRecords", "ok"):                                                   2,
			calls("SetRecords", "ok"):                                                   1,
			"provider_call_duration_seconds{method=GetRecords,provider=" + name + "}":   2,
			"checks_total{family=ipv4,result=ok,source=fake}":                           1,
			"checks_total{family=ipv6,result=ok,source=fake}":                           0,
		}
		l.wantSamples("in sync", inSync)
		if l.sample(observe.Prefix+"checks_total{family=ipv6,result=none,source=fake}") < 1 {
			t.Error("no check without an address is counted")
		}
		for range 10 {
			l.load(config)
		}
		l.wantSamples("after reloads", inSync)

		l.fail(errNetwork)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.ask(http.MethodPost, "check")
		l.wantSamples("failing", map[string]float64{
			"zone_in_sync" + zone:                                0,
			"zone_consecutive_failures" + zone:                   1,
			calls("GetRecords", "error"):                         1,
			"checks_total{family=ipv4,result=error,source=fake}": 1,
		})
		l.fail(nil)
		l.address("10.0.0.1")
		l.ask(http.MethodPost, "check")
		l.wantSamples("private address", map[string]float64{
			"checks_total{family=ipv4,result=refused,source=fake}": 1,
		})
	})
}

// TestMetricsOfOneZoneTwice: two accounts at one provider may hold names of
// the same zone, which is one series.
func TestMetricsOfOneZoneTwice(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		name := z.Register()
		l.load(`{
			"ip_sources": [{"source": "fake"}],
			"watch": false,
			"providers": [
				{"dns_provider": {"name": "` + name + `", "token": "first-token"}, "domains": {"example.com": ["a"]}},
				{"dns_provider": {"name": "` + name + `", "token": "second-token"}, "domains": {"example.com": ["b"]}}
			]
		}`)
		l.wait(time.Minute)
		zone := "{provider=" + name + ",zone=example.com}"
		l.wantSamples("both in sync", map[string]float64{"zone_in_sync" + zone: 1})
		z.Drop(zoneName, "b", "A")
		z.Put(zoneName, record("b", "CNAME", "elsewhere.example.net."))
		l.ask(http.MethodPost, "check")
		l.wantSamples("one in sync", map[string]float64{"zone_in_sync" + zone: 0})
	})
}

// TestMetricsAreConventional lints what is served with Prometheus' own
// linters.
func TestMetricsAreConventional(t *testing.T) {
	var scraped string
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		l.load(appConfig(z.Register(), `{"example.com": ["@", "www"]}`))
		l.wait(time.Minute)
		text := l.scrape()
		if n := len(l.parse(text)); n != 10 {
			t.Errorf("%d metrics, want 10:\n%s", n, text)
		}
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		scraped = text
	})
	promtool := needPromtool(t)
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scraped)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// needPromtool returns the path of Prometheus' tool, which Debian has in its
// package prometheus.
func needPromtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs promtool")
	}
	return path
}

// TestNamesAreNoLabels: names of records are no labels, for there may be
// thousands.
func TestNamesAreNoLabels(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["a-name-that-is-no-label", "b", "c", "d"]}`))
		l.wait(time.Minute)
		if text := l.scrape(); strings.Contains(text, "a-name-that-is-no-label") {
			t.Errorf("got\n%s", text)
		}
	})
}
