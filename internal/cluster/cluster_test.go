package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

var (
	firstSeed = flag.Uint64("histories.first", 1, "the first seed of TestHistories")
	runs      = flag.Uint64("histories.runs", defaultRuns, "how many seeds TestHistories runs")
)

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// expect waits and then compares what is published.
func (w *world) expect(after time.Duration, want ...string) {
	w.t.Helper()
	time.Sleep(after)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.dns, addrs(want...)) {
		w.t.Helper()
		w.fail("published: %v; want %v", w.dns, want)
	}
}

func (w *world) end() {
	for _, i := range w.instances {
		if i.alive() {
			i.kill()
		}
	}
}

func scenario(t *testing.T, share lease.Share, run func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.share = share
		run(w)
		w.end()
	})
}

func TestAllAreThere(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		w.start("a", "192.0.2.1")
		b := w.start("b", "192.0.2.2")
		c := w.start("c", "192.0.2.3")
		w.expect(testLease+5*time.Second, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		if w.writes > 2 {
			w.fail("%d writes to begin with", w.writes)
		}
		writes := w.writes
		b.change("moves", func() { b.addr = netip.MustParseAddr("192.0.2.22") })
		w.expect(5*time.Second, "192.0.2.1", "192.0.2.3", "192.0.2.22")
		if w.writes != writes+1 {
			w.fail("%d writes for one change", w.writes-writes)
		}
		c.stop()
		w.expect(5*time.Second, "192.0.2.1", "192.0.2.22")
		b.kill()
		w.expect(30*time.Second, "192.0.2.1")
		w.instances[0].stop()
		w.expect(time.Minute, "192.0.2.1")
	})
}

// TestSteady: what a storage that is paid by the request costs, whatever the
// number of names.
func TestSteady(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		for n := range 3 {
			w.start(string(rune('a'+n)), fmt.Sprintf("192.0.2.%d", n+1))
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		writes, before := w.writes, w.operations()
		w.mu.Unlock()
		time.Sleep(10 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.writes != writes {
			w.fail("%d writes though nothing changed", w.writes-writes)
		}
		// A store, a list and two loads each quarter of a lease.
		if each := float64(w.operations()-before) / 30; each > 65 {
			t.Errorf("%.0f storage operations a minute and instance", each)
		}
	})
}

// TestCost: with twenty instances, a thousand names cost as many operations of
// the storage as one, and the size of an entry is what examples/cluster says.
func TestCost(t *testing.T) {
	const instances = 20
	many := 1000
	if defaultRuns < 100 {
		many = 100 // the race detector makes it slow
	}
	cost := func(names int) (operations float64, size int) {
		scenario(t, lease.All, func(w *world) {
			for n := 1; n < names; n++ {
				w.names = append(w.names, fmt.Sprintf("host%d", n))
			}
			for n := range instances {
				w.start(fmt.Sprintf("i%02d", n), fmt.Sprintf("192.0.2.%d", n+1))
			}
			time.Sleep(2 * testLease)
			w.mu.Lock()
			before := w.operations()
			w.mu.Unlock()
			time.Sleep(time.Minute)
			w.mu.Lock()
			defer w.mu.Unlock()
			operations = float64(w.operations()-before) / instances
			for _, data := range w.files {
				size = max(size, len(data))
			}
		})
		return operations, size
	}
	one, small := cost(1)
	more, large := cost(many)
	t.Logf("operations a minute and instance: %.0f with one name, %.0f with %d; bytes of an entry: %d and %d", one, more, many, small, large)
	if more > one*1.02 || one < 300 || one > 350 {
		t.Errorf("%.0f operations a minute and instance with one name, %.0f with %d", one, more, many)
	}
	if each := (large - small) / (many - 1); each > 12 {
		t.Errorf("%d bytes for each name", each)
	}
}

// TestJoinTogether: those who join within 2 seconds are written together.
func TestJoinTogether(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		w.start("a", "192.0.2.1")
		w.expect(testLease+5*time.Second, "192.0.2.1")
		writes := w.writes
		w.start("b", "192.0.2.2")
		time.Sleep(time.Second)
		w.start("c", "192.0.2.3")
		time.Sleep(900 * time.Millisecond)
		w.start("d", "192.0.2.4")
		w.expect(10*time.Second, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
		if w.writes != writes+1 {
			w.fail("%d writes for three that joined at a time", w.writes-writes)
		}
	})
}

