package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// patience is how long a delivery may take before it counts as failed. It
	// cannot be broken off, so the next one waits until it has ended or is
	// hopeless.
	patience = 30 * time.Second
	// hopeless is when a delivery that hangs is waited for no longer, which
	// happens to mostHung at a time at most.
	hopeless = 10 * time.Minute
	mostHung = 3
	// mostUnderWay is how many deliveries there are at a time, of all outboxes:
	// those that hang outlive their outbox.
	mostUnderWay = 64
	// lastPatience is how long at the end what is left is tried.
	lastPatience = 5 * time.Second
)

var (
	errSlow = fmt.Errorf("no answer within %s", patience)
	errMany = fmt.Errorf("%d messages are being sent or hang, and no more are begun", mostUnderWay)
)

// underWay are the deliveries that have not ended.
var underWay atomic.Int32

// Recipient is who gets the messages.
type Recipient interface {
	// String names the recipient without a secret.
	fmt.Stringer
	// Deliver sends a message, and returns when that is done or has failed,
	// however long it takes.
	Deliver(title, text string) error
}

// Outbox delivers messages to a recipient in the background. It outlives
// configurations. It has a goroutine only while something waits.
type Outbox struct {
	to     Recipient
	logger func() *zap.Logger
	// added tells of something new to look at.
	added chan struct{}
	// slot is taken while a delivery is under way.
	slot chan struct{}
	// hung are those that are waited for no longer.
	hung atomic.Int32
	// closed ends when no more messages come.
	closed context.Context
	close  context.CancelFunc
	// done is closed when all is delivered that can be after that.
	done chan struct{}

	mu      sync.Mutex
	queue   *queue
	running bool
	failing bool
}

// New makes an outbox. The function returns the logger of the configuration
// that is running.
func New(to Recipient, logger func() *zap.Logger) *Outbox {
	o := &Outbox{
		to: to, logger: logger, queue: newQueue(),
		added: make(chan struct{}, 1), slot: make(chan struct{}, 1), done: make(chan struct{}),
	}
	o.closed, o.close = context.WithCancel(context.Background())
	return o
}

// String names the recipient.
func (o *Outbox) String() string { return o.to.String() }

// Add takes a message about a thing. It returns at once.
func (o *Outbox) Add(thing string, m Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed.Err() != nil {
		return
	}
	if lost := o.queue.add(thing, m, time.Now()); lost {
		o.logger().Error("losing a notification, for too many wait to be sent", zap.Stringer("to", o))
	}
	if !o.running {
		o.running = true
		go o.run()
		return
	}
	select {
	case o.added <- struct{}{}:
	default:
	}
}

// Destruct implements caddy.Destructor. What is left is delivered without
// waiting for its time, as far as that can be done soon.
func (o *Outbox) Destruct() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.close()
	if !o.running {
		close(o.done)
	}
	return nil
}

// Wait waits until nothing is left of what was there when the outbox was
// closed. If it is not closed, it returns at once.
func (o *Outbox) Wait(ctx context.Context) {
	if o.closed.Err() == nil {
		return
	}
	select {
	case <-o.done:
	case <-ctx.Done():
	}
}

// Try delivers a message now, whatever else waits.
func (o *Outbox) Try(ctx context.Context, title, text string) error {
	select {
	case o.slot <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the message before is still being sent")
	}
	if ctx.Err() != nil {
		<-o.slot
		return errors.New("there was no time left")
	}
	if underWay.Add(1) > mostUnderWay {
		underWay.Add(-1)
		<-o.slot
		return errMany
	}
	sent := make(chan error, 1)
	release := sync.OnceFunc(func() { <-o.slot })
	given := time.AfterFunc(hopeless, func() {
		if o.hung.Add(1) <= mostHung {
			release()
		}
	})
	go func() {
		defer func() {
			if !given.Stop() {
				o.hung.Add(-1)
			}
			underWay.Add(-1)
			release()
		}()
		defer func() {
			if r := recover(); r != nil {
				sent <- errors.New("the service's module panicked")
			}
		}()
		sent <- o.to.Deliver(title, text)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-sent:
		return err
	case <-timer.C:
		return errSlow
	case <-ctx.Done():
		return errors.New("no answer in time")
	}
}

// run delivers until nothing waits.
func (o *Outbox) run() {
	// At the end, nobody waits for a slow recipient.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(o.closed, func() { time.AfterFunc(lastPatience, cancel) })()
	for {
		thing, m := o.take()
		if thing == "" {
			return
		}
		err := o.Try(ctx, m.Title, m.text(time.Now()))
		o.note(thing, m, err)
	}
}

// take waits for the next message whose time has come. There is none if what
// it is about is "".
func (o *Outbox) take() (thing string, m waiting) {
	for {
		o.mu.Lock()
		hurry := o.closed.Err() != nil
		if len(o.queue.waiting) == 0 {
			o.running = false
			if hurry {
				close(o.done)
			}
			o.mu.Unlock()
			return "", m
		}
		thing, m, wait := o.queue.next(time.Now(), hurry)
		o.mu.Unlock()
		if thing != "" {
			return thing, m
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-o.added:
		case <-o.closed.Done():
		}
		timer.Stop()
	}
}

// note takes in what has become of a delivery. It logs when deliveries begin to
// fail, when they no longer do, and what is lost.
func (o *Outbox) note(thing string, m waiting, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	to := zap.Stringer("to", o)
	if err == nil {
		o.queue.delivered(thing, time.Now())
		if o.failing {
			o.logger().Info("notifications can be sent again", to)
		}
		o.failing = false
		return
	}
	switch closed := o.closed.Err() != nil; {
	case closed || o.queue.failed(thing, m, time.Now()):
		o.logger().Error("losing a notification that could not be sent", to, zap.String("title", m.Title), zap.Error(err))
	case !o.failing:
		o.logger().Warn("cannot send a notification; trying again, ever more rarely", to, zap.String("title", m.Title), zap.Error(err))
	}
	o.failing = true
}
