package natpmp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/ipv4"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
)

const (
	// maxRepeats is how many announcements of one address in a row count: a
	// question after the first may come before the router is ready. RFC 6886
	// has ten of them, over two minutes.
	maxRepeats = 4

	// routerAge is how long it stays known who the router is, so that others
	// who send much here cost little.
	routerAge = 5 * time.Second

	firstRetry = time.Minute
	maxRetry   = 16 * time.Minute
)

// group is where routers announce.
const group = "224.0.0.1:5350"

// Listen calls changed whenever the router announces that its external address
// may have changed, until ctx ends. What others announce is dropped. changed
// must return at once.
//
// All who listen share one socket. If there is none to be had, nothing is heard.
func Listen(ctx context.Context, router func() netip.Addr, changed func(), logger *zap.Logger) {
	announcements.listen(ctx, &listener{router: router, changed: changed}, logger)
}

// ListenToGateway is Listen for announcements of the default gateway.
func ListenToGateway(ctx context.Context, changed func(), logger *zap.Logger) {
	Listen(ctx, func() netip.Addr {
		// No gateway, no announcement of it.
		router, _ := netmon.Gateway(ipaddr.V4)
		return router
	}, func() {
		logger.Debug("the gateway announces that its address may have changed")
		changed()
	}, logger)
}

// announcements is the socket of the process.
var announcements = hub{open: openGroup}

// hub hands what comes in at one socket to all who listen.
type hub struct {
	open func() (net.PacketConn, error)

	mu        sync.Mutex
	listeners map[*listener]bool
	// end ends the reader, and waits for that.
	end func()
}

func (h *hub) listen(ctx context.Context, l *listener, logger *zap.Logger) {
	h.mu.Lock()
	if h.listeners == nil {
		h.listeners = make(map[*listener]bool)
	}
	h.listeners[l] = true
	if len(h.listeners) == 1 {
		h.begin(logger)
	}
	h.mu.Unlock()

	<-ctx.Done()

	end := func() {}
	h.mu.Lock()
	delete(h.listeners, l)
	if len(h.listeners) == 0 {
		end = h.end
	}
	h.mu.Unlock()
	end()
}

func (h *hub) begin(logger *zap.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	h.end = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		for retry := firstRetry; ; retry = min(2*retry, maxRetry) {
			err := h.read(ctx)
			if ctx.Err() != nil {
				return
			}
			logger.Debug("cannot listen to what routers announce", zap.Error(err), zap.Duration("retry_in", retry))
			select {
			case <-time.After(retry):
			case <-ctx.Done():
				return
			}
		}
	}()
}

// read passes announcements on until ctx ends or the socket fails.
func (h *hub) read(ctx context.Context) error {
	socket, err := h.open()
	if err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	packet := make([]byte, 256)
	for {
		n, from, err := socket.ReadFrom(packet)
		if err != nil {
			return err
		}
		a, err := parseAnnouncement(packet[:n])
		at, ok := from.(*net.UDPAddr)
		if err != nil || !ok {
			continue
		}
		h.pass(a, at.AddrPort(), time.Now())
	}
}

func (h *hub) pass(a announcement, from netip.AddrPort, now time.Time) {
	if from.Port() != Port {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.hear(a, from.Addr().Unmap(), now)
	}
}

// listener is one who listens.
type listener struct {
	router  func() netip.Addr
	changed func()

	known   netip.Addr // the router
	knownAt time.Time
	last    announcement
	repeats int
}

func (l *listener) hear(a announcement, from netip.Addr, now time.Time) {
	if l.knownAt.IsZero() || now.Sub(l.knownAt) >= routerAge {
		l.known, l.knownAt = l.router(), now
	}
	if from != l.known {
		return
	}
	// What has no address tells of a restart, or of a change of what is mapped.
	if a.addr.IsValid() {
		if a.addr != l.last.addr || a.epoch < l.last.epoch {
			l.repeats = 0
		}
		l.last = a
		if l.repeats++; l.repeats > maxRepeats {
			return
		}
	}
	l.changed()
}

// openGroup opens a socket that others on this machine may open too.
func openGroup() (net.PacketConn, error) {
	socket, err := net.ListenPacket("udp4", group)
	if err != nil {
		return nil, err
	}
	// Linux hears what is sent to all hosts without being asked to. For others,
	// the interfaces are joined that are there now.
	ifaces, _ := net.Interfaces()
	for _, iface := range ifaces {
		if iface.Flags&net.FlagUp != 0 && iface.Flags&net.FlagMulticast != 0 {
			_ = ipv4.NewPacketConn(socket).JoinGroup(&iface, &net.UDPAddr{IP: net.IPv4allsys})
		}
	}
	return socket, nil
}