func TestFirst(t *testing.T) {
	scenario(t, lease.First, func(w *world) {
		b := w.start("b", "192.0.2.2")
		w.expect(testLease+5*time.Second, "192.0.2.2")
		// Who comes is no reason for a change.
		a := w.start("a", "192.0.2.1")
		w.expect(2*testLease, "192.0.2.2")
		b.kill()
		w.expect(30*time.Second, "192.0.2.1")
		w.start("b", "192.0.2.2")
		w.start("c", "192.0.2.3")
		w.expect(2*testLease, "192.0.2.1")
		a.kill()
		w.expect(30*time.Second, "192.0.2.2")
		if w.writes != 3 {
			w.fail("%d writes", w.writes)
		}
	})
}

func TestCutOff(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a := w.start("a", "192.0.2.1")
		w.start("b", "192.0.2.2")
		w.expect(testLease+5*time.Second, "192.0.2.1", "192.0.2.2")
		a.change("the storage fails", func() { a.failing = true })
		time.Sleep(testLease + 5*time.Second)
		a.change("moves", func() { a.addr = netip.MustParseAddr("192.0.2.11") })
		w.expect(15*time.Second, "192.0.2.2")
		if a.member.Writes(testZone) || a.member.Status().CutOff == nil {
			t.Error("it does not know that it is cut off")
		}
		writes := w.writes
		a.change("the storage is back", func() { a.failing = false })
		w.expect(10*time.Second, "192.0.2.2", "192.0.2.11")
		if w.writes != writes+1 {
			w.fail("%d writes for one return", w.writes-writes)
		}
	})
}

// TestStorageGoneForAll: when nobody can reach the storage, DNS stays.
func TestStorageGoneForAll(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a, b := w.start("a", "192.0.2.1"), w.start("b", "192.0.2.2")
		w.expect(testLease+5*time.Second, "192.0.2.1", "192.0.2.2")
		for _, i := range []*instance{a, b} {
			i.change("the storage hangs", func() { i.hanging = true })
		}
		w.expect(5*time.Minute, "192.0.2.1", "192.0.2.2")
		for _, i := range []*instance{a, b} {
			i.change("the storage is back", func() { i.hanging = false })
		}
		writes := w.writes
		w.expect(time.Minute, "192.0.2.1", "192.0.2.2")
		if w.writes != writes || len(w.writers()) != 1 {
			w.fail("%d writes, writers %q", w.writes-writes, w.writers())
		}
	})
}

// TestAnotherStorage: each sees an empty folder, as when what was mounted there
// is gone. None takes the others for gone.
func TestAnotherStorage(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a := w.start("a", "192.0.2.1")
		time.Sleep(time.Second)
		b := w.start("b", "192.0.2.2")
		time.Sleep(time.Second)
		c := w.start("c", "192.0.2.3")
		w.expect(testLease+5*time.Second, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		for _, i := range []*instance{a, b, c} {
			i.change("sees an empty folder", func() { i.elsewhen = map[string][]byte{} })
		}
		w.expect(10*time.Minute, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		w.mu.Lock()
		for _, i := range []*instance{a, b, c} {
			i.elsewhen = nil
		}
		w.mu.Unlock()
		// What is there of the others is old, and no reason to miss them.
		writes := len(w.lines)
		a.stop()
		w.expect(testLease, "192.0.2.2", "192.0.2.3")
		for _, line := range w.lines[writes:] {
			if strings.Contains(line, "writes") && !strings.Contains(line, "[192.0.2.2 192.0.2.3]") {
				w.fail("after the return: %s", line)
			}
		}
		b.change("moves", func() { b.addr = netip.MustParseAddr("192.0.2.22") })
		w.expect(time.Minute, "192.0.2.3", "192.0.2.22")
	})
}

func TestLockOutlivesItsHolder(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		w.locks[lockName] = true
		w.start("a", "192.0.2.1")
		w.start("b", "192.0.2.2")
		w.expect(3*testLease, "192.0.2.1", "192.0.2.2")
		time.Sleep(testLease)
		if writers := w.writers(); len(writers) != 1 {
			t.Errorf("writers: %q", writers)
		}
	})
}

func TestNamesakes(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a, other := w.start("a", "192.0.2.1"), w.start("a", "192.0.2.2")
		time.Sleep(2 * testLease)
		for _, i := range []*instance{a, other} {
			i.member.mu.Lock()
			said := i.member.said
			i.member.mu.Unlock()
			if said == "" {
				t.Error("one of two with the same name does not report it")
			}
		}
		if writers := w.writers(); len(writers) != 1 {
			t.Errorf("writers: %q", writers)
		}
	})
}

