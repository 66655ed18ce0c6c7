package detect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// sourceTimeout bounds one question to one source, for those that do not bound
// themselves.
const sourceTimeout = time.Minute

// Source is one IP source of a detector.
type Source struct {
	ipsources.IPSource
	// Name is the name of its module.
	Name string

	configured bool
	limit      limit
	// busy holds a token while a call for that family runs. A call may take
	// longer than it is waited for.
	busy [ipaddr.Families]chan struct{}
	// busyPrefix is that of a call for the prefix.
	busyPrefix chan struct{}
	// panicked is done once it was said that it panics when asked aside.
	panicked sync.Once
}

// NewSource makes a source of a module.
func NewSource(name string, module ipsources.IPSource) *Source {
	_, configured := module.(ipsources.Configured)
	s := &Source{IPSource: module, Name: name, configured: configured, limit: forOthers, busyPrefix: make(chan struct{}, 1)}
	if _, local := module.(ipsources.Local); local {
		s.limit = forLocal
	}
	for f := range s.busy {
		s.busy[f] = make(chan struct{}, 1)
	}
	return s
}

// ask puts a question about one family.
func (s *Source) ask(ctx context.Context, f ipaddr.Family, settings ipsources.IPSettings, logger *zap.Logger) ([]netip.Addr, error) {
	return guard(ctx, s, s.busy[f], logger, func(ctx context.Context) ([]netip.Addr, error) { return s.GetIPs(ctx, settings) })
}

// guard puts a question to a source. A panic becomes an error, and so does a
// source that ignores its context.
func guard[T any](ctx context.Context, s *Source, busy chan struct{}, logger *zap.Logger, question func(context.Context) (T, error)) (none T, err error) {
	select {
	case busy <- struct{}{}:
	default:
		return none, errors.New("still busy with an earlier question")
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			// Before the answer, upon which the next question may come at once.
			<-busy
			answers <- a
		}()
		defer func() {
			if r := recover(); r != nil {
				logger.Debug("IP source panicked", zap.String("source", s.Name), zap.ByteString("stack", debug.Stack()))
				a = answer{none, fmt.Errorf("the IP source panicked: %v", r)}
			}
		}()
		a.value, a.err = question(ctx)
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("no answer within %s", sourceTimeout)
	}
}

// aside asks a source for something that a check can do without. What panics is
// told once, and has no answer.
func aside[T any](s *Source, logger *zap.Logger, question func() T) (answer T) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked.Do(func() {
				logger.Error("the IP source panicked; doing without its answer",
					zap.String("source", s.Name), zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			})
		}
	}()
	return question()
}
