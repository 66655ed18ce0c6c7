package simplehttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxPause bounds how long a service is left alone at its own wish.
const maxPause = 24 * time.Hour

// pauseError is the answer of a service that wants to be left alone for a while.
type pauseError struct {
	status int
	after  time.Duration
}

func (e *pauseError) Error() string {
	return fmt.Sprintf("status is %d, and it wants to be left alone for %s", e.status, e.after.Round(time.Second))
}

// pauseOf returns how long an answer asks to be left alone by its Retry-After
// (RFC 9110, section 10.2.3), or 0.
func pauseOf(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxPause/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxPause
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), maxPause)
	}
	return 0
}

// pauses are until when each service wants to be left alone.
type pauses struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// wanted outlive configurations, so that a reload does not break them.
var wanted = pauses{until: make(map[string]time.Time)}

type askFunc func(ctx context.Context, network string, endpoint *url.URL) (netip.Addr, error)

// keep asks by means of ask, and not during pauses.
func (p *pauses) keep(ask askFunc) askFunc {
	return func(ctx context.Context, network string, endpoint *url.URL) (netip.Addr, error) {
		service := endpoint.String()
		if left := p.left(service); left > 0 {
			return netip.Addr{}, fmt.Errorf("not asked, for it wants to be left alone for %s more", left.Round(time.Second))
		}
		addr, err := ask(ctx, network, endpoint)
		if wish, ok := errors.AsType[*pauseError](err); ok {
			p.note(service, wish.after)
		}
		return addr, err
	}
}

func (p *pauses) left(service string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.until[service])
}

func (p *pauses) note(service string, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, until := range p.until {
		if time.Until(until) <= 0 {
			delete(p.until, other)
		}
	}
	p.until[service] = time.Now().Add(after)
}
