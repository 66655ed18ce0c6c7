package dynamicdns

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const metricsPrefix = "caddy_dynamic_dns_"

// counts are the counters and histograms. They outlive configurations.
type counts struct {
	checks   *prometheus.CounterVec
	changes  *prometheus.CounterVec
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// The results that are counted of calls to a provider.
const (
	resultOK    = "ok"
	resultError = "error"
)

func newCounts() *counts {
	return &counts{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "checks_total",
			Help: "Questions to IP sources, by result: ok, none (it knows no address), refused (it may not be published), error.",
		}, []string{"source", "family", "result"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "changes_total",
			Help: "Changes of DNS records that were confirmed.",
		}, []string{"zone", "provider", "type"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "provider_calls_total",
			Help: "Calls of DNS providers that ended, by result: ok, error.",
		}, []string{"provider", "method", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    metricsPrefix + "provider_call_duration_seconds",
			Help:    "How long calls of DNS providers took.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"provider", "method"}),
	}
}

// Destruct implements caddy.Destructor.
func (*counts) Destruct() error { return nil }

func (c *counts) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.checks, c.changes, c.calls, c.duration}
}

// expect creates the series of a group before anything happens: to Prometheus
// a series that appears with the value one has not increased.
func (c *counts) expect(g *group) {
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !g.enabled(f) {
			continue
		}
		for _, src := range g.detector.Sources {
			c.checks.WithLabelValues(src.Name, f.String(), string(detect.ResultOK))
		}
		for zone := range g.zones {
			c.changes.WithLabelValues(dnsname.Display(zone), g.provider.Name, f.RRType())
		}
	}
}

var (
	descInSync = prometheus.NewDesc(metricsPrefix+"zone_in_sync",
		"Whether all records of the zone are known to be as desired.", []string{"zone", "provider"}, nil)
	descVerified = prometheus.NewDesc(metricsPrefix+"zone_last_verified_timestamp_seconds",
		"When the zone's records were last read.", []string{"zone", "provider"}, nil)
	descFailures = prometheus.NewDesc(metricsPrefix+"zone_consecutive_failures",
		"Failures in a row to read or write the zone.", []string{"zone", "provider"}, nil)
	descAddress = prometheus.NewDesc(metricsPrefix+"address_info",
		"The current addresses, by group of domains.", []string{"group", "family", "address", "source"}, nil)
)

// measurer is the app, as far as the metrics are concerned.
type measurer interface {
	measure() (*counts, *status.Status)
}

// metrics collects from the app that is running, which need not be that of the
// registry's configuration: after a failed reload, the admin endpoint stays
// with the configuration that failed.
type metrics struct{}

// Describe implements prometheus.Collector.
func (metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range newCounts().collectors() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{descInSync, descVerified, descFailures, descAddress} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (metrics) Collect(ch chan<- prometheus.Metric) {
	app, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
	if err != nil {
		return
	}
	counts, shown := app.(measurer).measure()
	for _, c := range counts.collectors() {
		c.Collect(ch)
	}
	for _, g := range shown.Groups {
		for _, f := range g.Families {
			for _, addr := range f.Addresses {
				gauge(ch, descAddress, 1, g.Name, f.Family, addr.String(), f.Source)
			}
		}
	}
	for key, z := range mergeZones(shown.Zones) {
		inSync := 0.0
		if z.InSync != nil && *z.InSync {
			inSync = 1
		}
		gauge(ch, descInSync, inSync, key[:]...)
		gauge(ch, descFailures, float64(z.Failures), key[:]...)
		if !z.LastVerified.IsZero() {
			gauge(ch, descVerified, float64(z.LastVerified.Unix()), key[:]...)
		}
	}
}

// mergeZones merges zones with the same labels, which two accounts at one
// provider may have. The worse one counts.
func mergeZones(zones []status.ZoneStatus) map[[2]string]status.ZoneStatus {
	merged := make(map[[2]string]status.ZoneStatus)
	for _, z := range zones {
		key := [2]string{z.Zone, z.Provider}
		if other, ok := merged[key]; ok {
			z.InSync = status.BothInSync(z.InSync, other.InSync)
			z.Failures = max(z.Failures, other.Failures)
			if other.LastVerified.Before(z.LastVerified) {
				z.LastVerified = other.LastVerified
			}
		}
		merged[key] = z
	}
	return merged
}

func gauge(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// registerMetrics lets Caddy serve the metrics. Both the app and the admin
// endpoint call it, since either may be there without the other.
func registerMetrics(ctx caddy.Context) error {
	err := ctx.GetMetricsRegistry().Register(metrics{})
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil
	}
	return err
}

var _ prometheus.Collector = metrics{}
