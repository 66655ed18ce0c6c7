// Package heartbeat tells a monitoring service that all is well, or that it is
// not, so that somebody notices when nothing is heard any more.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
)

const (
	// patience is how long one request may take.
	patience = 10 * time.Second
	// pause is between two requests at least: less than 12 a minute.
	pause = 5500 * time.Millisecond
	// settling is how long zones may take to follow what a check has found.
	settling = 30 * time.Second
	// look is how often it is looked whether they have.
	look = time.Second
)

// Transport sends the requests, by default Go's own. Tests put in another.
var Transport http.RoundTripper

// State is how all is.
type State int

const (
	// Settling is what may be well in a moment.
	Settling State = iota
	Well
	Failing
)

// Heartbeat sends a request after each check. Path and query of its URLs are
// secrets.
type Heartbeat struct {
	// URL is asked when all is well, FailureURL, which may be nil, when it is
	// not.
	URL, FailureURL *url.URL
	// State returns how all is now.
	State  func() State
	Logger *zap.Logger
	poked  chan struct{}
	// failed is set while requests fail.
	failed bool
}

// New makes a heartbeat of which the exported fields are yet to be set.
func New() *Heartbeat { return &Heartbeat{poked: make(chan struct{}, 1)} }

// Parse checks a URL. The error does not repeat it.
func Parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("this is no URL of a web service; write it with https:// or http://")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host; write it whole, such as `heartbeat https://hc-ping.com/<uuid>`")
	}
	return u, nil
}

// Poke says that a check is done, or that something has begun to fail. It
// returns at once.
func (h *Heartbeat) Poke() {
	select {
	case h.poked <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends. While a request is under way, those who poke share
// the next one.
func (h *Heartbeat) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.poked:
		}
		// The check of the other family may be done in a moment, too.
		select {
		case <-ctx.Done():
			return
		case <-time.After(untilNext()):
		}
		select {
		case <-h.poked:
		default:
		}
		state := h.settled(ctx)
		if ctx.Err() != nil {
			return
		}
		u := h.URL
		if state != Well {
			u = h.FailureURL
		}
		if u == nil {
			continue
		}
		h.note(ctx, u, h.send(ctx, u))
		ended.Store(new(time.Now()))
	}
}

// ended is when the last request of the process ended: configurations may follow
// each other quickly.
var ended atomic.Pointer[time.Time]

// untilNext is how long to wait before the next request.
func untilNext() time.Duration {
	last := ended.Load()
	if last == nil {
		return look
	}
	return min(max(look, time.Until(last.Add(pause))), pause)
}

// settled returns how all is, once what a check has found is published.
func (h *Heartbeat) settled(ctx context.Context) State {
	for deadline := time.Now().Add(settling); ; {
		state := h.State()
		if state != Settling || !time.Now().Before(deadline) {
			return state
		}
		select {
		case <-ctx.Done():
			return state
		case <-time.After(look):
		}
	}
}

func (h *Heartbeat) send(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("the URL cannot be asked")
	}
	client := http.Client{
		Transport: Transport,
		// Elsewhere would be told the secret, or would tell it in an error.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		// What is around it has the URL.
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		// What answers in another protocol may repeat the request.
		return errors.New(secretless(u)(err.Error()))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the service answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// secretless returns a function that cuts path, query and password of a URL out
// of a text.
func secretless(u *url.URL) func(string) string {
	password, _ := u.User.Password()
	secrets := append(strings.Split(u.Path, "/"), u.RequestURI(), u.EscapedPath(), u.RawQuery, u.User.Username(), password)
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	return conf.Cutter(secrets)
}

// note logs when requests begin to fail, and when they no longer do.
func (h *Heartbeat) note(ctx context.Context, u *url.URL, err error) {
	switch {
	case ctx.Err() != nil || (err != nil) == h.failed:
	case err != nil:
		h.Logger.Warn("cannot send the heartbeat; trying again after the next check", zap.String("host", u.Host), zap.Error(err))
	default:
		h.Logger.Info("the heartbeat is sent again", zap.String("host", u.Host))
	}
	if ctx.Err() == nil {
		h.failed = err != nil
	}
}
