package nameserver

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
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
)

// connListener bounds what the clients of a TCP listener can hold: how many
// connections there are, and how long a message waits to be read.
type connListener struct {
	net.Listener

	mu        sync.Mutex
	open      map[*conn]bool
	byNetwork map[netip.Prefix]int
	closed    bool
}

type conn struct {
	net.Conn
	listener *connListener
	network  netip.Prefix
}

func newConnListener(ln net.Listener) *connListener {
	return &connListener{Listener: ln, open: make(map[*conn]bool), byNetwork: make(map[netip.Prefix]int)}
}

// Accept returns the next connection for which there is room. Others are closed.
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

func (l *connListener) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.open) >= maxConns || l.byNetwork[c.network] >= maxConnsPerNetwork {
		return false
	}
	l.open[c] = true
	l.byNetwork[c.network]++
	return true
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

// Write sends a message. A client that does not read it in time is cut off.
func (c *conn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	l := c.listener
	l.mu.Lock()
	if l.open[c] {
		delete(l.open, c)
		if l.byNetwork[c.network]--; l.byNetwork[c.network] == 0 {
			delete(l.byNetwork, c.network)
		}
	}
	l.mu.Unlock()
	return c.Conn.Close()
}
