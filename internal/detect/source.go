package detect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
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
}

// NewSource makes a source of a module.
func NewSource(name string, module ipsources.IPSource) *Source {
	_, configured := module.(ipsources.Configured)
	s := &Source{IPSource: module, Name: name, configured: configured, limit: forOthers}
	if _, local := module.(ipsources.Local); local {
		s.limit = forLocal
	}
	for f := range s.busy {
		s.busy[f] = make(chan struct{}, 1)
	}
	return s
}

// ask puts a question about one family. A panic becomes an error, and so does a
// source that ignores its context.
func (s *Source) ask(ctx context.Context, f ipaddr.Family, settings ipsources.IPSettings, logger *zap.Logger) ([]netip.Addr, error) {
	busy := s.busy[f]
	select {
	case busy <- struct{}{}:
	default:
		return nil, errors.New("still busy with an earlier question")
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-busy }()
		defer func() {
			if r := recover(); r != nil {
				logger.Debug("IP source panicked", zap.String("source", s.Name), zap.ByteString("stack", debug.Stack()))
				answers <- answer{nil, fmt.Errorf("the IP source panicked: %v", r)}
			}
		}()
		addrs, err := s.GetIPs(ctx, settings)
		answers <- answer{addrs, err}
	}()
	select {
	case a := <-answers:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s", sourceTimeout)
	}
}
