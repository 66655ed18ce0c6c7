package observe

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Prefix begins the names of all metrics.
const Prefix = "caddy_dynamic_dns_"

// Counts are the counters and histograms. They outlive configurations.
type Counts struct {
	Checks   *prometheus.CounterVec
	Changes  *prometheus.CounterVec
	Calls    *prometheus.CounterVec
	Duration *prometheus.HistogramVec
}

// The results that are counted of calls to a provider.
const (
	resultOK    = "ok"
	resultError = "error"
)

func newCounts() *Counts {
	return &Counts{
		Checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "checks_total",
			Help: "Questions to IP sources, by result: ok, none (it knows no address), refused (it may not be published), error.",
		}, []string{"source", "family", "result"}),
		Changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "changes_total",
			Help: "Changes of DNS records that were confirmed.",
		}, []string{"zone", "provider", "type"}),
		Calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "provider_calls_total",
			Help: "Calls of DNS providers that ended, by result: ok, error.",
		}, []string{"provider", "method", "result"}),
		Duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    Prefix + "provider_call_duration_seconds",
			Help:    "How long calls of DNS providers took.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"provider", "method"}),
	}
}

// Destruct implements caddy.Destructor.
func (*Counts) Destruct() error { return nil }

func (c *Counts) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.Checks, c.Changes, c.Calls, c.Duration}
}

var (
	descInSync = prometheus.NewDesc(Prefix+"zone_in_sync",
		"Whether all records of the zone are known to be as desired.", []string{"zone", "provider"}, nil)
	descVerified = prometheus.NewDesc(Prefix+"zone_last_verified_timestamp_seconds",
		"When the zone's records were last read.", []string{"zone", "provider"}, nil)
	descFailures = prometheus.NewDesc(Prefix+"zone_consecutive_failures",
		"Failures in a row to read or write the zone.", []string{"zone", "provider"}, nil)
	descAddress = prometheus.NewDesc(Prefix+"address_info",
		"The current addresses, by group of domains.", []string{"group", "family", "address", "source"}, nil)
	descFound = prometheus.NewDesc(Prefix+"address_found",
		"Whether the last check found an address of the family. If not, the one before stays.", []string{"group", "family"}, nil)
	descTurned = prometheus.NewDesc(Prefix+"address_found_since_timestamp_seconds",
		"Since when checks find the family, or do not.", []string{"group", "family"}, nil)
	descInstances = prometheus.NewDesc(Prefix+"instances",
		"How many of the instances that share names hold their lease, this one included.", nil, nil)
	descCutOff = prometheus.NewDesc(Prefix+"instance_cut_off",
		"Whether this instance is cut off from those that it shares names with, and writes nothing.", nil, nil)
	descWriter = prometheus.NewDesc(Prefix+"zone_writer",
		"Whether this instance writes the zone for all that share it.", []string{"zone", "provider"}, nil)
)

// Measurer is an app, as far as the metrics are concerned.
type Measurer interface {
	Measure() (*Counts, *status.Status)
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
	for _, d := range []*prometheus.Desc{descInSync, descVerified, descFailures, descAddress, descFound, descTurned, descInstances, descCutOff, descWriter} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (metrics) Collect(ch chan<- prometheus.Metric) {
	app, err := caddy.ActiveContext().AppIfConfigured("dynamic_dns")
	if err != nil {
		app, err = caddy.ActiveContext().AppIfConfigured("dyndns")
	}
	if err != nil {
		return
	}
	counts, shown := app.(Measurer).Measure()
	for _, c := range counts.collectors() {
		c.Collect(ch)
	}
	for _, g := range shown.Groups {
		for _, f := range g.Families {
			for _, addr := range f.Addresses {
				gauge(ch, descAddress, 1, g.Name, f.Family, addr.String(), f.Source)
			}
			for _, prefix := range f.Prefixes {
				gauge(ch, descAddress, 1, g.Name, f.Family, prefix, f.Source)
			}
			if f.LastCheck.IsZero() {
				continue
			}
			found, since := 1.0, f.FoundSince
			if f.Failing {
				found, since = 0, f.MissingSince
			}
			gauge(ch, descFound, found, g.Name, f.Family)
			gauge(ch, descTurned, float64(since.Unix()), g.Name, f.Family)
		}
	}
	if c := shown.Cluster; c != nil {
		collectCluster(ch, c, shown.Zones)
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

func collectCluster(ch chan<- prometheus.Metric, c *status.ClusterStatus, zones []status.ZoneStatus) {
	alive, cutOff := 0.0, 0.0
	for _, i := range c.Instances {
		if i.Alive {
			alive++
		}
	}
	if c.CutOff != "" {
		cutOff = 1
	}
	gauge(ch, descInstances, alive)
	gauge(ch, descCutOff, cutOff)
	writes := make(map[[2]string]float64)
	for _, z := range zones {
		key := [2]string{z.Zone, z.Provider}
		writes[key] = max(writes[key], 0)
		if z.Writer == c.Instance {
			writes[key] = 1
		}
	}
	for key, value := range writes {
		gauge(ch, descWriter, value, key[:]...)
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

// Register lets Caddy serve the metrics. Both the app and the admin
// endpoint call it, since either may be there without the other.
func Register(ctx caddy.Context) error {
	err := ctx.GetMetricsRegistry().Register(metrics{})
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil
	}
	return err
}

var _ prometheus.Collector = metrics{}
