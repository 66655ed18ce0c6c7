package nameserver

import (
	"encoding/binary"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// guard reads messages for the library, and drops those that its parser would
// panic over: it parses outside of the handler, where nobody recovers, and a
// packet must not end the web server.
type guard struct {
	dns.Reader
	keys dns.TsigProvider
}

var errPanic = errors.New("the message cannot be parsed")

// ReadUDP reads a message. One that is dropped is returned as too short.
func (g guard) ReadUDP(conn *net.UDPConn, timeout time.Duration) ([]byte, *dns.SessionUDP, error) {
	m, session, err := g.Reader.ReadUDP(conn, timeout)
	if err == nil && !g.harmless(m) {
		m = m[:0]
	}
	return m, session, err
}

// ReadTCP reads a message. One that is dropped ends its connection.
func (g guard) ReadTCP(conn net.Conn, timeout time.Duration) ([]byte, error) {
	m, err := g.Reader.ReadTCP(conn, timeout)
	if err == nil && !g.harmless(m) {
		return nil, errPanic
	}
	return m, err
}

// ReadPacketConn reads a message from what is not a [net.UDPConn].
func (g guard) ReadPacketConn(conn net.PacketConn, timeout time.Duration) ([]byte, net.Addr, error) {
	m, from, err := g.Reader.(dns.PacketConnReader).ReadPacketConn(conn, timeout)
	if err == nil && !g.harmless(m) {
		m = m[:0]
	}
	return m, from, err
}

func (g guard) harmless(packet []byte) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			caddy.Log().Named("nameserver").Error("panic over a message", zap.Any("value", r), zap.Binary("message", packet), zap.ByteString("stack", debug.Stack()))
			ok = false
		}
	}()
	var m dns.Msg
	if isAccepted(packet) && m.Unpack(packet) == nil && m.IsTsig() != nil {
		_ = dns.TsigVerifyWithProvider(slices.Clone(packet), g.keys, "", false) // it writes to the packet
	}
	return true
}

// isAccepted reports whether the library looks at more of a message than its
// header.
func isAccepted(packet []byte) bool {
	if len(packet) < 12 {
		return false
	}
	field := func(i int) uint16 { return binary.BigEndian.Uint16(packet[2*i:]) }
	h := dns.Header{Id: field(0), Bits: field(1), Qdcount: field(2), Ancount: field(3), Nscount: field(4), Arcount: field(5)}
	return dns.DefaultMsgAcceptFunc(h) == dns.MsgAccept
}

var (
	_ dns.Reader           = guard{}
	_ dns.PacketConnReader = guard{}
)
