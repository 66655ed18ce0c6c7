package nameserver

import (
	"encoding/binary"
	"net"
	"slices"

	"github.com/miekg/dns"
)

// answerSlow answers a message over UDP by all that the library knows.
func (h *handler) answerSlow(packet, buf []byte, from net.Addr) []byte {
	w := &udpWriter{from: from, keys: h.keys, out: buf[:0]}
	head, ok := headerOf(packet)
	if !ok {
		return nil // any reply can be used to amplify
	}
	q := new(dns.Msg)
	switch accept(head) {
	case dns.MsgIgnore:
		return nil
	case dns.MsgRejectNotImplemented:
		h.reject(w, head, dns.RcodeNotImplemented)
		return w.written
	case dns.MsgReject:
		h.reject(w, head, dns.RcodeFormatError)
		return w.written
	}
	if q.Unpack(packet) != nil {
		h.reject(w, head, dns.RcodeFormatError)
		return w.written
	}
	if tsig := q.IsTsig(); tsig != nil {
		w.status = dns.TsigVerifyWithProvider(slices.Clone(packet), h.keys, "", false) // it writes to the packet
		w.mac = tsig.MAC
	}
	h.ServeDNS(w, q)
	return w.written
}

// reject answers what is no query with its header alone.
func (h *handler) reject(w *udpWriter, head dns.Header, rcode int) {
	client, _ := clientOf(w.from)
	if h.limit.check(client, kindError, nil, h.now()) != send {
		return
	}
	counted.outside.add(false, rcode)
	m := new(dns.Msg)
	m.Id, m.Response, m.Opcode, m.Rcode = head.Id, true, int(head.Bits>>11)&15, rcode
	_ = w.WriteMsg(m)
}

func headerOf(packet []byte) (dns.Header, bool) {
	if len(packet) < headerSize {
		return dns.Header{}, false
	}
	field := func(i int) uint16 { return binary.BigEndian.Uint16(packet[2*i:]) }
	return dns.Header{Id: field(0), Bits: field(1), Qdcount: field(2), Ancount: field(3), Nscount: field(4), Arcount: field(5)}, true
}

// accept tells by its header whether a message is a query. One without a
// question may ask for a cookie (RFC 7873, section 5.4).
func accept(head dns.Header) dns.MsgAcceptAction {
	if head.Qdcount == 0 && head.Arcount > 0 {
		head.Qdcount = 1
	}
	return dns.DefaultMsgAcceptFunc(head)
}

// udpWriter takes the answer to one message.
type udpWriter struct {
	from    net.Addr
	keys    tsigKeys
	status  error
	mac     string
	out     []byte // room for the answer
	written []byte
}

func (w *udpWriter) LocalAddr() net.Addr  { return nil }
func (w *udpWriter) RemoteAddr() net.Addr { return w.from }
func (w *udpWriter) TsigStatus() error    { return w.status }
func (w *udpWriter) TsigTimersOnly(bool)  {}
func (w *udpWriter) Hijack()              {}
func (w *udpWriter) Close() error         { return nil }

// WriteMsg takes a message, and signs it where it says so.
func (w *udpWriter) WriteMsg(m *dns.Msg) (err error) {
	if m.IsTsig() != nil {
		w.written, _, err = dns.TsigGenerateWithProvider(m, w.keys, w.mac, false)
		return err
	}
	w.written, err = m.PackBuffer(w.out[:cap(w.out)])
	return err
}

// Write takes a message in wire form.
func (w *udpWriter) Write(b []byte) (int, error) {
	w.written = b
	return len(b), nil
}

var _ dns.ResponseWriter = (*udpWriter)(nil)
