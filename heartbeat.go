package dynamicdns

import (
	"errors"
	"fmt"
	"net/url"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/heartbeat"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Heartbeat tells a monitoring service, such as healthchecks.io or a push
// monitor of Uptime Kuma, that all is well, by a GET request after each check;
// at most 12 a minute, of up to 10 seconds. Only the hosts of the URLs are
// logged, for the rest is a secret. Placeholders are resolved.
type Heartbeat struct {
	// What is asked after a check that found every address that was known
	// before, and after which every zone is as desired, those of the dyndns
	// handlers' clients too. Zones have 30 seconds for that.
	URL string `json:"url"`

	// What is asked after any other check, and when a zone or an address
	// begins to fail. Default: nothing is.
	FailureURL string `json:"failure_url,omitempty"`

	beat *heartbeat.Heartbeat
}

func (h *Heartbeat) provision(logger *zap.Logger) (err error) {
	h.beat = heartbeat.New()
	h.beat.Logger = logger
	if h.beat.URL, err = heartbeatURL(h.URL); err != nil {
		return fmt.Errorf("heartbeat: url: %w", err)
	}
	if h.FailureURL == "" {
		return nil
	}
	if h.beat.FailureURL, err = heartbeatURL(h.FailureURL); err != nil {
		return fmt.Errorf("heartbeat: failure_url: %w", err)
	}
	if h.beat.URL.String() == h.beat.FailureURL.String() {
		return errOneURL
	}
	return nil
}

// errOneURL does not repeat the URL, which is a secret.
var errOneURL = errors.New("heartbeat: both URLs are the same, so that a failure would look like success; write another one behind it, as in `heartbeat https://hc-ping.com/<uuid> https://hc-ping.com/<uuid>/fail`, or one alone")

func heartbeatURL(raw string) (*url.URL, error) {
	resolved, err := placeholders.Resolve(raw)
	if err != nil {
		return nil, err
	}
	return heartbeat.Parse(resolved)
}

// heartbeatState is how all is, as far as a heartbeat is concerned.
func heartbeatState(s *status.Status) heartbeat.State {
	if s.Cluster != nil && s.Cluster.CutOff != "" {
		return heartbeat.Failing
	}
	state := heartbeat.Well
	for i := range s.Groups {
		if len(s.Groups[i].Missing()) > 0 {
			return heartbeat.Failing
		}
		for _, h := range s.Groups[i].Lacking() {
			if h.State == status.StateFailing {
				return heartbeat.Failing
			}
			state = heartbeat.Settling
		}
	}
	for i := range s.Clients {
		for _, h := range s.Clients[i].Hosts {
			switch {
			case h.Reason == "":
			case h.State == status.StateFailing:
				return heartbeat.Failing
			default:
				state = heartbeat.Settling
			}
		}
	}
	for _, z := range s.Zones {
		switch z.State {
		case status.StateInSync, status.StateLeftAlone:
		case status.StatePending, status.StateUnverified:
			state = heartbeat.Settling
		default:
			return heartbeat.Failing
		}
	}
	return state
}
