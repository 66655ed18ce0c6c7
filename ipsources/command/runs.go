package command

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// runs sees to it that there is one run at a time.
type runs struct {
	begin func() ([]netip.Addr, error)

	mu  sync.Mutex
	now *run
}

type run struct {
	began time.Time
	done  chan struct{}
	addrs []netip.Addr
	err   error
}

// outcome returns that of a run that begins now, or has begun just so.
func (r *runs) outcome(ctx context.Context) ([]netip.Addr, error) {
	for {
		current := r.current()
		taken := time.Since(current.began) <= fresh
		select {
		case <-current.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if taken {
			return current.addrs, current.err
		}
	}
}

// current returns the run that is under way, or begins one.
func (r *runs) current() *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		return r.now
	}
	current := &run{began: time.Now(), done: make(chan struct{})}
	r.now = current
	go func() {
		current.addrs, current.err = r.begin()
		r.mu.Lock()
		r.now = nil
		r.mu.Unlock()
		close(current.done)
	}()
	return current
}
