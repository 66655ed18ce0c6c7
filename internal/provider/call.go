package provider

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	readTimeout = time.Minute
	// WriteTimeout is how long a write may take.
	WriteTimeout = 2 * time.Minute
)

// ErrAbandoned means that a call did not return by its deadline, or that it
// is no longer waited for. It may still be running.
var ErrAbandoned = errors.New("the provider did not answer in time")

// Call runs fn on a goroutine of its own, so that a provider that panics or
// ignores its context can neither crash nor hold up the caller. The returned
// channel is closed when fn has returned, which after ErrAbandoned may be
// much later. A write is not cancelled when ctx is, for a write broken off in
// the middle leaves the zone in a state that nobody desires.
func (p *Provider) Call(ctx context.Context, write bool, fn func(context.Context) error) (<-chan struct{}, error) {
	done := make(chan struct{})
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		close(done)
		return done, ctx.Err()
	}
	timeout, base := readTimeout, ctx
	if write {
		timeout, base = WriteTimeout, context.WithoutCancel(ctx)
	}
	callCtx, cancel := context.WithTimeout(base, timeout)
	// Given up, a call gives its place to others: its own zone never has more
	// than one such call of a kind.
	release := sync.OnceFunc(func() { <-p.slots })
	result := make(chan error, 1)
	go func() {
		defer close(done)
		defer release()
		defer cancel()
		result <- p.guard(callCtx, fn)
	}()
	timer := time.NewTimer(timeout + time.Second)
	defer timer.Stop()
	select {
	case err := <-result:
		<-done
		return done, err
	case <-timer.C:
		release()
		return done, fmt.Errorf("%w (%s)", ErrAbandoned, timeout)
	case <-ctx.Done():
		release()
		return done, fmt.Errorf("%w: %w", ErrAbandoned, ctx.Err())
	}
}

// question makes a call that only reads. It waits for its turn as long as for an
// answer, because of those that were given up and still run.
func (p *Provider) question(ctx context.Context, fn func(context.Context) error) error {
	timer := time.NewTimer(readTimeout)
	defer timer.Stop()
	select {
	case p.questions <- struct{}{}:
	case <-timer.C:
		return fmt.Errorf("%w (%s), nor to earlier questions", ErrAbandoned, readTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
	done, err := p.Call(ctx, false, fn)
	go func() {
		<-done
		<-p.questions
	}()
	return err
}

func (p *Provider) guard(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New(bounded(p.redact(fmt.Sprintf("the provider panicked: %v", r))))
			p.logger.Debug("DNS provider panicked",
				zap.String("provider", p.Name),
				zap.String("stack", p.redact(string(debug.Stack()))))
		}
	}()
	if err := fn(ctx); err != nil {
		// Asked here, for an error of others may panic when it is asked.
		e := &redactedError{message: bounded(p.redact(err.Error()))}
		for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
			if errors.Is(err, cause) {
				e.cause = cause
			}
		}
		return e
	}
	return nil
}

// mostText is how many bytes of an error are shown. Some have the whole page that
// a provider has answered, and each record of the status repeats it.
const mostText = 2000

// bounded cuts off a text that is too long, from which the secrets are taken out.
func bounded(text string) string {
	if len(text) <= mostText {
		return text
	}
	return strings.ToValidUTF8(text[:mostText], "") + "…"
}

// redactedError is an error of a provider with the secrets of its
// configuration taken out of the message.
type redactedError struct {
	message string
	// cause is an error of the context, if that is why. The original is never
	// given away, for its message may hold a secret.
	cause error
}

func (e *redactedError) Error() string { return e.message }

func (e *redactedError) Unwrap() error { return e.cause }
