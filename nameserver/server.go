package nameserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// sockets is the open sockets, by network and address. They outlive
// configurations, so that a reload loses no packet.
var sockets = caddy.NewUsagePool()

// shutdownTimeout bounds how long queries under way are waited for.
const shutdownTimeout = 2 * time.Second

// A socket that ended is opened again after a pause, which doubles each time
// that fails.
const (
	reopenPause    = time.Second
	maxReopenPause = time.Minute
)

// socket serves one address with the handler that was put on it last.
type socket struct {
	addr    caddy.NetworkAddress
	current atomic.Pointer[handler]
	closed  chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	handlers []*handler
	*opened  // what serves now
}

// opened is a socket of the operating system, and what serves it.
type opened struct {
	udp    *udpServer  // nil for TCP
	server *dns.Server // nil for UDP, as the following
	conns  *connListener
	outer  func() error // closes what Caddy counts as its listener
	ended  chan error
}

func useSocket(ctx context.Context, addr caddy.NetworkAddress) (*socket, string, error) {
	key := addr.Network + "/" + addr.JoinHostPort(0)
	if !holdsPort(addr) {
		if err := probe(ctx, addr); err != nil {
			return nil, "", explainListen(addr, err)
		}
	}
	val, _, err := sockets.LoadOrNew(key, func() (caddy.Destructor, error) { return listen(ctx, addr) })
	if err != nil {
		return nil, "", explainListen(addr, err)
	}
	return val.(*socket), key, nil
}

// holdsPort reports whether this process has a socket already that an address
// would be in the way of: on the same port, with the same address or with all.
func holdsPort(addr caddy.NetworkAddress) bool {
	held := false
	sockets.Range(func(key, _ any) bool {
		network, hostPort, _ := strings.Cut(key.(string), "/")
		host, port, err := net.SplitHostPort(hostPort)
		held = err == nil && strings.TrimRight(network, "46") == strings.TrimRight(addr.Network, "46") &&
			port == strconv.Itoa(int(addr.StartPort)) && (host == addr.Host || isWildcard(host) || isWildcard(addr.Host))
		return !held
	})
	return held
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// probe fails if another program holds the address. Listening would not fail if
// that program shares its port too (SO_REUSEPORT): each would get some of the
// queries. Other errors are left to listening, which has more means.
func probe(ctx context.Context, addr caddy.NetworkAddress) error {
	var probed io.Closer
	var err error
	switch {
	case strings.HasPrefix(addr.Network, "udp"):
		probed, err = new(net.ListenConfig).ListenPacket(ctx, addr.Network, addr.JoinHostPort(0))
	case strings.HasPrefix(addr.Network, "tcp"):
		probed, err = new(net.ListenConfig).Listen(ctx, addr.Network, addr.JoinHostPort(0))
	default:
		return nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err == nil {
		_ = probed.Close()
	}
	return nil
}

func listen(ctx context.Context, addr caddy.NetworkAddress) (*socket, error) {
	s := &socket{addr: addr, closed: make(chan struct{})}
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	s.opened = o
	s.running.Go(func() { s.keepOpen(o) })
	return s, nil
}

func (s *socket) open(ctx context.Context) (*opened, error) {
	ln, err := s.addr.Listen(ctx, 0, net.ListenConfig{})
	if err != nil {
		return nil, err
	}
	o := &opened{ended: make(chan error, 1)}
	switch ln := ln.(type) {
	case net.Listener:
		o.outer = sync.OnceValue(ln.Close)
		return o, s.serveTCP(o, ln)
	case net.PacketConn:
		o.outer = sync.OnceValue(ln.Close)
		if conn := unwrap(ln); conn != nil {
			o.udp = newUDPServer(conn, s.answerUDP)
			go func() { o.ended <- o.udp.serve() }()
			return o, nil
		}
		_ = ln.Close()
	}
	return nil, fmt.Errorf("%s: not a socket that DNS can use: %T", s.addr, ln)
}

func (s *socket) serveTCP(o *opened, ln net.Listener) error {
	o.conns = newConnListener(ln, caddy.Log().Named("nameserver").With(zap.Stringer("address", s.addr)), &counted)
	started := make(chan struct{})
	o.server = &dns.Server{
		Listener:          o.conns,
		Handler:           s,
		TsigProvider:      s,
		MsgAcceptFunc:     accept,
		DecorateReader:    func(r dns.Reader) dns.Reader { return guard{r, s} },
		MaxTCPQueries:     -1,
		NotifyStartedFunc: func() { close(started) },
	}
	go func() { o.ended <- o.server.ActivateAndServe() }()
	select {
	case <-started:
		return nil
	case err := <-o.ended:
		_ = o.outer()
		return err
	}
}

// keepOpen opens the socket again where it ends before its time.
func (s *socket) keepOpen(o *opened) {
	logger := caddy.Log().Named("nameserver").With(zap.Stringer("address", s.addr))
	for {
		select {
		case <-s.closed:
			return
		case err := <-o.ended:
			select {
			case <-s.closed:
				return
			default:
			}
			logger.Error("socket ended; opening it again", zap.Error(err))
			_ = o.outer()
			if o.conns != nil {
				o.conns.closeAll()
			}
		}
		for pause := reopenPause; ; pause = min(2*pause, maxReopenPause) {
			select {
			case <-s.closed:
				return
			case <-time.After(pause):
			}
			reopened, err := s.open(context.Background())
			if err == nil {
				o = reopened
				break
			}
			logger.Error("opening the socket again", zap.Error(err))
		}
		s.mu.Lock()
		s.opened = o
		s.mu.Unlock()
		logger.Info("socket serves again")
	}
}

// unwrap returns the UDP connection that Caddy has wrapped, or nil.
func unwrap(conn net.PacketConn) *net.UDPConn {
	for {
		switch c := conn.(type) {
		case *net.UDPConn:
			return c
		case interface{ Unwrap() net.PacketConn }:
			conn = c.Unwrap()
		default:
			return nil
		}
	}
}

// push lets a handler serve from now on.
func (s *socket) push(h *handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(s.handlers, h)
	s.current.Store(h)
}

// remove takes a handler away. If it was serving, the one before it, whose
// configuration then goes on running, serves again.
func (s *socket) remove(h *handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = slices.DeleteFunc(s.handlers, func(o *handler) bool { return o == h })
	if n := len(s.handlers); n > 0 {
		s.current.Store(s.handlers[n-1])
	}
}

// answerUDP answers a message over UDP by the running configuration. A panic is
// that message's end, not the web server's.
func (s *socket) answerUDP(packet, buf []byte, client netip.Addr, from net.Addr) (answer []byte) {
	h := s.current.Load()
	if h == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			h.logger.Error("panic over a message", zap.Any("value", r), zap.Binary("message", packet), zap.ByteString("stack", debug.Stack()))
			answer = nil
		}
	}()
	if out, done := h.answerFast(packet, buf, client, h.now()); done {
		return out
	}
	return h.answerSlow(packet, buf, from)
}

