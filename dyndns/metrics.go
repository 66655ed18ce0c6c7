package dyndns

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

const metricsPrefix = observe.Prefix + "server_"

// counts outlive configurations.
type counts struct {
	updates  *prometheus.CounterVec
	latency  prometheus.Histogram
	failures prometheus.Counter
}

func newCounts() *counts {
	return &counts{
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "updates_total",
			Help: "Updates that clients have sent, by the word of the answer and the family of the client.",
		}, []string{"result", "agent"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricsPrefix + "confirmation_duration_seconds",
			Help:    "How long it took until updates were confirmed in DNS.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricsPrefix + "authentication_failures_total",
			Help: "Updates with credentials that were refused.",
		}),
	}
}

// register lets Caddy serve the metrics of a configuration.
func (c *counts) register(ctx caddy.Context) error {
	for _, collector := range []prometheus.Collector{c.updates, c.latency, c.failures} {
		if err := ctx.GetMetricsRegistry().Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// clientObserver adds to events whose addresses they are about.
type clientObserver struct {
	*observe.Observer
}

// RecordsChanged implements zone.Observer.
func (o *clientObserver) RecordsChanged(zone, provider string, changes []plan.Change) {
	var clients []string
	for _, c := range changes {
		clients = append(clients, c.Source)
	}
	slices.Sort(clients)
	o.RecordsChangedBy(strings.Join(slices.Compact(clients), " "), zone, provider, changes)
}

// UpdateFailed implements zone.Observer.
func (o *clientObserver) UpdateFailed(zone, provider string, clients []string, err error, attempt int) {
	o.UpdateFailedBy(strings.Join(clients, " "), zone, provider, err, attempt)
}

// Recovered implements zone.Observer.
func (o *clientObserver) Recovered(zone, provider string, clients []string, after time.Duration) {
	o.RecoveredBy(strings.Join(clients, " "), zone, provider, after)
}
