package nameserver

import (
	"context"
	"slices"
	"sync"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// change is an edit of a zone that somebody waits for.
type change struct {
	edit func(*zonedata.Draft) error // nil: to write what is not written yet
	done chan error
}

// changeQueue is the changes that wait. Those that arrive while the file is
// being written share the next write.
type changeQueue struct {
	mu      sync.Mutex
	waiting []*change
	working bool
	giveUp  context.CancelFunc // ends the wait for the lock
}

// remove takes a change back, if it still waits. When nobody waits any longer,
// nor does the zone.
func (q *changeQueue) remove(c *change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.waiting)
	q.waiting = slices.DeleteFunc(q.waiting, func(o *change) bool { return o == c })
	if len(q.waiting) == 0 && q.giveUp != nil {
		q.giveUp()
	}
	return len(q.waiting) < before
}

// take returns the changes that wait, which then can no longer be taken back.
func (q *changeQueue) take() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.waiting, q.giveUp = nil, nil
	return taken
}

// next begins another round, or ends the work.
func (q *changeQueue) next() (context.Context, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.working = false
		return nil, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.giveUp = cancel
	return ctx, true
}

func finish(changes []*change, err error) {
	for _, c := range changes {
		c.done <- err
	}
}
