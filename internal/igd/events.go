package igd

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// renewEvery is how often a subscription is renewed at the latest, which is
	// how long it may take to notice that the router has started again.
	renewEvery = 3 * time.Minute
	// leastRenewal is for devices that grant next to no time.
	leastRenewal = 10 * time.Second

	callTimeout = 2 * time.Second
	// goodbye bounds how long the end of a subscription may take.
	goodbye = 300 * time.Millisecond

	maxCallers = 4
	maxNotice  = 16 << 10
)

// ErrEnded says that a device no longer knows of a subscription.
var ErrEnded = errors.New("the subscription to the router's events has ended")

// Subscription is one to the events of a service (GENA, UPnP Device
// Architecture 1.1, section 4).
type Subscription struct {
	// Client should be one of [Client].
	Client *http.Client
	// Events is where to subscribe.
	Events *url.URL
	// Local is the address of this machine at which it is notified, and Router
	// the one that notifications come from.
	Local, Router netip.Addr
	// Initial has Changed called for the notification, too, with which every
	// subscription begins.
	Initial bool
	// Changed is called for each notification. It must return at once. What a
	// notification says is not looked at.
	Changed func()
	// Renew is how often the subscription is renewed. Default: 3 minutes, or
	// half of the time that the device grants if that is less.
	Renew time.Duration
}

// Run subscribes, and renews the subscription until ctx ends, or the device does
// not know of it any more, with [ErrEnded]. It leaves nothing behind.
func (s *Subscription) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(s.Local, 0).String())
	if err != nil {
		return fmt.Errorf("listening for the router's notifications: %w", err)
	}
	token := rand.Text()
	callback := &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/" + token}
	r := &receiver{path: callback.Path, initial: s.Initial, changed: s.Changed}
	server := &http.Server{
		Handler:        r,
		ReadTimeout:    callTimeout,
		WriteTimeout:   callTimeout,
		MaxHeaderBytes: 4 << 10,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	server.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer server.Close()
	defer r.end()
	serving.Go(func() {
		_ = server.Serve(&gate{Listener: listener, from: s.Router, free: make(chan struct{}, maxCallers)})
	})

	id, granted, err := s.ask(ctx, http.Header{
		"CALLBACK": {"<" + callback.String() + ">"},
		"NT":       {"upnp:event"},
	})
	if err != nil {
		return fmt.Errorf("subscribing to the router's events: %w", err)
	}
	defer s.unsubscribe(ctx, id)
	r.know(id)
	for {
		renew := cmp.Or(s.Renew, max(leastRenewal, min(renewEvery, granted/2)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(renew):
		}
		_, granted, err = s.ask(ctx, http.Header{"SID": {id}})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrEnded, err)
		}
	}
}

// ask subscribes, or renews. It returns the subscription's identifier and for
// how long it is granted.
func (s *Subscription) ask(ctx context.Context, header http.Header) (id string, granted time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	header["TIMEOUT"] = []string{fmt.Sprintf("Second-%d", int(2*renewEvery/time.Second))}
	resp, err := s.call(ctx, "SUBSCRIBE", header)
	if err != nil {
		return "", 0, err
	}
	return parseGrant(resp)
}

// parseGrant reads the answer to a subscription.
func parseGrant(header http.Header) (id string, granted time.Duration, err error) {
	id = header.Get("SID")
	if id == "" || len(id) > 256 {
		return "", 0, errors.New("the router's answer has no identifier")
	}
	granted = 2 * renewEvery
	if s, ok := strings.CutPrefix(strings.ToLower(header.Get("TIMEOUT")), "second-"); ok {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil {
			granted = time.Duration(n) * time.Second
		}
	}
	return id, granted, nil
}

func (s *Subscription) unsubscribe(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_, _ = s.call(ctx, "UNSUBSCRIBE", http.Header{"SID": {id}})
}

func (s *Subscription) call(ctx context.Context, method string, header http.Header) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Events.String(), nil)
	if err != nil {
		return nil, shortened(err)
	}
	req.Header = header
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, shortened(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return resp.Header, nil
}

// receiver takes the notifications of one subscription.
type receiver struct {
	path    string
	initial bool
	changed func()

	mu    sync.Mutex
	id    string
	ended bool
}

func (r *receiver) know(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
}

func (r *receiver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	id := r.id
	r.mu.Unlock()
	// The first notification may come before the answer that tells the
	// identifier.
	first := req.Header.Get("SEQ") == "0"
	switch {
	case req.Method != "NOTIFY" || req.URL.Path != r.path:
		w.WriteHeader(http.StatusNotFound)
		return
	case req.Header.Get("SID") != id && !(first && id == ""):
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, maxNotice))
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && (!first || r.initial) {
		r.changed()
	}
}

// gate lets few connections in at a time, and of one host alone.
type gate struct {
	net.Listener
	from netip.Addr
	free chan struct{}
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || at.Addr().Unmap() != g.from {
			_ = conn.Close()
			continue
		}
		select {
		case g.free <- struct{}{}:
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { <-g.free })}, nil
		default:
			_ = conn.Close()
		}
	}
}

// guest is a connection that the gate has let in.
type guest struct {
	net.Conn
	leave func()
}

func (c *guest) Close() error {
	c.leave()
	return c.Conn.Close()
}
