package cloudflare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	// maxWait is how long one call waits for the rate limit, all in all.
	maxWait = 10 * time.Second
	// defaultPause is for a refusal that does not say how long to wait, and
	// maxPause for one that asks for longer than any of Cloudflare's limits.
	defaultPause = time.Minute
	maxPause     = time.Hour
)

// errLimited is the same however long the wait is, so that it counts as one
// failure.
var errLimited = errors.New("the rate limit of Cloudflare's API is reached (HTTP 429); no request is sent before the time is over that it has asked to wait")

// limit is until when the API wants no request with a token.
type limit struct {
	mu    sync.Mutex
	until time.Time
}

// limits are those of all tokens. They outlive configurations.
var limits = caddy.NewUsagePool()

func holdLimit(token string) (key string, l *limit, err error) {
	sum := sha256.Sum256([]byte(token))
	key = hex.EncodeToString(sum[:])
	value, _, err := limits.LoadOrNew(key, func() (caddy.Destructor, error) { return new(limit), nil })
	if err != nil {
		return "", nil, err
	}
	return key, value.(*limit), nil
}

func releaseLimit(key string) { _, _ = limits.Delete(key) }

// Destruct implements caddy.Destructor.
func (*limit) Destruct() error { return nil }

// patience is how long a call may still wait.
type patience struct{ left time.Duration }

type patienceKey struct{}

// patient returns the context of a call that may wait for the rate limit.
func patient(ctx context.Context) context.Context {
	return context.WithValue(ctx, patienceKey{}, &patience{maxWait})
}

// send sends a request, again after a pause where the API asks for one that is
// short enough.
func (l *limit) send(client *http.Client, req *http.Request) (*http.Response, error) {
	for {
		if err := l.wait(req.Context()); err != nil {
			return nil, err
		}
		res, err := client.Do(req)
		if err != nil || res.StatusCode != http.StatusTooManyRequests {
			return res, err
		}
		res.Body.Close()
		l.hold(pause(res))
		if req.GetBody == nil {
			continue
		}
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = body
	}
}

// wait waits until requests may be sent, or returns errLimited at once.
func (l *limit) wait(ctx context.Context) error {
	l.mu.Lock()
	pause := time.Until(l.until)
	l.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	p, ok := ctx.Value(patienceKey{}).(*patience)
	if !ok || pause > p.left {
		return errLimited
	}
	p.left -= pause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *limit) hold(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(pause); until.After(l.until) {
		l.until = until
	}
}

// pause returns how long the answer asks to wait (RFC 9110, section 10.2.3).
func pause(res *http.Response) time.Duration {
	asked := res.Header.Get("Retry-After")
	d := defaultPause
	if seconds, err := strconv.Atoi(asked); err == nil {
		d = time.Duration(min(seconds, int(maxPause/time.Second))) * time.Second
	} else if at, err := http.ParseTime(asked); err == nil {
		d = time.Until(at)
	}
	return min(max(d, time.Second), maxPause)
}
