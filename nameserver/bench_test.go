package nameserver

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// testHandler serves one zone from its master file.
func testHandler(t testing.TB, origin, file string) *handler {
	t.Helper()
	s, err := zonedata.Parse(origin, "test.zone", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	z := newZone(origin)
	z.served.Store(s)
	zones := catalog{origin: z}
	return &handler{zones: zones, wire: newWireCatalog(zones), now: time.Now, logger: zap.NewNop()}
}

// discard is a client that forgets the answer.
type discard struct {
	dns.ResponseWriter
	from net.Addr
	buf  []byte
}

func (d *discard) RemoteAddr() net.Addr { return d.from }
func (d *discard) TsigStatus() error    { return nil }
func (d *discard) WriteMsg(m *dns.Msg) error {
	_, err := m.PackBuffer(d.buf)
	return err
}

func BenchmarkAnswer(b *testing.B) {
	file := "@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n@ 300 IN NS ns1\n"
	for i := range 1000 {
		file += fmt.Sprintf("host%d 300 IN A 10.0.0.1\n", i)
	}
	h := testHandler(b, "example.test.", file)
	q := new(dns.Msg).SetQuestion("host7.example.test.", dns.TypeA)
	wire, err := q.Pack()
	if err != nil {
		b.Fatal(err)
	}
	w := &discard{from: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, buf: make([]byte, udpSize)}
	b.ReportAllocs()
	for b.Loop() {
		m := new(dns.Msg)
		if err := m.Unpack(wire); err != nil {
			b.Fatal(err)
		}
		h.ServeDNS(w, m)
	}
}

// BenchmarkAnswerFast answers what is common from the packed zone.
func BenchmarkAnswerFast(b *testing.B) {
	file := "@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n@ 300 IN NS ns1\n"
	for i := range 1000 {
		file += fmt.Sprintf("host%d 300 IN A 10.0.0.1\n", i)
	}
	h := testHandler(b, "example.test.", file)
	wire, err := new(dns.Msg).SetQuestion("host7.example.test.", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, maxQuery)
	client := netip.MustParseAddr("192.0.2.1")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if out, done := h.answerFast(wire, buf, client, now); !done || len(out) == 0 {
			b.Fatal("not answered")
		}
	}
}
