package reconcile

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

func TestBackoff(t *testing.T) {
	most := firstBackoff
	for count := 1; count < 100; count++ {
		if got := backoff(count, 0); got != time.Second {
			t.Errorf("after %d failures: %s at least, want 1s", count, got)
		}
		if got := backoff(count, 0.999999); got > most || got < most-time.Second {
			t.Errorf("after %d failures: %s at most, want %s", count, got, most)
		}
		if half := backoff(count, 0.5); half != (most+time.Second)/2 {
			t.Errorf("after %d failures: %s in the middle of 1s and %s", count, half, most)
		}
		most = min(2*most, 10*time.Minute)
	}
}

func TestLookPause(t *testing.T) {
	for looks, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if got := lookPause(looks); got != want {
			t.Errorf("after %d looks: %s, want %s", looks, got, want)
		}
	}
	if got := lookPause(1000); got != time.Hour {
		t.Errorf("after many looks: %s", got)
	}
}

// flapper is the machine of one RRset at a provider that does what it is
// told, or refuses all, in made-up time.
type flapper struct {
	t     *testing.T
	now   time.Time
	m     *Machine
	class plan.Class
	err   error

	// zone is what the provider holds.
	zone plan.RRset
	// wrote and called are when calls began: those that write, and all.
	wrote, called []time.Time
}

var flapKey = plan.Key{Name: "www"}

func newFlapper(t *testing.T, class plan.Class) *flapper {
	f := &flapper{t: t, now: time.Unix(1e9, 0), m: New(Habits{}), class: class}
	f.m.Step(f.now, 0.5, Claim{
		Holder: 1, Abilities: Abilities{Read: true, Set: true, Append: true, Delete: true}, VerifyEvery: time.Hour,
	})
	return f
}

// want changes what is desired to the nth address, and does what is due.
func (f *flapper) want(n int) {
	f.m.Step(f.now, 0.5, Desire{Holder: 1, Key: flapKey, Desired: &plan.Desired{
		State: plan.Set, Addrs: []netip.Addr{flapAddr(n)}, Class: f.class,
	}})
	f.work()
}

func flapAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{93, 184, byte(n >> 8), byte(n)})
}

// work does what is due now.
func (f *flapper) work() {
	for range 20 {
		action := f.m.Begin(f.now, 0.5)
		if action.Do == DoNothing {
			f.m.Reports()
			return
		}
		f.called = append(f.called, f.now)
		if action.Do != DoRead {
			f.wrote = append(f.wrote, f.now)
		}
		switch {
		case action.Do == DoRead && f.err != nil:
			f.m.Step(f.now, 0.5, Read{Err: f.err})
		case action.Do == DoRead:
			f.m.Step(f.now, 0.5, Read{Observed: plan.Observed{Sets: map[plan.Key]plan.RRset{flapKey: f.zone}}})
		case f.err != nil:
			f.m.Step(f.now, 0.5, Wrote{Err: f.err})
		case action.Do == DoSet:
			f.zone = plan.RRset{Addrs: action.Writes[0].Addrs, TTL: action.Writes[0].TTL}
			f.m.Step(f.now, 0.5, Wrote{})
		default:
			f.t.Fatalf("unexpected: %+v", action)
		}
	}
	f.t.Fatal("calls without end")
}

// wait lets time pass, second by second.
func (f *flapper) wait(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.now = f.now.Add(time.Second)
		f.work()
	}
}

func (f *flapper) holds(n int) {
	f.t.Helper()
	if want := []netip.Addr{flapAddr(n)}; !slices.Equal(f.zone.Addrs, want) {
		f.t.Errorf("the provider holds %v, want %v", f.zone.Addrs, want)
	}
}

