package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// grace is how long a call has to notice that it is not waited for any more.
const grace = 100 * time.Millisecond

// calls are those of a storage that may hang: a folder of another machine does,
// whatever the context says. One at a time, so that they do not pile up.
type calls struct {
	mu   sync.Mutex
	busy bool
}

var errBusy = errors.New("an earlier call of the storage has not returned")

// do calls the storage and gives up waiting after a while. late, if not nil, is
// called where the call succeeds after that.
func (c *calls) do(ctx context.Context, patience time.Duration, call func(context.Context) error, late func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return errBusy
	}
	c.busy = true
	ctx, cancel := context.WithTimeout(ctx, patience)
	results, abandoned := make(chan error, 1), false
	go func() {
		defer cancel()
		err := safely(ctx, call)
		c.mu.Lock()
		c.busy = false
		results <- err
		undo := abandoned && err == nil && late != nil
		c.mu.Unlock()
		if undo {
			late()
		}
	}()
	c.mu.Unlock()
	<-ctx.Done()
	select {
	case err := <-results:
		results <- err
	case <-time.After(grace):
	}
	c.mu.Lock()
	select {
	case err := <-results:
		return err
	default:
		abandoned = true
		return fmt.Errorf("no answer of the storage within %s: %w", patience, ctx.Err())
	}
}

func safely(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the storage panicked: %v", r)
		}
	}()
	return call(ctx)
}
