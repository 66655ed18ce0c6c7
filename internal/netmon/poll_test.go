package netmon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// TestListenAndPoll: what is heard is passed on at once, the poll goes on below,
// and neither is left in the end.
func TestListenAndPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard, down := make(chan struct{}), errors.New("down")
		fail := make(chan error)
		listen := func(ctx context.Context, changed func()) error {
			for {
				select {
				case <-heard:
					changed()
				case err := <-fail:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		times := make(chan time.Duration, 100)
		began := time.Now()
		follow := func(ctx context.Context) <-chan error {
			ended := make(chan error, 1)
			go func() { ended <- listenAndPoll(ctx, listen, func() { times <- time.Since(began) }) }()
			return ended
		}
		expect := func(want time.Duration) {
			t.Helper()
			if got := <-times; got != want {
				t.Errorf("told after %v, want %v", got, want)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		ended := follow(ctx)
		expect(0)
		time.Sleep(3 * time.Second)
		heard <- struct{}{}
		expect(3 * time.Second)
		expect(pollInterval)
		expect(2 * pollInterval)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}

		ended = follow(t.Context())
		<-times
		fail <- down
		if err := <-ended; !errors.Is(err, down) {
			t.Errorf("got %v", err)
		}
	})
}
