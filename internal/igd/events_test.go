package igd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
)

var localhost = netip.MustParseAddr("127.0.0.1")

// eventer is a device with events. It knows one subscription at a time.
type eventer struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	callback string
	renewals int
	ended    bool
	forgets  bool
	answer   func(http.ResponseWriter) // replaces that to a first subscription
	// subscribed has a value after each request.
	subscribed chan string
}

func newEventer(t *testing.T) *eventer {
	e := &eventer{t: t, subscribed: make(chan string, 100)}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *eventer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.subscribed <- req.Method }()
	switch {
	case req.Method == "UNSUBSCRIBE":
		e.ended = req.Header.Get("SID") == "uuid:1"
	case req.Header.Get("SID") != "":
		e.renewals++
		if e.forgets || req.Header.Get("CALLBACK") != "" {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		w.Header().Set("SID", "uuid:1")
	case req.Header.Get("NT") != "upnp:event":
		w.WriteHeader(http.StatusPreconditionFailed)
	case e.answer != nil:
		e.answer(w)
	default:
		e.callback = strings.Trim(req.Header.Get("CALLBACK"), "<>")
		w.Header().Set("SID", "uuid:1")
		w.Header().Set("TIMEOUT", "Second-1800")
	}
}

// notify notifies as the device would, and returns the status.
func (e *eventer) notify(method, path, sid, seq, body string) int {
	e.t.Helper()
	e.mu.Lock()
	u, err := url.Parse(e.callback)
	e.mu.Unlock()
	if err != nil {
		e.t.Fatal(err)
	}
	if path != "" {
		u.Path = path
	}
	req, err := http.NewRequest(method, u.String(), strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header = http.Header{"SID": {sid}, "SEQ": {seq}, "NT": {"upnp:event"}, "NTS": {"upnp:propchange"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (e *eventer) await(method string) {
	e.t.Helper()
	for {
		select {
		case got := <-e.subscribed:
			if got == method {
				return
			}
		case <-time.After(20 * time.Second):
			e.t.Fatalf("no %s", method)
		}
	}
}

// subscribe runs a subscription, and returns how often it was notified, and how
// to end it and learn why it ended.
func (e *eventer) subscribe(s Subscription) (notified chan struct{}, end func() error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		e.t.Fatal(err)
	}
	notified = make(chan struct{}, 1000)
	s.Client, s.Events, s.Local = Client(loopback), u.JoinPath("events"), localhost
	if !s.Router.IsValid() {
		s.Router = localhost
	}
	s.Changed = func() { notified <- struct{}{} }
	ctx, cancel := context.WithCancel(e.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return notified, func() error {
		cancel()
		return <-done
	}
}

func TestSubscription(t *testing.T) {
	const content = `<e:propertyset xmlns:e="urn:schemas-upnp-org:event-1-0"><e:property><ExternalIPAddress>6.6.6.6</ExternalIPAddress></e:property></e:propertyset>`
	goroutines := runtime.NumGoroutine()
	e := newEventer(t)
	notified, end := e.subscribe(Subscription{})
	e.await("SUBSCRIBE")
	for _, tc := range []struct {
		name, method, path, sid, seq, body string
		status, want                       int
	}{
		{name: "the first", method: "NOTIFY", sid: "uuid:1", seq: "0", body: content, status: 200},
		{name: "a change", method: "NOTIFY", sid: "uuid:1", seq: "1", body: content, status: 200, want: 1},
		{name: "without content", method: "NOTIFY", sid: "uuid:1", seq: "2", status: 200, want: 1},
		{name: "too much content", method: "NOTIFY", sid: "uuid:1", seq: "3", body: strings.Repeat("x", 1<<20), want: 1},
		{name: "another subscription", method: "NOTIFY", sid: "uuid:2", seq: "1", body: content, status: 412},
		{name: "no subscription", method: "NOTIFY", seq: "1", body: content, status: 412},
		{name: "another path", method: "NOTIFY", path: "/", sid: "uuid:1", seq: "1", body: content, status: 404},
		{name: "another method", method: "GET", sid: "uuid:1", seq: "1", status: 404},
		{name: "a path that leads out", method: "NOTIFY", path: "/../config/", sid: "uuid:1", seq: "1", status: 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := e.notify(tc.method, tc.path, tc.sid, tc.seq, tc.body)
			// What is read of too much is not said.
			if tc.status != 0 && status != tc.status {
				t.Errorf("got status %d, want %d", status, tc.status)
			}
			for range tc.want {
				select {
				case <-notified:
				case <-time.After(20 * time.Second):
					t.Fatal("not notified")
				}
			}
			if len(notified) != 0 {
				t.Error("notified too often")
			}
		})
	}

	callback, err := url.Parse(e.callback)
	if err != nil || callback.Hostname() != "127.0.0.1" {
		t.Errorf("the callback is %s, error %v", e.callback, err)
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	e.await("UNSUBSCRIBE")
	if !e.ended {
		t.Error("not unsubscribed")
	}
	if conn, err := net.Dial("tcp", callback.Host); err == nil {
		conn.Close()
		t.Error("still listening")
	}
	e.Close()
	http.DefaultClient.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

func TestSubscriptionOfStrangers(t *testing.T) {
	e := newEventer(t)
	notified, end := e.subscribe(Subscription{Router: netip.MustParseAddr("192.168.1.1")})
	e.await("SUBSCRIBE")
	if status := e.notify("NOTIFY", "", "uuid:1", "1", ""); status != 0 || len(notified) != 0 {
		t.Errorf("a stranger got status %d, and notified %d times", status, len(notified))
	}
	_ = end()
}

func TestSubscriptionIsRenewed(t *testing.T) {
	e := newEventer(t)
	notified, end := e.subscribe(Subscription{Renew: 10 * time.Millisecond, Initial: true})
	e.await("SUBSCRIBE")
	e.await("SUBSCRIBE")
	e.await("SUBSCRIBE")
	if status := e.notify("NOTIFY", "", "uuid:1", "0", ""); status != 200 || len(notified) != 1 {
		t.Errorf("the first notification got status %d, and notified %d times", status, len(notified))
	}
	e.mu.Lock()
	e.forgets = true
	e.mu.Unlock()
	e.await("UNSUBSCRIBE")
	if err := end(); !errors.Is(err, ErrEnded) {
		t.Errorf("ended with %v", err)
	}
}

// TestSubscriptionOfDead: who hangs does not hold up the end.
func TestSubscriptionOfDead(t *testing.T) {
	e := newEventer(t)
	_, end := e.subscribe(Subscription{Renew: 10 * time.Millisecond})
	e.await("SUBSCRIBE")
	e.await("SUBSCRIBE")
	e.mu.Lock() // nothing is answered from now on
	began := time.Now()
	_ = end()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	e.mu.Unlock()
}

func TestSubscriptionRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  func(http.ResponseWriter)
		wantErr string
	}{
		"refused":            {func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, "HTTP status 503"},
		"without identifier": {func(http.ResponseWriter) {}, "no identifier"},
		"a long identifier":  {func(w http.ResponseWriter) { w.Header().Set("SID", strings.Repeat("x", 1000)) }, "no identifier"},
		"redirected": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "redirects to"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEventer(t)
			e.answer = tc.answer
			u, err := url.Parse(e.URL)
			if err != nil {
				t.Fatal(err)
			}
			s := Subscription{Client: Client(loopback), Events: u, Local: localhost, Router: localhost, Changed: func() {}}
			err = s.Run(t.Context())
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if errors.Is(err, ErrEnded) {
				t.Error("what never was has ended")
			}
		})
	}
}

func TestParseGrant(t *testing.T) {
	for timeout, want := range map[string]time.Duration{
		"Second-1800": 30 * time.Minute, "second-60": time.Minute, "Second-0": 0,
		"Second-infinite": 2 * renewEvery, "infinite": 2 * renewEvery, "": 2 * renewEvery,
		"Second--1": 2 * renewEvery, "Second-99999999999999999999": 2 * renewEvery, "1800": 2 * renewEvery,
	} {
		header := http.Header{}
		header.Set("SID", "uuid:1")
		header.Set("TIMEOUT", timeout)
		if id, got, err := parseGrant(header); err != nil || id != "uuid:1" || got != want {
			t.Errorf("%q: got %v, error %v, want %v", timeout, got, err, want)
		}
	}
}

// FuzzParseGrant: no answer makes for a subscription without an identifier, or
// for one without end.
func FuzzParseGrant(f *testing.F) {
	f.Add("uuid:1", "Second-1800")
	f.Add("", "infinite")
	f.Fuzz(func(t *testing.T, sid, timeout string) {
		id, granted, err := parseGrant(http.Header{"Sid": {sid}, "Timeout": {timeout}})
		if (err == nil) != (id != "") || granted < 0 || granted > (1<<31)*time.Second {
			t.Errorf("%q granted for %v, error %v", id, granted, err)
		}
	})
}