// ServeDNS hands a query over TCP to the handler of the running configuration. A panic
// is that query's end, not the web server's.
func (s *socket) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	h := s.current.Load()
	if h == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			h.logger.Error("panic", zap.Any("value", r), zap.Stringer("query", q), zap.ByteString("stack", debug.Stack()))
			_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		}
	}()
	h.ServeDNS(w, q)
}

// Generate signs with the keys of the running configuration.
func (s *socket) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	return s.tsigKeys().Generate(msg, t)
}

// Verify checks a signature by the keys of the running configuration.
func (s *socket) Verify(msg []byte, t *dns.TSIG) error { return s.tsigKeys().Verify(msg, t) }

func (s *socket) tsigKeys() tsigKeys {
	if h := s.current.Load(); h != nil {
		return h.keys
	}
	return nil
}

// Destruct closes the socket when no configuration uses it any longer.
func (s *socket) Destruct() error {
	close(s.closed)
	s.running.Wait()
	o := s.opened
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var err error
	if o.udp != nil {
		o.udp.shutdown()
		select {
		case <-o.ended:
		case <-ctx.Done():
		}
	} else {
		err = o.server.ShutdownContext(ctx)
		o.conns.closeAll()
	}
	_ = o.outer() // already closed, but now Caddy knows it too
	return err
}

// explainListen says what is usually in the way, and what to write instead.
func explainListen(addr caddy.NetworkAddress, err error) error {
	where := addr.Network + " " + addr.JoinHostPort(0)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && addr.StartPort == 53:
		return fmt.Errorf("listening on %s: %w: port 53 is usually held by systemd-resolved (`resolvectl status` shows it) "+
			"or by another name server (`ss -lnptu sport = :53` names it): set DNSStubListener=no in /etc/systemd/resolved.conf "+
			"and restart systemd-resolved, or listen on the address that is delegated to only, like `nameserver 203.0.113.1:53`", where, err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listening on %s: %w: another program holds this port (`ss -lnptu sport = :%d` names it): "+
			"stop it or write another port", where, err, addr.StartPort)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("listening on %s: %w: ports below 1024 need a privilege: `setcap cap_net_bind_service=+ep` on the caddy binary, "+
			"or AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit", where, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listening on %s: %w: no interface of this machine has this address (behind NAT, write the private one)", where, err)
	}
	return fmt.Errorf("listening on %s: %w", where, err)
}

var (
	_ caddy.Destructor = (*socket)(nil)
	_ dns.Handler      = (*socket)(nil)
	_ dns.TsigProvider = (*socket)(nil)
)
