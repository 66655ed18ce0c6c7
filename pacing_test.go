package dynamicdns

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

// flap changes the machine's address every second for an hour, and returns
// the last one.
func (l *lab) flap() string {
	var addr string
	for n := range 3600 {
		addr = fmt.Sprintf("93.184.%d.%d", 100+n>>8, n&255)
		l.address(addr)
		l.wait(time.Second)
	}
	return addr
}

// flapping loads an app that asks its source every second, and waits until
// all is as desired.
func (l *lab) flapping(z *standin.Zones) {
	l.t.Helper()
	l.address(addr1)
	config := appConfig(z.Register(), `{"example.com": ["www"]}`)
	l.load(`{"check_interval": "1s", "versions": {"ipv6": false},` + config[1:])
	l.wait(10 * time.Minute)
	if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr1}) {
		l.t.Fatalf("got %v at the start", got)
	}
}

// TestFlapAtRefusingProvider: whatever an address does, a provider that wants
// to be left alone is, and once it takes calls again it gets the newest value.
// The pauses are drawn at random, the same in each run.
func TestFlapAtRefusingProvider(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			realChance, realJitter := zone.Chance, jitter
			zone.Chance = func(zone.Key) func() float64 { return rand.New(rand.NewPCG(seed, 0)).Float64 }
			jitter = func(round int) func() float64 { return rand.New(rand.NewPCG(seed, uint64(round)+1)).Float64 }
			t.Cleanup(func() { zone.Chance, jitter = realChance, realJitter })
			bubble(t, flapAtRefusingProvider)
		})
	}
}

func flapAtRefusingProvider(l *lab) {
	z := standin.New(standin.Character{}, zoneName)
	l.flapping(z)
	z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errors.New("429 too many requests")} })
	before := z.Count("", "")
	last := l.flap()
	calls := z.Count("", "") - before
	l.t.Logf("%d calls of a provider that refuses, in an hour of flapping", calls)
	if calls > 60 || calls == 0 {
		l.t.Errorf("%d calls, want 1 to 60", calls)
	}
	z.Fail(nil)
	l.wait(10 * time.Minute)
	if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{last}) {
		l.t.Errorf("got %v ten minutes after the provider came back, want %s", got, last)
	}
}

// TestFlap: an address that flaps is written at once twenty times, then at a
// rate, and the newest is the one that is written last.
func TestFlap(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.flapping(z)
		before := len(z.Changes())
		last := l.flap()
		changes := len(z.Changes()) - before
		t.Logf("%d changes in an hour of flapping", changes)
		if most := 20 + 3600/15; changes > most || changes < most/2 {
			t.Errorf("%d changes, want about %d and no more", changes, most)
		}
		l.wait(15 * time.Second)
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{last}) {
			t.Errorf("got %v 15s after the last change, want %s", got, last)
		}
		if emptied := z.Emptied(zoneName); len(emptied) > 0 {
			t.Errorf("left without an address: %v", emptied)
		}
	})
}
