package netmon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// TestSignals: what appears is told at once, what is gone after a moment unless
// something else comes in its place, and either again once all is quiet.
func TestSignals(t *testing.T) {
	const ms = time.Millisecond
	type change struct {
		at    time.Duration
		state string
	}
	flap := func(every time.Duration, n int) (changes []change) {
		for i := range n {
			changes = append(changes, change{time.Duration(i) * every, fmt.Sprint("A B C D E F"[:1+2*(i%6)], i)})
		}
		return changes
	}
	for _, tc := range []struct {
		name    string
		changes []change
		want    []time.Duration // nil only counts
		most    int
	}{
		{name: "an address appears", changes: []change{{0, "A B"}}, want: []time.Duration{0, 250 * ms}},
		{name: "an address is gone", changes: []change{{0, ""}}, want: []time.Duration{20 * ms, 250 * ms}},
		{name: "another one at once", changes: []change{{0, "B"}}, want: []time.Duration{0, 250 * ms}},
		{name: "another one in its place", changes: []change{{0, ""}, {5 * ms, "B"}}, want: []time.Duration{5 * ms, 255 * ms}},
		{name: "another one late", changes: []change{{0, ""}, {30 * ms, "B"}}, want: []time.Duration{20 * ms, 30 * ms, 280 * ms}},
		{name: "one after the other is gone", changes: []change{{0, "A B"}, {100 * ms, "A"}, {110 * ms, ""}}, want: []time.Duration{0, 130 * ms, 360 * ms}},
		{name: "the second of two in a row", changes: []change{{0, "A B"}, {1 * ms, "A B C"}}, want: []time.Duration{0, 1 * ms, 251 * ms}},
		{name: "nothing that matters", changes: []change{{0, "A"}, {10 * ms, "A"}}},
		{name: "without end", changes: flap(ms, 2000), most: 16 + 2000/20 + 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var system fakeSystem
				w := system.watch()
				lines := func(state string) string { return strings.Join(strings.Fields(state), "\n") }
				system.state.Store(lines("A"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				signals := w.start(ctx)
				synctest.Wait()
				began := time.Now()
				go func() {
					for _, c := range tc.changes {
						time.Sleep(time.Until(began.Add(c.at)))
						system.state.Store(lines(c.state))
						system.stirs <- nil
					}
					time.Sleep(time.Second)
					cancel()
				}()
				var got []time.Duration
				for range signals {
					got = append(got, time.Since(began))
				}
				if tc.most > 0 {
					if len(got) > tc.most || len(got) < 50 {
						t.Errorf("%d signals, want at most %d", len(got), tc.most)
					}
					if last := tc.changes[len(tc.changes)-1].at; got[len(got)-1] < last {
						t.Errorf("the last signal came at %s, before the last change", got[len(got)-1])
					}
				} else if !slices.Equal(got, tc.want) {
					t.Errorf("got signals at %v, want %v", got, tc.want)
				}
			})
		})
	}
}

// fakeSystem is what an addressWatch sees.
type fakeSystem struct {
	state     atomic.Value
	stirs     chan error // nil for an event, else how the subscription ends
	subscribe []time.Duration
	wallSkew  atomic.Int64
}

func (s *fakeSystem) watch() *addressWatch {
	began := time.Now()
	s.stirs = make(chan error)
	s.state.Store("")
	return &addressWatch{
		logger: zap.NewNop(),
		subscribe: func(ctx context.Context, changed func()) error {
			s.subscribe = append(s.subscribe, time.Since(began))
			changed()
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case err := <-s.stirs:
					if err != nil {
						return err
					}
					changed()
				}
			}
		},
		snapshot: func() (string, error) {
			if err, ok := s.state.Load().(string); ok && err == "broken" {
				return "", errors.New(err)
			}
			return s.state.Load().(string), nil
		},
		wallClock: func() time.Time { return time.Now().Add(time.Duration(s.wallSkew.Load())) },
	}
}

func TestAddressWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var system fakeSystem
		ctx, cancel := context.WithCancel(t.Context())
		events := system.watch().start(ctx)
		expect := func(why string, want bool) {
			t.Helper()
			synctest.Wait()
			select {
			case _, ok := <-events:
				if !want || !ok {
					t.Errorf("%s: unexpected event (open: %v)", why, ok)
				}
			default:
				if want {
					t.Errorf("%s: no event", why)
				}
			}
		}

		expect("at the start", false)

		system.state.Store("203.0.113.7")
		system.stirs <- nil
		expect("a new address", true)
		time.Sleep(quietTime)
		expect("a new address, once settled", true)

		system.stirs <- nil
		expect("a refreshed lifetime", false)

		system.state.Store("broken")
		system.stirs <- nil
		expect("addresses that cannot be read", true)
		time.Sleep(quietTime)
		expect("addresses that cannot be read, once settled", true)

		system.state.Store("203.0.113.8")
		system.stirs <- errors.New("lost")
		expect("a broken subscription", false)
		time.Sleep(minResubscribe)
		expect("a change while there was no subscription", true)
		time.Sleep(quietTime)
		expect("a change while there was no subscription, once settled", true)

		time.Sleep(time.Hour)
		expect("an hour without anything", false)

		system.wallSkew.Add(int64(29 * time.Second))
		time.Sleep(clockInterval)
		expect("a clock that was set right", false)

		system.wallSkew.Add(int64(8 * time.Hour))
		time.Sleep(clockInterval)
		expect("a night's sleep", true)
		time.Sleep(clockInterval)
		expect("the time after it", false)

		cancel()
		synctest.Wait()
		if _, ok := <-events; ok {
			t.Error("the channel is not closed in the end")
		}
	})
}

func TestAddressWatchResubscribes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var system fakeSystem
		ctx, cancel := context.WithCancel(t.Context())
		events := system.watch().start(ctx)
		for range 8 {
			system.stirs <- errors.New("lost")
		}
		synctest.Wait()
		time.Sleep(3 * maxResubscribe)
		system.stirs <- errors.New("lost after a good while")
		time.Sleep(minResubscribe)
		synctest.Wait()

		got := fmt.Sprint(system.subscribe)
		if want := "[0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s 5m4s]"; got != want {
			t.Errorf("subscribed at %v, want %v", got, want)
		}
		cancel()
		for range events {
		}
	})
}
