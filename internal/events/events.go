// Package events emits what happens to the handlers of Caddy's events app.
package events

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
)

const (
	// handlerPatience is how long the next event waits for the handlers of
	// this one.
	handlerPatience = 5 * time.Second
	// lastPatience is how long Stop waits for the events that are left, as
	// Caddy waits for Stop.
	lastPatience = time.Second
	// MaxQueued bounds how many events wait.
	MaxQueued = 1024
	// MaxEmitting bounds how many events have handlers that are still busy.
	MaxEmitting = 16
)

// Emitter queues events and emits them in order, so that a slow handler holds
// up neither detection nor a zone. It waits until Caddy has started, because
// handlers are bound late.
type Emitter struct {
	ctx      caddy.Context
	app      *caddyevents.App
	logger   *zap.Logger
	started  chan struct{}
	queue    chan event
	emitting chan struct{}
}

type event struct {
	name string
	data map[string]any
}

// New must be called in Provision: later, the events app takes no more
// subscriptions. whenStarted is called once Caddy has started, while the
// configuration before is still running; it must not block.
func New(ctx caddy.Context, whenStarted func()) (*Emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	e := &Emitter{
		ctx:      ctx,
		app:      app.(*caddyevents.App),
		logger:   ctx.Logger(),
		started:  make(chan struct{}),
		queue:    make(chan event, MaxQueued),
		emitting: make(chan struct{}, MaxEmitting),
	}
	warnOfNames(e.app, e.logger)
	return e, e.app.On("started", &startedHandler{first: whenStarted, started: e.started})
}

// Add queues an event. It returns at once.
func (e *Emitter) Add(name string, data map[string]any) {
	select {
	case e.queue <- event{name, data}:
	default:
		e.logger.Error("losing an event, for too many wait to be handled", zap.String("event", name))
	}
}

// Run emits events until ctx ends.
func (e *Emitter) Run(ctx context.Context) {
	select {
	case <-e.started:
	case <-ctx.Done():
		return
	}
	// At the end, nobody waits for a busy handler any longer, and the events
	// that are left get a moment.
	rest, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastPatience, cancel) })()
	for {
		select {
		case ev := <-e.queue:
			if ctx.Err() == nil {
				e.emit(ctx, ev)
			} else {
				e.emit(rest, ev)
			}
		case <-ctx.Done():
			if len(e.queue) == 0 {
				return
			}
		}
	}
}

// Started is closed once Caddy has started.
func (e *Emitter) Started() <-chan struct{} { return e.started }

// emit emits one event and waits for its handlers, within reason.
func (e *Emitter) emit(ctx context.Context, ev event) {
	if !e.takeSlot(ctx) {
		e.logger.Error("losing an event, for handlers of others are still busy", zap.String("event", ev.name))
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-e.emitting }()
		defer func() {
			if r := recover(); r != nil {
				e.logger.Error("an event's handler panicked", zap.String("event", ev.name), zap.Any("panic", r))
			}
		}()
		e.app.Emit(e.ctx, ev.name, ev.data)
	}()
	timer := time.NewTimer(handlerPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		e.logger.Warn("an event's handlers take long; not waiting for them any longer",
			zap.String("event", ev.name), zap.Duration("waited", handlerPatience))
	case <-ctx.Done():
	}
}

// takeSlot waits while too many events have busy handlers.
func (e *Emitter) takeSlot(ctx context.Context) bool {
	select {
	case e.emitting <- struct{}{}:
		return true
	default:
	}
	select {
	case e.emitting <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// startedHandler closes a channel when Caddy has started. Before that it calls
// what must be done before the old configuration stops.
type startedHandler struct {
	once    sync.Once
	first   func()
	started chan struct{}
}

// Handle implements caddyevents.Handler.
func (h *startedHandler) Handle(_ context.Context, e caddy.Event) error {
	// Modules may emit an event of that name, too; Caddy's has no origin.
	if e.Origin() == nil {
		h.once.Do(func() {
			h.first()
			close(h.started)
		})
	}
	return nil
}

var _ caddyevents.Handler = (*startedHandler)(nil)
