package netmon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestDebounce(t *testing.T) {
	every := func(step time.Duration, n int) (at []time.Duration) {
		for i := range n {
			at = append(at, time.Duration(i)*step)
		}
		return at
	}
	const ms = time.Millisecond
	for _, tc := range []struct {
		name         string
		events, want []time.Duration
	}{
		{"one", []time.Duration{0}, []time.Duration{5 * ms, 250 * ms}},
		{"a burst", []time.Duration{0, 1 * ms, 2 * ms, 100 * ms}, []time.Duration{5 * ms, 350 * ms}},
		{"two apart", []time.Duration{0, 10 * time.Second}, []time.Duration{5 * ms, 250 * ms, 10*time.Second + 5*ms, 10*time.Second + 250*ms}},
		{"without end", every(10*ms, 101), []time.Duration{5 * ms, 265 * ms, 525 * ms, 785 * ms, 1250 * ms}},
		{"just after it was quiet", []time.Duration{0, 251 * ms}, []time.Duration{5 * ms, 250 * ms, 501 * ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := make(chan struct{})
				began := time.Now()
				go func() {
					for _, at := range tc.events {
						time.Sleep(time.Until(began.Add(at)))
						events <- struct{}{}
					}
					time.Sleep(time.Minute)
					close(events)
				}()
				var got []time.Duration
				for range debounce(5*ms, 250*ms, events) {
					got = append(got, time.Since(began))
				}
				if !slices.Equal(got, tc.want) {
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

		system.stirs <- nil
		expect("a refreshed lifetime", false)

		system.state.Store("broken")
		system.stirs <- nil
		expect("addresses that cannot be read", true)

		system.state.Store("203.0.113.8")
		system.stirs <- errors.New("lost")
		expect("a broken subscription", false)
		time.Sleep(minResubscribe)
		expect("a change while there was no subscription", true)

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
