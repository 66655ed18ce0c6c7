package nameserver

import (
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// guard reads messages over TCP for the library, and drops those that its parser would
// panic over: it parses outside of the handler, where nobody recovers, and a
// packet must not end the web server.
type guard struct {
	dns.Reader
	keys dns.TsigProvider
}

var errPanic = errors.New("the message cannot be parsed")

// ReadTCP reads a message. One that is dropped ends its connection.
func (g guard) ReadTCP(conn net.Conn, timeout time.Duration) ([]byte, error) {
	m, err := g.Reader.ReadTCP(conn, timeout)
	if err == nil && !g.harmless(m) {
		return nil, errPanic
	}
	return m, err
}

func (g guard) harmless(packet []byte) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			caddy.Log().Named("nameserver").Error("panic over a message", zap.Any("value", r), zap.Binary("message", packet), zap.ByteString("stack", debug.Stack()))
			ok = false
		}
	}()
	var m dns.Msg
	if head, ok := headerOf(packet); ok && accept(head) == dns.MsgAccept && m.Unpack(packet) == nil && m.IsTsig() != nil {
		_ = dns.TsigVerifyWithProvider(slices.Clone(packet), g.keys, "", false) // it writes to the packet
	}
	return true
}

var _ dns.Reader = guard{}
