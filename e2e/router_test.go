//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// behindRouter is a machine behind a router with the WAN address, whose Caddy
// keeps a zone at the BIND beside it, and asks one source.
func behindRouter(t *testing.T, wan string, source object) (*home, *lab.Router, object) {
	t.Helper()
	router := lab.StartRouter(t, wan)
	ns := lab.NewNS(t)
	router.Join(ns, "lan", 2)
	h := &home{t: t, ns: ns, bind: lab.StartBIND(t, ns, "example.test")}
	app := h.app(map[string][]string{"example.test": {"www"}})
	app["ip_sources"] = []object{source}
	return h, router, app
}

// The time from a changed WAN address of the router to the changed answer of the
// name server, with nothing that polls, while a rogue in the LAN claims to be
// the router. Not parallel, for it measures.
func TestRouterLatency(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const trials = 20
	t.Run("natpmp", func(t *testing.T) {
		h, router, app := behindRouter(t, first4, object{"source": "natpmp"})
		rogue := lab.StartRogue(t, router)
		h.start(app)
		h.expect(soon, "www.example.test", "A", first4)
		h.measure(router, trials, nil)
		if rogue.Announced() == 0 {
			t.Error("the rogue has announced nothing, so it proves nothing")
		}
	})
	t.Run("upnp", func(t *testing.T) {
		h, router, app := behindRouter(t, first4, object{"source": "upnp"})
		rogue := lab.StartRogue(t, router)
		h.start(app)
		h.expect(soon, "www.example.test", "A", first4)
		h.measure(router, trials, nil)
		if rogue.Answered() == 0 {
			t.Error("the rogue was not searched, so it proves nothing")
		}
	})
	t.Run("simple_http", func(t *testing.T) {
		h, router, app := behindRouter(t, first4, nil)
		lab.StartRogue(t, router)
		echo := lab.StartEcho(t, router.NS, lab.RouterLAN+":8443")
		echo.Answer(first4)
		app["ip_sources"] = []object{{"source": "simple_http", "endpoints": []string{echo.URL}}}
		h.start(app, lab.Trust(echo))
		h.expect(soon, "www.example.test", "A", first4)
		h.measure(router, trials, echo)
	})
}

// measure gives the router other addresses, and prints how long the name server
// took to answer with them.
func (h *home) measure(router *lab.Router, trials int, echo *lab.Echo) {
	h.t.Helper()
	addrs := []string{second4, first4}
	var took []time.Duration
	for trial := range trials {
		if echo != nil && trial > 0 {
			// Services on the web may not be asked as often as that, in one run.
			h.caddy.Stop()
			h.caddy.Start()
			h.settle()
		} else {
			time.Sleep(600*time.Millisecond + time.Duration(trial*37%100)*time.Millisecond)
		}
		to := addrs[trial%2]
		if echo != nil {
			echo.Answer(to)
		}
		begin := time.Now()
		router.SetWAN(to)
		for {
			got, err := h.bind.Lookup("www.example.test", dns.TypeA)
			if slices.Contains(got, lab.RogueAddr) {
				h.t.Fatal("the rogue is believed")
			}
			if err == nil && slices.Equal(got, []string{to}) {
				break
			}
			if time.Since(begin) > soon {
				h.t.Fatalf("trial %d: no answer with %s within %v: %q, %v", trial, to, soon, got, err)
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin).Round(100*time.Microsecond))
	}
	slices.Sort(took)
	median := (took[len(took)/2-1] + took[len(took)/2]) / 2
	h.t.Logf("WAN address change to answer, %d trials: min %v, median %v, max %v; all: %v", len(took), took[0], median, took[len(took)-1], took)
	if median > 500*time.Millisecond {
		h.t.Errorf("median %v, want 100ms, and under 500ms on a busy machine", median)
	}
}

// A router that is behind NAT itself is said to be, and once it is not, its
// address is published at once.
func TestDoubleNAT(t *testing.T) {
	t.Parallel()
	h, router, app := behindRouter(t, "10.1.2.3", object{"source": "natpmp"})
	h.start(app)
	h.expectLog(soon, "address unknown", "10.1.2.3 (double NAT)")
	h.expect(soon, "www.example.test", "A")
	router.SetWAN(first4)
	h.expect(soon, "www.example.test", "A", first4)
	router.SetWAN("100.64.1.2")
	// What is known stays.
	lab.Eventually(t, soon, "a check that finds double NAT", func() bool { return strings.Contains(h.caddy.Log(), "100.64.1.2 (double NAT)") })
	h.expect(soon, "www.example.test", "A", first4)
}
