//go:build linux

package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
)

// The time from a changed address of the interface to the changed answer of
// the name server, with nothing that polls. Not parallel, for it measures.
func TestLatency(t *testing.T) {
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	h.start(h.app(map[string][]string{"example.test": {"www"}}))
	h.expect(soon, "www.example.test", "A", first4)

	addrs := []string{first4, second4}
	var took []time.Duration
	for trial := range 20 {
		// Addresses that change often are meant to be looked at less often.
		time.Sleep(600*time.Millisecond + time.Duration(trial*37%100)*time.Millisecond)
		from, to := addrs[trial%2], addrs[(trial+1)%2]
		begin := time.Now()
		h.replaceAddr(from, to)
		for {
			got, err := h.bind.Lookup("www.example.test", dns.TypeA)
			if err == nil && slices.Equal(got, []string{to}) {
				break
			}
			if time.Since(begin) > soon {
				t.Fatalf("trial %d: no answer with %s within %v: %q, %v", trial, to, soon, got, err)
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(begin).Round(100*time.Microsecond))
	}
	slices.Sort(took)
	median := (took[9] + took[10]) / 2
	t.Logf("address change to answer, %d trials: min %v, median %v, max %v; all: %v", len(took), took[0], median, took[len(took)-1], took)
	if median >= 50*time.Millisecond {
		t.Errorf("median %v, want under 50ms", median)
	}
}

// replaceAddr does what ip(8) would do, without the time that a program takes
// to start.
func (h *home) replaceAddr(from, to string) {
	h.t.Helper()
	err := h.ns.Do(func() error {
		wan, err := netlink.LinkByName("wan0")
		if err != nil {
			return err
		}
		old, err := netlink.ParseAddr(from + "/32")
		if err != nil {
			return err
		}
		new, err := netlink.ParseAddr(to + "/32")
		if err != nil {
			return err
		}
		if err := netlink.AddrDel(wan, old); err != nil {
			return err
		}
		return netlink.AddrAdd(wan, new)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