// TestRefused: a writer that the provider refuses hands over.
func TestRefused(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a := w.start("a", "192.0.2.1")
		w.expect(testLease+5*time.Second, "192.0.2.1")
		w.start("b", "192.0.2.2")
		w.expect(testLease, "192.0.2.1", "192.0.2.2")
		a.change("the provider refuses it", func() { a.refused = time.Now() })
		a.change("moves", func() { a.addr = netip.MustParseAddr("192.0.2.11") })
		w.expect(2*testLease, "192.0.2.2", "192.0.2.11")
		if writers := w.writers(); !slices.Equal(writers, []string{"b"}) {
			t.Errorf("writers: %q", writers)
		}
	})
}

func TestLost(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		a, b := w.start("a", "192.0.2.1"), w.start("b", "192.0.2.2")
		w.expect(testLease+5*time.Second, "192.0.2.1", "192.0.2.2")
		a.change("finds no address", func() { a.lost = true })
		w.expect(testLease+10*time.Second, "192.0.2.2")
		b.change("finds no address", func() { b.lost = true })
		w.expect(testLease+10*time.Second, "192.0.2.1", "192.0.2.2")
	})
}

// TestHistories lets things happen at random, in fake time. A seed is one
// history, whatever the machine.
func TestHistories(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*runs; seed++ {
		scenario(t, lease.Share(seed%2), func(w *world) { w.history(rand.New(rand.NewPCG(seed, 0)), seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (w *world) history(random *rand.Rand, seed uint64) {
	w.notef("seed %d", seed)
	number := 10
	fresh := func() string { number++; return fmt.Sprintf("192.0.2.%d", number) }
	names := []string{"a", "b", "c", "d", "e"}[:2+random.IntN(4)]
	running := make(map[string]*instance)
	for _, name := range names {
		if random.IntN(4) > 0 {
			running[name] = w.start(name, fresh())
		}
	}
	for range 5 + random.IntN(25) {
		time.Sleep(time.Duration(random.IntN(int(20 * time.Second))))
		name := names[random.IntN(len(names))]
		i := running[name]
		if i == nil {
			running[name] = w.start(name, fresh())
			continue
		}
		switch random.IntN(12) {
		case 0:
			i.kill()
			delete(running, name)
		case 1:
			i.stop()
			delete(running, name)
		case 2, 3, 4:
			addr := netip.MustParseAddr(fresh())
			i.change("moves to "+addr.String(), func() { i.addr = addr })
		case 5:
			i.change("storage fails or not", func() { i.failing = !i.failing })
		case 6:
			i.change("storage hangs or not", func() { i.hanging = !i.hanging })
		case 7:
			i.change("address lost or not", func() { i.lost = !i.lost })
		case 8:
			i.change("another storage or not", func() {
				if i.elsewhen != nil {
					i.elsewhen, i.deceived = nil, false
					return
				}
				i.deceived = i.well() && slices.ContainsFunc(w.instances, func(o *instance) bool { return o != i && o.well() })
				i.elsewhen = map[string][]byte{}
			})
		case 9:
			delay := time.Duration(random.IntN(int(4 * time.Second)))
			i.change("storage is slow", func() { i.delay = delay })
		case 10:
			w.mu.Lock()
			w.lossy = !w.lossy
			w.notef("locks exclude: %v", !w.lossy)
			w.mu.Unlock()
		case 11:
			i.change("refused or not", func() {
				if i.refused.IsZero() {
					i.refused = time.Now()
				} else {
					i.refused = time.Time{}
				}
			})
		}
	}
	var want []string
	for _, name := range names {
		if i := running[name]; i != nil {
			i.change("is well", func() {
				i.failing, i.hanging, i.lost, i.elsewhen, i.deceived, i.delay, i.refused = false, false, false, nil, false, 0, time.Time{}
			})
			want = append(want, i.addr.String())
		}
	}
	w.mu.Lock()
	w.lossy, w.locks[lockName] = false, false
	w.mu.Unlock()
	time.Sleep(6 * testLease)
	if len(want) == 0 {
		return
	}
	w.describe()
	if writers := w.writers(); len(writers) != 1 {
		w.fail("writers in the end: %q", writers)
	}
	if w.share == lease.All {
		slices.SortFunc(want, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) })
		w.expect(0, want...)
	} else if len(w.dns) != 1 || !slices.Contains(want, w.dns[0].String()) {
		w.fail("published: %v; want one of %v", w.dns, want)
	}
}

// TestTermsAreNeverTheSame: whoever keeps a zone must not take the term of one
// member of the process for that of another one, as after a change of its name.
func TestTermsAreNeverTheSame(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		before := w.start("a", "192.0.2.1")
		time.Sleep(2 * testLease)
		term := before.member.Term(testZone)
		before.stop()
		after := w.start("b", "192.0.2.1")
		time.Sleep(2 * testLease)
		if next := after.member.Term(testZone); term == 0 || next == 0 || next == term {
			w.fail("the terms are %d and %d", term, next)
		}
	})
}
