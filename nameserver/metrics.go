package nameserver

import (
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

const metricsPrefix = "caddy_nameserver_"

// collector shows what is counted. It belongs to one configuration; the counts
// outlive it.
type collector struct{ keepers []*keeper }

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(metricsPrefix+name, help, labels, nil)
}

var (
	queriesDesc     = describeMetric("queries_total", "Queries that were answered, by zone; without one for names of no zone and what is no query.", "zone", "transport", "rcode")
	limitedDesc     = describeMetric("limited_answers_total", "Answers above the limit, by what became of them: truncated, dropped.", "action")
	connectionsDesc = describeMetric("closed_connections_total", "TCP connections that were closed to make room for others.")
	transfersDesc   = describeMetric("transfers_total", "Zone transfers, by result: sent, refused.", "result")
	serialDesc      = describeMetric("zone_serial", "The serial of the zone.", "zone")
	recordsDesc     = describeMetric("zone_records", "How many records the zone has.", "zone")
	healthyDesc     = describeMetric("zone_healthy", "Whether the zone is served and its file is in order.", "zone")
	delegatedDesc   = describeMetric("zone_delegated", "Whether the parent zone says of the zone what it should, as of the last check.", "zone")
)

// registerMetrics shows the counts to whoever scrapes this configuration.
func registerMetrics(ctx caddy.Context, keepers []*keeper) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	err := registry.Register(&collector{keepers})
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (*collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queriesDesc, limitedDesc, connectionsDesc, transfersDesc, serialDesc, recordsDesc, healthyDesc, delegatedDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	collectQueries(counter, "", &counted.outside)
	counter(limitedDesc, counted.truncated.Load(), "truncated")
	counter(limitedDesc, counted.dropped.Load(), "dropped")
	counter(connectionsDesc, counted.evicted.Load())
	counter(transfersDesc, counted.transfers.Load(), "sent")
	counter(transfersDesc, counted.refused.Load(), "refused")
	for _, k := range c.keepers {
		zone := strings.TrimSuffix(k.name, ".")
		collectQueries(counter, zone, &k.queries)
		healthy := 0.0
		if s := k.served.Load(); s != nil {
			gauge(serialDesc, float64(s.SOA.Serial), zone)
			gauge(recordsDesc, float64(s.Len()), zone)
			k.mu.Lock()
			if k.failed == "" {
				healthy = 1
			}
			k.mu.Unlock()
		}
		gauge(healthyDesc, healthy, zone)
		if d := k.delegation.Load(); d != nil && d.Delegation != nil {
			right := 0.0
			if d.Right {
				right = 1
			}
			gauge(delegatedDesc, right, zone)
		}
	}
}

func collectQueries(counter func(*prometheus.Desc, uint64, ...string), zone string, counts *queryCounts) {
	for via, name := range []string{viaUDP: "udp", viaTCP: "tcp"} {
		for rcode := range maxRcode {
			n := counts[via][rcode].Load()
			if n > 0 || rcode == dns.RcodeSuccess {
				counter(queriesDesc, n, zone, name, strings.ToLower(dns.RcodeToString[rcode]))
			}
		}
	}
}

var _ prometheus.Collector = (*collector)(nil)
