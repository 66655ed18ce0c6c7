package nameserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Clients that ask over TCP and never read what is answered neither keep
// others out nor Caddy from stopping.
func TestClientsThatNeverRead(t *testing.T) {
	var records []Record
	for i := range 200 {
		records = append(records, Record{"big", "TXT", fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", 200))})
	}
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {Records: records}}}))
	wire, err := new(dns.Msg).SetQuestion("big.example.test.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	query := append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	for range maxConnsPerNetwork + 20 {
		c, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write(slices.Repeat(query, 200))
	}
	deadline := time.Now().Add(4 * writeTimeout)
	for {
		r, _, err := (&dns.Client{Net: "tcp", Timeout: 3 * time.Second}).Exchange(new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA), server)
		if err == nil && len(r.Answer) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("others are kept out: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	began := time.Now()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 2*shutdownTimeout+time.Second {
		t.Errorf("stopping took %s", d)
	}
}

// One network cannot take the connections of all, and what is open ends with
// the socket.
func TestConnectionsPerNetwork(t *testing.T) {
	addr := caddy.NetworkAddress{Network: "tcp", Host: "127.0.0.1", StartPort: uint(freePort(t))}
	addr.EndPort = addr.StartPort
	s, key, err := useSocket(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	for range maxConnsPerNetwork + 10 {
		c, err := net.Dial("tcp", addr.JoinHostPort(0))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	idlest := open[0]
	_ = idlest.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := idlest.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a connection too many is not closed: %v", err)
	}
	s.conns.mu.Lock()
	n := len(s.conns.open)
	s.conns.mu.Unlock()
	if n != maxConnsPerNetwork {
		t.Errorf("%d connections", n)
	}
	if _, err := sockets.Delete(key); err != nil {
		t.Error(err)
	}
	last := open[len(open)-1]
	_ = last.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a connection outlives its socket: %v", err)
	}
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	if len(s.conns.open)+len(s.conns.byNetwork) > 0 {
		t.Errorf("left behind: %v", s.conns.byNetwork)
	}
}

// fakeConn is a connection of some client.
type fakeConn struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.from }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

// Connections that idle keep nobody else out: the one that has been idle the
// longest goes, of the network that has most.
func TestRoomForOthers(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	l := newConnListener(nil, zap.New(core), new(traffic))
	now := time.Unix(1e9, 0)
	l.now = func() time.Time { return now }
	connect := func(ip string) *conn {
		now = now.Add(time.Millisecond)
		from := &net.TCPAddr{IP: net.ParseIP(ip), Port: 5000}
		client, _ := clientOf(from)
		c := &conn{Conn: &fakeConn{from: from}, listener: l, network: networkOf(client)}
		if !l.admit(c) {
			t.Fatalf("%s is kept out", ip)
		}
		return c
	}
	isClosed := func(c *conn) bool { return c.Conn.(*fakeConn).closed }
	var idle []*conn
	for i := range 10 {
		for range maxConns / 10 {
			idle = append(idle, connect(fmt.Sprintf("198.51.%d.1", i)))
		}
	}
	now = now.Add(time.Second)
	idle[0].touch() // it has just asked something
	others := []*conn{connect("203.0.113.1"), connect("192.0.2.1")}
	if isClosed(idle[0]) || !isClosed(idle[1]) {
		t.Error("another connection went than that idle the longest")
	}
	for range 300 {
		connect("198.51.100.1")
	}
	for _, c := range others {
		if isClosed(c) {
			t.Error("a connection of a network that has one went for those of networks that have many")
		}
	}
	if len(l.open) != maxConns {
		t.Errorf("%d connections", len(l.open))
	}
	if n := l.stats.evicted.Load(); n != 302 {
		t.Errorf("%d counted of 302", n)
	}
	if n := logs.Len(); n != 1 {
		t.Errorf("logged %d times within a minute", n)
	}
}
