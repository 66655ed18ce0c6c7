package nameserver

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// maxConns bounds the TCP connections of one socket, so that they take no
	// file descriptors from the web server (RFC 7766, section 6.2.2).
	maxConns = 1000

	// maxConnsPerNetwork keeps the clients of one network (/24 or /56) from
	// taking them all.
	maxConnsPerNetwork = 100

	// writeTimeout bounds how long a client may take to read one message.
	writeTimeout = 5 * time.Second

	// acceptPause keeps a lack of file descriptors from taking the processor too.
	acceptPause = 50 * time.Millisecond

	// crowdedInterval is how often at most it is logged that there is no room.
	crowdedInterval = time.Minute
)

// connListener bounds what the clients of a TCP listener can hold: how many
// connections there are, and how long a message waits to be read. When there is
// no room for another connection, the one that has been idle the longest goes,
// of the network that has most.
type connListener struct {
	net.Listener
	logger *zap.Logger
	stats  *traffic
	now    func() time.Time

	mu        sync.Mutex
	open      map[*conn]bool
	byNetwork map[netip.Prefix]int
	closed    bool
	evicted   int // since it was logged
	logged    time.Time
}

type conn struct {
	net.Conn
	listener *connListener
	network  netip.Prefix
	used     time.Time // of the last message; the listener's lock guards it
}

func newConnListener(ln net.Listener, logger *zap.Logger, stats *traffic) *connListener {
	return &connListener{
		Listener: ln, logger: logger, stats: stats, now: time.Now,
		open: make(map[*conn]bool), byNetwork: make(map[netip.Prefix]int),
	}
}

// Accept returns the next connection.
func (l *connListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			// Out of file descriptors, say; the library asks again at once.
			if !errors.Is(err, net.ErrClosed) {
				time.Sleep(acceptPause)
			}
			return nil, err
		}
		client, _ := clientOf(accepted.RemoteAddr())
		c := &conn{Conn: accepted, listener: l, network: networkOf(client)}
		if l.admit(c) {
			return c, nil
		}
		_ = accepted.Close()
	}
}

// admit makes room for a connection. It fails only once the listener is closed.
func (l *connListener) admit(c *conn) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	var evicted *conn
	switch {
	case l.byNetwork[c.network] >= maxConnsPerNetwork:
		evicted = l.idlest(c.network)
	case len(l.open) >= maxConns:
		evicted = l.idlest(netip.Prefix{})
	}
	if evicted != nil {
		l.forget(evicted)
		l.count()
	}
	c.used = l.now()
	l.open[c] = true
	l.byNetwork[c.network]++
	l.mu.Unlock()
	if evicted != nil {
		_ = evicted.Conn.Close()
	}
	return true
}

// idlest returns the connection that has been idle the longest, of those of a
// network, or, where none is given, of the networks that have most.
func (l *connListener) idlest(of netip.Prefix) (idlest *conn) {
	most := 0
	for c := range l.open {
		n := l.byNetwork[c.network]
		switch {
		case of.IsValid() && c.network != of, !of.IsValid() && n < most:
		case idlest == nil, !of.IsValid() && n > most, c.used.Before(idlest.used):
			idlest, most = c, n
		}
	}
	return idlest
}

// count counts a connection that had to go, and says so once a minute.
func (l *connListener) count() {
	l.stats.evicted.Add(1)
	l.evicted++
	if now := l.now(); now.Sub(l.logged) >= crowdedInterval {
		l.logger.Warn("too many TCP connections; closing those that have been idle the longest",
			zap.Int("closed", l.evicted), zap.Int("open", len(l.open)+1))
		l.logged, l.evicted = now, 0
	}
}

func (l *connListener) forget(c *conn) {
	if l.open[c] {
		delete(l.open, c)
		if l.byNetwork[c.network]--; l.byNetwork[c.network] == 0 {
			delete(l.byNetwork, c.network)
		}
	}
}

// closeAll closes the connections that are open.
func (l *connListener) closeAll() {
	l.mu.Lock()
	l.closed = true
	var open []*conn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// Read reads what the client sends, which shows that it is not idle.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.touch()
	}
	return n, err
}

// Write sends a message. A client that does not read it in time is cut off.
func (c *conn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Close()
		return n, err
	}
	c.touch()
	return n, nil
}

func (c *conn) touch() {
	l := c.listener
	l.mu.Lock()
	c.used = l.now()
	l.mu.Unlock()
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.forget(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
