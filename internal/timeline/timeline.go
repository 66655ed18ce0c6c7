// Package timeline remembers what happened last, over reloads and restarts.
package timeline

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const (
	// pause is the shortest time between two writes to the storage.
	pause = 10 * time.Second
	// retryAfter is when the storage is tried again after a failure.
	retryAfter = time.Minute
	// storageTimeout bounds how long a storage that heeds it may take.
	storageTimeout = 10 * time.Second
	// lastPatience bounds how long the end of Caddy waits for the storage.
	lastPatience = time.Second
)

// Timeline is what happened last. Nobody who adds to it waits for the storage,
// which one goroutine at a time reads and writes. It outlives configurations.
type Timeline struct {
	mu     sync.Mutex
	events []status.Event // the oldest first
	kept   Kept
	// name is what this Caddy is called, if it has a name of its own.
	name string
	// unkept is set while there is something to read or to write.
	unkept bool
	// failing is set once it was said that the storage fails.
	failing bool
	// keeping is closed when the goroutine ends, and nil where there is none.
	keeping chan struct{}
	ending  chan struct{}
	end     sync.Once
}

// New returns an empty timeline, which is kept in memory alone until Keep.
func New() *Timeline {
	return &Timeline{ending: make(chan struct{})}
}

// Keep has the timeline be kept from now on, as the configuration says that has
// come to run. What an earlier process has kept is read in, and the first call
// notes that this process was started.
func (t *Timeline) Keep(kept Kept, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept.Storage == nil {
		t.add(status.Event{Time: stamp(now), Name: status.EventStarted}, now)
	}
	t.kept, t.unkept = kept, true
	t.wake()
}

// Name says what this Caddy is called among those that it shares names with.
func (t *Timeline) Name(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// Add notes what happened.
func (t *Timeline) Add(e status.Event, now time.Time) {
	e = shorten(e)
	e.Time = stamp(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(e, now)
	t.unkept = true
	t.wake()
}

func (t *Timeline) add(e status.Event, now time.Time) {
	t.events = merge(t.events, []status.Event{e}, now)
}

// Events returns what happened last, the newest first.
func (t *Timeline) Events() []status.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := slices.Clone(t.events)
	slices.Reverse(events)
	return events
}

// Destruct writes what is left, and waits a moment for that.
func (t *Timeline) Destruct() error {
	t.end.Do(func() { close(t.ending) })
	t.mu.Lock()
	t.wake()
	keeping := t.keeping
	t.mu.Unlock()
	if keeping == nil {
		return nil
	}
	timer := time.NewTimer(lastPatience)
	defer timer.Stop()
	select {
	case <-keeping:
	case <-timer.C:
	}
	return nil
}

// wake starts the goroutine, if there is something to do for it.
func (t *Timeline) wake() {
	if t.keeping != nil || !t.unkept || t.kept.Storage == nil {
		return
	}
	t.keeping = make(chan struct{})
	go t.keep()
}

// keep reads and writes until nothing is left to do.
func (t *Timeline) keep() {
	for {
		ok := t.exchange()
		next := pause
		if !ok {
			next = retryAfter
		}
		// What is added meanwhile is written in one go.
		timer := time.NewTimer(next)
		ended := false
		select {
		case <-timer.C:
		case <-t.ending:
			timer.Stop()
			ended = !ok
		}
		t.mu.Lock()
		if ended || !t.unkept {
			close(t.keeping)
			t.keeping = nil
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
	}
}

// exchange reads and writes once, and reports whether that went well.
func (t *Timeline) exchange() bool {
	t.mu.Lock()
	kept, events := t.kept, slices.Clone(t.events)
	if name := t.name; name != "" {
		kept.Instance = func() string { return name }
	}
	t.unkept = false
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	stored, err := exchange(ctx, kept, events)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = merge(stored, t.events, time.Now())
	t.unkept = t.unkept || err != nil
	t.say(kept.Logger, err)
	return err == nil
}

// say logs when the storage begins to fail, and when that is over.
func (t *Timeline) say(logger *zap.Logger, err error) {
	switch {
	case err != nil && !t.failing:
		logger.Warn("cannot keep the timeline of changes in the storage; it is kept in memory, and the storage is tried again every minute", zap.Error(err))
	case err == nil && t.failing:
		logger.Info("the timeline of changes is kept in the storage again")
	}
	t.failing = err != nil
}
