package nameserver

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// panicky panics over every signature.
type panicky struct{ dns.Reader }

func (panicky) Generate([]byte, *dns.TSIG) ([]byte, error) { panic("signature") }
func (panicky) Verify([]byte, *dns.TSIG) error             { panic("signature") }

func signedQuery(t testing.TB) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)
	m.SetTsig("transfer.", dns.HmacSHA256, 300, time.Now().Unix())
	wire, _, err := dns.TsigGenerate(m, transferSecret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestGuard(t *testing.T) {
	signed := signedQuery(t)
	before := string(signed)
	if (guard{nil, panicky{}}).harmless(signed) {
		t.Error("a message that is panicked over is let through")
	}
	secret, err := decodeSecret(transferSecret)
	if err != nil {
		t.Fatal(err)
	}
	if !(guard{nil, tsigKeys{"transfer.": {dns.HmacSHA256, secret}}}).harmless(signed) || string(signed) != before {
		t.Error("a good message is dropped or changed")
	}
}

// A panic outside of the handler does not end the process either.
func TestPanicOutsideOfTheHandler(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	h.keys = tsigKeys{"transfer.": {"none.", nil}} // an algorithm that does not exist
	m := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)
	m.SetTsig("transfer.", "none.", 300, time.Now().Unix())
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	port := uint(freePort(t))
	for network, sent := range map[string][]byte{"udp": wire, "tcp": append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)} {
		addr := caddy.NetworkAddress{Network: network, Host: "127.0.0.1", StartPort: port, EndPort: port}
		s, key, err := useSocket(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Delete(key)
		s.push(h)
		conn, err := net.Dial(network, addr.JoinHostPort(0))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		if r := ask(t, network, addr.JoinHostPort(0), "example.test.", dns.TypeSOA); len(r.Answer) != 1 {
			t.Errorf("%s: %v", network, r)
		}
	}
}

// FuzzServer sends raw bytes to sockets as they are in use, so through all
// that the library does before and after the handler.
func FuzzServer(f *testing.F) {
	h := testHandler(f, "example.test.", answerZone)
	secret, err := decodeSecret(transferSecret)
	if err != nil {
		f.Fatal(err)
	}
	h.keys = tsigKeys{"transfer.": {dns.HmacSHA256, secret}}
	h.transfers = map[string]*transferPolicy{"example.test.": {keys: []string{"transfer."}}}
	h.logger = zap.NewNop()
	port := uint(freePort(f))
	for _, network := range []string{"udp", "tcp"} {
		s, key, err := useSocket(f.Context(), caddy.NetworkAddress{Network: network, Host: "127.0.0.1", StartPort: port, EndPort: port})
		if err != nil {
			f.Fatal(err)
		}
		s.push(h)
		f.Cleanup(func() { _, _ = sockets.Delete(key) })
	}
	server := (&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}).String()
	probe := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)

	f.Add([]byte{}, false)
	for _, tcp := range []bool{false, true} {
		f.Add(signedQuery(f), tcp)
		f.Add(signedQuery(f)[:60], tcp)
		for _, m := range []*dns.Msg{probe, new(dns.Msg).SetAxfr("example.test."), new(dns.Msg).SetNotify("example.test."), new(dns.Msg).SetUpdate("example.test.")} {
			wire, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire, tcp)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		network, sent := "udp", packet
		if tcp {
			network, sent = "tcp", append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
		}
		conn, err := net.Dial(network, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(sent)
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil && len(packet) <= dns.MaxMsgSize {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Fatal("the connection hangs")
				}
			}
		}
		r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(probe, server)
		if err != nil || len(r.Answer) != 1 {
			t.Fatalf("after %x: %v %v", packet, r, err)
		}
	})
}
