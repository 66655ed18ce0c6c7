package auth

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// maxHashes are how many passwords are checked at a time.
	maxHashes = 2
	// maxWaiting and maxWaitingOfNetwork limit who waits.
	maxWaiting          = 1024
	maxWaitingOfNetwork = 16
	// maxWait is less than clients wait for an answer.
	maxWait = 15 * time.Second
)

var (
	errManyWait = errors.New("too many are waiting")
	errWaited   = errors.New("no turn came in time")
)

// turns lets few pass at a time. Networks take turns, so that one that sends
// much is no delay to the others. The zero value is ready for use.
type turns struct {
	mu sync.Mutex
	// taken are those that have passed and are not done.
	taken int
	// waiting are those that wait, by network, in the order in which the
	// networks are next.
	waiting []*line
	number  int
}

// line are those of one network that wait.
type line struct {
	network netip.Prefix
	waiters []chan struct{}
}

// wait returns when it is the caller's turn, who then has to call done, or
// with an error when there will be none.
func (t *turns) wait(ctx context.Context, network netip.Prefix) error {
	turn, err := t.enter(network)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxWait, errWaited)
	defer cancel()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		if !t.leave(network, turn) {
			// The turn came at the same moment.
			t.done()
		}
		return context.Cause(ctx)
	}
}

// enter returns a channel that is closed when it is the turn.
func (t *turns) enter(network netip.Prefix) (chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := make(chan struct{})
	if t.taken < maxHashes {
		t.taken++
		close(turn)
		return turn, nil
	}
	i := t.find(network)
	if t.number >= maxWaiting || i >= 0 && len(t.waiting[i].waiters) >= maxWaitingOfNetwork {
		return nil, errManyWait
	}
	if i < 0 {
		i = len(t.waiting)
		t.waiting = append(t.waiting, &line{network: network})
	}
	t.waiting[i].waiters = append(t.waiting[i].waiters, turn)
	t.number++
	return turn, nil
}

// done gives the turn to the next network.
func (t *turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken--
		return
	}
	next := t.waiting[0]
	close(next.waiters[0])
	next.waiters = next.waiters[1:]
	t.number--
	t.waiting = t.waiting[1:]
	if len(next.waiters) > 0 {
		t.waiting = append(t.waiting, next)
	}
}

// leave takes a waiter out, and reports whether it was still there.
func (t *turns) leave(network netip.Prefix, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(network)
	if i < 0 {
		return false
	}
	l := t.waiting[i]
	j := slices.Index(l.waiters, turn)
	if j < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, j, j+1)
	t.number--
	if len(l.waiters) == 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	return true
}

func (t *turns) find(network netip.Prefix) int {
	return slices.IndexFunc(t.waiting, func(l *line) bool { return l.network == network })
}
