package simplehttp

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestPauseOf(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "120", 2 * time.Minute},
		{503, " 120 ", 2 * time.Minute},
		{429, "Fri, 02 Jan 2026 04:04:05 GMT", time.Hour},
		{429, "Fri, 02 Jan 2026 03:00:00 GMT", 0},
		{429, "Sat, 02 Jan 2027 03:00:00 GMT", maxPause},
		{429, "99999999999", maxPause},
		{429, "99999999999999999999999999", maxPause},
		{429, "0", 0},
		{429, "-1", 0},
		{429, "soon", 0},
		{429, "1.5", 0},
		{429, "", 0},
		{500, "120", 0},
		{200, "120", 0},
	} {
		resp := &http.Response{StatusCode: tc.status, Header: http.Header{"Retry-After": {tc.header}}}
		if got := pauseOf(resp, now); got != tc.want {
			t.Errorf("%d with Retry-After: %s: got %s, want %s", tc.status, tc.header, got, tc.want)
		}
	}
}

// TestPausesAreKept: a service that wants to be left alone is, by whatever
// configuration, and the others are asked instead.
func TestPausesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		kept := pauses{until: make(map[string]time.Time)}
		source := func() *SimpleHTTP {
			s := &SimpleHTTP{Endpoints: []string{"https://busy.example/", "https://free.example/"}}
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			t.Cleanup(cancel)
			if err := s.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			s.services.Routable = func(netip.Addr) bool { return true }
			s.ask = kept.keep(func(_ context.Context, _ string, u *url.URL) (netip.Addr, error) {
				asked = append(asked, u.Hostname())
				if u.Hostname() == "busy.example" {
					return netip.Addr{}, &pauseError{429, time.Hour}
				}
				return netip.MustParseAddr("93.184.216.34"), nil
			})
			return s
		}
		known := []netip.Addr{netip.MustParseAddr("93.184.216.34")}
		began := time.Now()
		var busy []time.Duration
		for time.Since(began) < 3*time.Hour {
			asked = nil
			ips, err := source().GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4), Known: known})
			sourcetest.CheckIPs(t, ips, err, "93.184.216.34", "")
			if slices.Contains(asked, "busy.example") {
				busy = append(busy, time.Since(began))
			}
			time.Sleep(5 * time.Minute)
		}
		if got := fmt.Sprint(busy); got != "[0s 1h0m0s 2h0m0s]" {
			t.Errorf("asked the busy service after %s", got)
		}
	})
}

func TestServiceAsksForPause(t *testing.T) {
	c := echoServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	kept := pauses{until: make(map[string]time.Time)}
	ask := kept.keep(c.ask)
	for _, want := range []string{"status is 429, and it wants to be left alone for 2m0s", "not asked, for it wants to be left alone"} {
		_, err := ask(t.Context(), "tcp4", &url.URL{Scheme: "https", Host: "example.com", Path: "/"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
