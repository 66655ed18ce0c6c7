package nameserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// bothWays answers a message by the fast way, if that knows how, and by the
// slow one.
func bothWays(h *handler, packet []byte) (fast, slow []byte, done bool) {
	from := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000}
	fast, done = h.answerFast(packet, make([]byte, 0, maxQuery), netip.MustParseAddr("192.0.2.1"), time.Now())
	return fast, h.answerSlow(packet, make([]byte, 0, maxQuery), from), done
}

// sameAnswer fails where the two ways say different things.
func sameAnswer(t *testing.T, packet, fast, slow []byte) {
	t.Helper()
	var a, b dns.Msg
	if err := a.Unpack(fast); err != nil {
		t.Fatalf("%x: %v in %x", packet, err, fast)
	}
	if err := b.Unpack(slow); err != nil {
		t.Fatal(err)
	}
	if a.Id != b.Id || fmt.Sprint(a.Question) != fmt.Sprint(b.Question) || describe(&a) != describe(&b) {
		t.Errorf("fast: %v\nslow: %v", &a, &b)
	}
}

// What is common is answered in another way than what is rare, and no
// differently.
func TestFastAnswers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	base, err := (&Zone{NameServers: []NameServer{{Host: "ns1"}, {Host: "ns.example.net"}}}).declare(newReplacer(), "example.test.", nobody)
	if err != nil {
		t.Fatal(err)
	}
	s, err := base.first("example.test.")
	if err != nil {
		t.Fatal(err)
	}
	d := s.Edit()
	if _, err := setRecords(d, randomZone(r, "example.test.")); err != nil {
		t.Fatal(err)
	}
	if s, err = d.Build(); err != nil {
		t.Fatal(err)
	}
	h := testHandler(t, "example.test.", string(s.Format()))
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeCNAME, dns.TypeSRV, dns.TypeHTTPS, dns.TypeNS, dns.TypeSOA, dns.TypeDS, dns.TypeANY, dns.TypeNXNAME}
	special := []string{"", "big.", "long.", "chain0.", "loop1.", "self.", "to-nothing.", "x.big."}
	known := 0
	for range 20000 {
		name := randomName(r, 1+r.IntN(5)) + "."
		if r.IntN(5) == 0 {
			name = special[r.IntN(len(special))]
		}
		name += "example.test."
		if r.IntN(3) == 0 {
			name = strings.ToUpper(name)
		}
		q := new(dns.Msg).SetQuestion(name, types[r.IntN(len(types))])
		q.RecursionDesired, q.CheckingDisabled = r.IntN(2) == 0, r.IntN(4) == 0
		if r.IntN(2) == 0 {
			q.SetEdns0([]uint16{512, 1232, 4096, 100}[r.IntN(4)], r.IntN(2) == 0)
		}
		packet, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if fast, slow, done := bothWays(h, packet); done {
			known++
			sameAnswer(t, packet, fast, slow)
		}
	}
	if known < 8000 {
		t.Errorf("only %d of 20000 were answered the fast way", known)
	}
}

func FuzzFastAnswer(f *testing.F) {
	h := testHandler(f, "example.test.", answerZone)
	for _, name := range []string{"www", "alias2", "x.wild", "nothing", "child", "x.aliases", "dangling", "empty"} {
		m := new(dns.Msg).SetQuestion(name+".example.test.", dns.TypeA)
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
		m.SetEdns0(1232, true)
		if wire, err = m.Pack(); err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if fast, slow, done := bothWays(h, packet); done {
			sameAnswer(t, packet, fast, slow)
		}
	})
}

func TestFastAnswersMakeNoGarbage(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	h.limit = newLimiter(1e6)
	buf := make([]byte, 0, maxQuery)
	now := time.Now()
	for _, name := range []string{"www", "alias2", "x.wild", "nothing"} {
		packet, err := new(dns.Msg).SetQuestion(name+".example.test.", dns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { h.answerFast(packet, buf, netip.MustParseAddr("192.0.2.1"), now) }); n > 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}
