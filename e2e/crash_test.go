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

// killable is a program of the lab.
type killable interface {
	Kill()
	Start()
}

// killInTheMiddle changes the address, kills the program as soon as the change
// has begun to show, starts it again, and returns how many names showed the
// change in between.
func (h *home) killInTheMiddle(domains map[string][]string, from, to string, program killable) int {
	h.t.Helper()
	begin := time.Now()
	h.replaceAddr(from, to)
	for !h.begun(domains, to) {
		if time.Since(begin) > soon {
			h.t.Fatalf("no name at %s within %v", to, soon)
		}
	}
	program.Kill()
	var held int
	if program == killable(h.bind) { // the one that is asked
		program.Start()
		held = h.held(domains, to)
	} else {
		held = h.held(domains, to)
		program.Start()
	}
	h.t.Logf("%d of 1,000 names were at %s at the kill", held, to)
	return held
}

func (h *home) begun(domains map[string][]string, addr string) bool {
	for zone := range domains {
		if got, err := h.bind.Lookup("host0."+zone, dns.TypeA); err == nil && slices.Equal(got, []string{addr}) {
			return true
		}
	}
	return false
}

// killedInTheMiddle changes the address of 1,000 names and kills something
// meanwhile, until a kill came when some names were changed and some not.
func killedInTheMiddle(t *testing.T, program func(*home) killable) {
	t.Parallel()
	zones, domains := crowd()
	h := newHome(t, zones...)
	h.ns.AddAddr("wan0", first4+"/32")
	h.start(h.app(domains))
	h.expectHeld(time.Minute, domains, first4)

	addrs := []string{first4, second4}
	for round := range 20 {
		from, to := addrs[round%2], addrs[(round+1)%2]
		held := h.killInTheMiddle(domains, from, to, program(h))
		h.expectHeld(backoff, domains, to)
		if held < 1000 {
			return
		}
		h.settle()
	}
	t.Error("every name was changed at each of 20 kills: nothing was killed in the middle")
}

func TestBINDKilledInTheMiddle(t *testing.T) {
	killedInTheMiddle(t, func(h *home) killable { return h.bind })
}

func TestCaddyKilledInTheMiddle(t *testing.T) {
	killedInTheMiddle(t, func(h *home) killable { return h.caddy })
}
