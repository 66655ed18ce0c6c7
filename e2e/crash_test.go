//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// crowd is 1,000 names in 10 zones.
func crowd() (zones []string, domains map[string][]string) {
	domains = make(map[string][]string)
	for z := range 10 {
		zone := fmt.Sprintf("zone%d.test", z)
		zones = append(zones, zone)
		for n := range 100 {
			domains[zone] = append(domains[zone], fmt.Sprintf("host%d", n))
		}
	}
	return zones, domains
}

// held returns how many names hold exactly this address.
func (h *home) held(domains map[string][]string, addr string) int {
	held := 0
	for zone, names := range domains {
		for _, name := range names {
			if got, err := h.bind.Lookup(name+"."+zone, dns.TypeA); err == nil && slices.Equal(got, []string{addr}) {
				held++
			}
		}
	}
	return held
}

func (h *home) expectHeld(within time.Duration, domains map[string][]string, addr string) {
	h.t.Helper()
	begin := time.Now()
	lab.Eventually(h.t, within, "1,000 names at "+addr, func() bool { return h.held(domains, addr) == 1000 })
	h.t.Logf("1,000 names in 10 zones at %s after %v", addr, time.Since(begin).Round(time.Millisecond))
}

// middle waits until a change has begun to show.
func (h *home) middle(zones []string, addr string) {
	h.t.Helper()
	lab.Eventually(h.t, soon, "one name at "+addr, func() bool {
		return slices.ContainsFunc(zones, func(zone string) bool {
			got, err := h.bind.Lookup("host0."+zone, dns.TypeA)
			return err == nil && slices.Equal(got, []string{addr})
		})
	})
}

func TestBINDKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	zones, domains := crowd()
	h := newHome(t, zones...)
	h.ns.AddAddr("wan0", first4+"/32")
	h.start(h.app(domains))
	h.expectHeld(time.Minute, domains, first4)

	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	h.middle(zones, second4)
	h.bind.Kill()
	h.bind.Start()
	t.Logf("%d of 1,000 names were right when BIND was killed", h.held(domains, second4))
	h.expectHeld(backoff, domains, second4)
}

func TestCaddyKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	zones, domains := crowd()
	h := newHome(t, zones...)
	h.ns.AddAddr("wan0", first4+"/32")
	h.start(h.app(domains))
	h.expectHeld(time.Minute, domains, first4)

	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	h.middle(zones, second4)
	h.caddy.Kill()
	t.Logf("%d of 1,000 names were right when Caddy was killed", h.held(domains, second4))
	h.caddy.Start()
	h.expectHeld(time.Minute, domains, second4)
}