// TestBurstThenRate: the first changes are written at once, further ones at a
// rate, and the newest value is the last one written.
func TestBurstThenRate(t *testing.T) {
	for name, test := range map[string]struct {
		class plan.Class
		burst int
		every time.Duration
	}{
		"this machine's": {plan.Own, 20, 15 * time.Second},
		"a client's":     {plan.Client, 4, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlapper(t, test.class)
			for n := range test.burst {
				f.want(n)
				f.holds(n)
			}
			f.want(1000)
			f.want(1001)
			f.holds(test.burst - 1)
			if len(f.wrote) != test.burst {
				t.Errorf("%d writes in a burst, want %d", len(f.wrote), test.burst)
			}
			// The pause is told, too, so that nobody has to ask.
			if next := f.m.Next(f.now); next.Do != DoNothing || next.Until.Sub(f.now) != test.every {
				t.Errorf("%+v after a burst, want %s", next, test.every)
			}
			f.wait(test.every - time.Second)
			f.holds(test.burst - 1)
			f.wait(time.Second)
			f.holds(1001)

			// From now on, one in each period, however often it changes.
			writes := len(f.wrote)
			for n := range int(10 * test.every / time.Second) {
				f.want(2000 + n)
				f.wait(time.Second)
			}
			if got := len(f.wrote) - writes; got != 10 {
				t.Errorf("%d writes in ten times %s", got, test.every)
			}
			last := 2000 + int(10*test.every/time.Second) - 1
			f.wait(test.every)
			f.holds(last)

			// Back to what is there costs nothing, and rest restores the burst.
			f.want(3000)
			f.holds(3000)
			writes = len(f.wrote)
			f.want(3001)
			f.want(3000)
			f.wait(time.Duration(test.burst) * test.every)
			if len(f.wrote) != writes {
				t.Errorf("%d writes for a value that came back", len(f.wrote)-writes)
			}
			for n := range test.burst {
				f.want(n)
				f.holds(n)
			}
			f.want(1000)
			f.holds(test.burst - 1)
		})
	}
}

// TestRetryIsNoChange: what was lost or refused is written again without
// regard to how often it may change.
func TestRetryIsNoChange(t *testing.T) {
	f := newFlapper(t, plan.Client)
	for n := range 4 {
		f.want(n)
	}
	for range 3 {
		f.zone = plan.RRset{Addrs: []netip.Addr{flapAddr(99)}}
		f.m.Step(f.now, 0.5, Verify{})
		f.work()
		f.holds(3)
	}
}

// TestBringForward: where a provider refuses, a changed address is tried
// before the pause is over, at most once in 30 s and ever more rarely, and
// as soon as the provider takes calls again the newest value is written.
func TestBringForward(t *testing.T) {
	f := newFlapper(t, plan.Own)
	f.want(0)
	f.holds(0)
	f.wait(time.Minute)
	f.called = nil
	f.err = errors.New("429 too many requests")
	began := f.now
	n := 0
	for range 3600 {
		n++
		f.want(n)
		f.wait(time.Second)
	}
	// A read and a write without it make an attempt.
	attempts := slices.Compact(slices.Clone(f.called))
	if len(attempts) > 30 || len(f.called) > 60 {
		t.Errorf("%d calls in %d attempts", len(f.called), len(attempts))
	}
	t.Logf("%d calls in %d attempts", len(f.called), len(attempts))
	forwarded := 0
	for i, at := range attempts[1:] {
		pause := at.Sub(attempts[i])
		regular := backoff(i+1, 0.5)
		if pause < min(regular, 30*time.Second) {
			t.Errorf("attempt %d after %s", i+2, pause)
		}
		if pause < regular-time.Second {
			forwarded++
			if least := forwardAfter << min(forwarded-1, 10); pause < least {
				t.Errorf("attempt %d was brought forward to %s, for the %d. time", i+2, pause, forwarded)
			}
		}
		if pause > MaxBackoff+time.Second {
			t.Errorf("attempt %d after %s", i+2, pause)
		}
	}
	if forwarded == 0 {
		t.Error("nothing was brought forward")
	}
	t.Logf("brought forward %d times within %s", forwarded, f.now.Sub(began))

	f.err = nil
	f.wait(MaxBackoff)
	f.holds(n)
	f.called = nil
	f.wait(30 * time.Minute)
	if len(f.called) > 0 {
		t.Errorf("%d calls once all is well", len(f.called))
	}
}

// TestBringForwardOnce: a change that comes long after the last failure is
// tried at once, and one that comes soon after it waits for 30 s.
func TestBringForwardOnce(t *testing.T) {
	for name, test := range map[string]struct{ after, want time.Duration }{
		"at once":  {0, 30 * time.Second},
		"soon":     {10 * time.Second, 20 * time.Second},
		"long ago": {2 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlapper(t, plan.Own)
			f.err = errors.New("503")
			f.want(0)
			f.wait(3 * time.Hour)
			// The attempt before was the last of many, so the next is ten
			// minutes off, or five on average.
			for f.called[len(f.called)-1] != f.now {
				f.wait(time.Second)
			}
			f.wait(test.after)
			calls := len(f.called)
			f.want(1)
			if test.want > 0 && len(f.called) != calls {
				t.Error("tried at once")
			}
			due := f.m.Next(f.now)
			if test.want > 0 && due.Until.Sub(f.now) != test.want {
				t.Errorf("due in %s, want %s", due.Until.Sub(f.now), test.want)
			}
			f.wait(test.want)
			if len(f.called) == calls {
				t.Error("not brought forward")
			}
		})
	}
}
