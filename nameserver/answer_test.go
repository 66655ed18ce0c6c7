package nameserver

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const answerZone = `
@            300 IN SOA   ns1 hostmaster 7 3600 600 86400 60
@            300 IN NS    ns1
@            300 IN A     192.0.2.1
ns1          300 IN A     192.0.2.1
www          300 IN A     192.0.2.2
www          300 IN A     192.0.2.3
alias        300 IN CNAME www
alias2       300 IN CNAME alias
dangling     300 IN CNAME nothing
outward      300 IN CNAME www.example.net.
loop         300 IN CNAME loop
a.b.empty    300 IN TXT   "x"
*.wild       300 IN A     192.0.2.9
*.wild       300 IN MX    10 www
sub.wild     300 IN TXT   "no wildcard below this"
*.aliases    300 IN CNAME www
child        300 IN NS    ns.child
child        300 IN NS    ns1
child        300 IN DS    1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.child     300 IN A     192.0.2.53
ns.child     300 IN AAAA  2001:db8::53
`

// client records what it is answered.
type client struct {
	dns.ResponseWriter
	from net.Addr
	got  *dns.Msg
	wire []byte
}

func (c *client) RemoteAddr() net.Addr { return c.from }
func (c *client) TsigStatus() error    { return nil }
func (c *client) TsigTimersOnly(bool)  {}
func (c *client) WriteMsg(m *dns.Msg) error {
	wire, err := m.Pack()
	if err != nil {
		return err
	}
	c.wire, c.got = wire, new(dns.Msg)
	return c.got.Unpack(wire)
}

func overUDP(ip string) *client { return &client{from: &net.UDPAddr{IP: net.ParseIP(ip), Port: 5000}} }
func overTCP(ip string) *client { return &client{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 5000}} }

func section(rrs []dns.RR) string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func TestAnswer(t *testing.T) {
	const (
		soa     = "example.test. 60 IN SOA ns1.example.test. hostmaster.example.test. 7 3600 600 86400 60"
		wwwA    = "www.example.test. 300 IN A 192.0.2.2; www.example.test. 300 IN A 192.0.2.3"
		childNS = "child.example.test. 300 IN NS ns.child.example.test.; child.example.test. 300 IN NS ns1.example.test."
		glue    = "ns.child.example.test. 300 IN A 192.0.2.53; ns.child.example.test. 300 IN AAAA 2001:db8::53"
	)
	h := testHandler(t, "example.test.", answerZone)
	for _, tc := range []struct {
		name, qname           string
		qtype                 uint16
		tcp                   bool
		rcode                 int
		referral              bool // not authoritative
		answer, ns, additions string
	}{
		{name: "RRset", qname: "www", qtype: dns.TypeA, answer: wwwA},
		{name: "apex SOA", qname: "", qtype: dns.TypeSOA, answer: strings.Replace(soa, "60", "300", 1)},
		{name: "apex NS", qname: "", qtype: dns.TypeNS, answer: "example.test. 300 IN NS ns1.example.test."},
		{name: "no data", qname: "www", qtype: dns.TypeAAAA, ns: soa},
		{name: "no name", qname: "nothing", qtype: dns.TypeA, rcode: dns.RcodeNameError, ns: soa},
		{name: "empty non-terminal", qname: "empty", qtype: dns.TypeA, ns: soa},
		{name: "empty non-terminal below", qname: "b.empty", qtype: dns.TypeTXT, ns: soa},
		{name: "below an empty non-terminal", qname: "c.empty", qtype: dns.TypeA, rcode: dns.RcodeNameError, ns: soa},
		{name: "alias", qname: "alias", qtype: dns.TypeA, answer: "alias.example.test. 300 IN CNAME www.example.test.; " + wwwA},
		{name: "alias itself", qname: "alias", qtype: dns.TypeCNAME, answer: "alias.example.test. 300 IN CNAME www.example.test."},
		{name: "chain", qname: "alias2", qtype: dns.TypeA, answer: "alias.example.test. 300 IN CNAME www.example.test.; alias2.example.test. 300 IN CNAME alias.example.test.; " + wwwA},
		{name: "chain to no data", qname: "alias", qtype: dns.TypeMX, answer: "alias.example.test. 300 IN CNAME www.example.test.", ns: soa},
		{name: "chain to nothing", qname: "dangling", qtype: dns.TypeA, rcode: dns.RcodeNameError, answer: "dangling.example.test. 300 IN CNAME nothing.example.test.", ns: soa},
		{name: "chain out of the zone", qname: "outward", qtype: dns.TypeA, answer: "outward.example.test. 300 IN CNAME www.example.net."},
		{name: "loop", qname: "loop", qtype: dns.TypeA, rcode: dns.RcodeServerFailure, answer: "loop.example.test. 300 IN CNAME loop.example.test."},
		{name: "wildcard", qname: "x.wild", qtype: dns.TypeA, answer: "x.wild.example.test. 300 IN A 192.0.2.9"},
		{name: "wildcard, deeper", qname: "y.x.wild", qtype: dns.TypeMX, answer: "y.x.wild.example.test. 300 IN MX 10 www.example.test."},
		{name: "wildcard, no data", qname: "x.wild", qtype: dns.TypeTXT, ns: soa},
		{name: "wildcard, blocked by a name", qname: "x.sub.wild", qtype: dns.TypeA, rcode: dns.RcodeNameError, ns: soa},
		{name: "wildcard asked for as such", qname: "*.wild", qtype: dns.TypeA, answer: "*.wild.example.test. 300 IN A 192.0.2.9"},
		{name: "wildcard alias", qname: "x.aliases", qtype: dns.TypeA, answer: wwwA + "; x.aliases.example.test. 300 IN CNAME www.example.test."},
		{name: "delegation", qname: "child", qtype: dns.TypeA, referral: true, ns: childNS, additions: glue},
		{name: "below a delegation", qname: "x.y.child", qtype: dns.TypeA, referral: true, ns: childNS, additions: glue},
		{name: "glue is not authoritative", qname: "ns.child", qtype: dns.TypeA, referral: true, ns: childNS, additions: glue},
		{name: "DS of a delegation", qname: "child", qtype: dns.TypeDS, answer: "child.example.test. 300 IN DS 1 8 2 " + strings.Repeat("0", 64)},
		{name: "ANY", qname: "www", qtype: dns.TypeANY, answer: `www.example.test. 300 IN HINFO "RFC8482" ""`},
		{name: "ANY of an alias", qname: "alias", qtype: dns.TypeANY, answer: "alias.example.test. 300 IN CNAME www.example.test."},
		{name: "ANY over TCP", qname: "www", qtype: dns.TypeANY, tcp: true, answer: wwwA},
		{name: "case as asked", qname: "WwW", qtype: dns.TypeA, answer: strings.ReplaceAll(wwwA, "www", "WwW")},
		{name: "type 0", qname: "www", qtype: dns.TypeNone, rcode: dns.RcodeFormatError, referral: true},
		{name: "AXFR", qname: "", qtype: dns.TypeAXFR, tcp: true, rcode: dns.RcodeRefused, referral: true},
		{name: "IXFR", qname: "", qtype: dns.TypeIXFR, rcode: dns.RcodeRefused, referral: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := overUDP("198.51.100.1")
			if tc.tcp {
				c = overTCP("198.51.100.1")
			}
			name := strings.TrimPrefix(tc.qname+".example.test.", ".")
			h.ServeDNS(c, new(dns.Msg).SetQuestion(name, tc.qtype))
			m := c.got
			if m.Rcode != tc.rcode || m.Authoritative == tc.referral || !m.Response || m.RecursionAvailable || !m.RecursionDesired {
				t.Errorf("header: %v", m.MsgHdr)
			}
			if m.Question[0].Name != name {
				t.Errorf("question: %v", m.Question)
			}
			for i, got := range []string{section(m.Answer), section(m.Ns), section(m.Extra)} {
				if want := []string{tc.answer, tc.ns, tc.additions}[i]; got != want {
					t.Errorf("section %d:\ngot  %s\nwant %s", i, got, want)
				}
			}
		})
	}
}

// Of a zone and its parent on one server, each answers for its own side of the
// zone cut.
func TestZoneAndItsParent(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone+"to-child 300 IN CNAME www.child\n")
	child := testHandler(t, "child.example.test.", "@ 300 IN SOA ns hostmaster 9 1 1 1 60\n@ 300 IN NS ns\nns 300 IN A 192.0.2.53\nwww 300 IN A 192.0.2.80\n")
	h.zones["child.example.test."] = child.zones["child.example.test."]
	for _, tc := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"www.child.example.test.", dns.TypeA, "www.child.example.test. 300 IN A 192.0.2.80"},
		{"child.example.test.", dns.TypeNS, "child.example.test. 300 IN NS ns.child.example.test."},
		{"child.example.test.", dns.TypeDS, "child.example.test. 300 IN DS 1 8 2 " + strings.Repeat("0", 64)},
		{"to-child.example.test.", dns.TypeA, "to-child.example.test. 300 IN CNAME www.child.example.test.; www.child.example.test. 300 IN A 192.0.2.80"},
	} {
		c := overUDP("198.51.100.1")
		h.ServeDNS(c, new(dns.Msg).SetQuestion(tc.name, tc.qtype))
		if got := section(c.got.Answer); got != tc.want || !c.got.Authoritative {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tc.name, dns.TypeToString[tc.qtype], got, tc.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	h.zones["broken.test."] = newZone("broken.test.")
	query := func(edit func(*dns.Msg)) *dns.Msg {
		q := new(dns.Msg).SetQuestion("www.example.test.", dns.TypeA)
		edit(q)
		return q
	}
	for name, tc := range map[string]struct {
		q    *dns.Msg
		want int
	}{
		"outside":        {query(func(q *dns.Msg) { q.Question[0].Name = "www.example.net." }), dns.RcodeRefused},
		"parent":         {query(func(q *dns.Msg) { q.Question[0].Name = "test." }), dns.RcodeRefused},
		"root":           {query(func(q *dns.Msg) { q.Question[0].Name = "." }), dns.RcodeRefused},
		"no dot between": {query(func(q *dns.Msg) { q.Question[0].Name = "notexample.test." }), dns.RcodeRefused},
		"class":          {query(func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		"UPDATE":         {query(func(q *dns.Msg) { q.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		"NOTIFY":         {query(func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		"two questions":  {query(func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }), dns.RcodeFormatError},
		"EDNS version":   {query(func(q *dns.Msg) { q.SetEdns0(1232, false); q.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		"two OPTs":       {query(func(q *dns.Msg) { q.SetEdns0(1232, false); q.Extra = append(q.Extra, q.Extra[0]) }), dns.RcodeFormatError},
		"not loaded":     {query(func(q *dns.Msg) { q.Question[0].Name = "broken.test." }), dns.RcodeServerFailure},
	} {
		t.Run(name, func(t *testing.T) {
			c := overUDP("198.51.100.1")
			h.ServeDNS(c, tc.q)
			if c.got.Rcode != tc.want || len(c.got.Answer) != 0 || c.got.Opcode != tc.q.Opcode {
				t.Errorf("%v", c.got)
			}
		})
	}
}

func TestEDNSAndTruncation(t *testing.T) {
	file := answerZone
	for i := range 200 {
		file += fmt.Sprintf("many 300 IN AAAA 2001:db8::%x\n", i)
	}
	h := testHandler(t, "example.test.", file)
	for _, tc := range []struct {
		size      uint16 // 0: no EDNS
		tcp       bool
		limit     int
		truncated bool
	}{
		{0, false, 512, true}, {100, false, 512, true}, {1232, false, 1232, true}, {65535, false, 1232, true},
		{0, true, dns.MaxMsgSize, false}, {512, true, dns.MaxMsgSize, false},
	} {
		c := overUDP("198.51.100.1")
		if tc.tcp {
			c = overTCP("198.51.100.1")
		}
		q := new(dns.Msg).SetQuestion("many.example.test.", dns.TypeAAAA)
		if tc.size > 0 {
			q.SetEdns0(tc.size, true)
		}
		h.ServeDNS(c, q)
		opt := c.got.IsEdns0()
		if c.got.Truncated != tc.truncated || len(c.wire) > tc.limit || (opt != nil) != (tc.size > 0) {
			t.Errorf("%+v: %d bytes, truncated %t, OPT %v", tc, len(c.wire), c.got.Truncated, opt)
		}
		if opt != nil && (opt.UDPSize() != udpSize || !opt.Do() || opt.Version() != 0) {
			t.Errorf("%+v: %v", tc, opt)
		}
	}
}

func TestLimiter(t *testing.T) {
	l := newLimiter(10)
	now := time.Unix(1e9, 0)
	count := func(client string, n int) map[verdict]int {
		got := make(map[verdict]int)
		for range n {
			got[l.check(netip.MustParseAddr(client), kindAnswer, []byte("www."), now)]++
		}
		return got
	}
	if got := count("198.51.100.1", 10); got[send] != 10 {
		t.Errorf("within the limit: %v", got)
	}
	if got := count("198.51.100.200", 100); got[send] != 0 || got[sendTruncated] != 50 || got[drop] != 50 {
		t.Errorf("the same network, above the limit: %v", got)
	}
	if got := count("2001:db8:1:2::1", 20); got[send] != 10 {
		t.Errorf("another network: %v", got)
	}
	if got := count("2001:db8:1:ff::1", 20); got[send] != 0 {
		t.Errorf("the same /56: %v", got)
	}
	if got := count("127.0.0.1", 1000); got[send] != 1000 {
		t.Errorf("this machine: %v", got)
	}
	now = now.Add(500 * time.Millisecond)
	if got := count("198.51.100.1", 20); got[send] != 5 {
		t.Errorf("half a second later: %v", got)
	}
	if got := (*limiter)(nil).check(netip.MustParseAddr("198.51.100.1"), kindAnswer, nil, now); got != send {
		t.Errorf("no limit: %v", got)
	}
}

// Who forges the address of a big resolver and asks for one name over and over
// does not keep that resolver from answers for other names, nor can he ask for
// names that he makes up without end.
func TestLimitsAreForEachNameAndKind(t *testing.T) {
	l := newLimiter(10)
	now := time.Unix(1e9, 0)
	client := netip.MustParseAddr("198.51.100.1")
	for range 200 {
		l.check(client, kindAnswer, []byte("forged."), now)
		l.check(client, kindNoName, []byte("example.test."), now)
	}
	for _, tc := range []struct {
		kind answerKind
		name string
		want verdict
	}{
		{kindAnswer, "www.", send}, {kindNoData, "example.test.", send}, {kindNoName, "another.test.", send}, {kindError, "", send},
	} {
		if got := l.check(client, tc.kind, []byte(tc.name), now); got != tc.want {
			t.Errorf("%d %s: %d", tc.kind, tc.name, got)
		}
	}
	if l.check(client, kindNoName, []byte("example.test."), now) == send {
		t.Error("names that do not exist are not limited together")
	}
	sent := 0
	for i := range 20 * allFactor {
		if l.check(client, kindAnswer, fmt.Appendf(nil, "name%d.", i), now) == send {
			sent++
		}
	}
	if sent > 11*allFactor {
		t.Errorf("%d answers for names that differ", sent)
	}
}

// A clock that is set back does not shut out those who had asked before.
func TestLimiterWhenTheClockIsSetBack(t *testing.T) {
	l := newLimiter(10)
	client := netip.MustParseAddr("192.0.2.1")
	now := time.Now()
	l.check(client, kindAnswer, nil, now)
	now = now.Add(-time.Hour)
	sent := 0
	for range 50 {
		if l.check(client, kindAnswer, nil, now) == send {
			sent++
		}
	}
	if sent != 10 {
		t.Errorf("%d answers of 10", sent)
	}
}

// A client over the limit gets no more bytes than it sent, unless it shows by
// TCP or a cookie that it is where it says.
func TestNoAmplification(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	h.limit = newLimiter(1)
	now := time.Now()
	h.now = func() time.Time { return now }
	q := new(dns.Msg).SetQuestion("www.example.test.", dns.TypeA)
	sent, received, truncated := 0, 0, 0
	for i := range 100 {
		c := overUDP("198.51.100.1")
		h.ServeDNS(c, q)
		if i > 0 {
			sent += q.Len()
			received += len(c.wire)
			if c.got != nil && c.got.Truncated {
				truncated++
			}
		}
	}
	if received > sent || truncated == 0 {
		t.Errorf("%d bytes for %d, %d truncated", received, sent, truncated)
	}
	tcp := overTCP("198.51.100.1")
	if h.ServeDNS(tcp, q); tcp.got == nil || len(tcp.got.Answer) != 2 {
		t.Errorf("over TCP: %v", tcp.got)
	}

	q.SetEdns0(1232, false)
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}
	q.IsEdns0().Option = []dns.EDNS0{cookie}
	h.limit = nil
	c := overUDP("198.51.100.1")
	h.ServeDNS(c, q)
	full := c.got.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	if !strings.HasPrefix(full, cookie.Cookie) || len(full) != 2*(clientCookieLen+serverCookieLen) {
		t.Fatalf("cookie %s", full)
	}
	h.limit = newLimiter(1)
	h.limit.check(netip.MustParseAddr("198.51.100.1"), kindAnswer, []byte("www.example.test."), now)
	for _, tc := range []struct {
		what, from, cookie string
		later              time.Duration
		proven             bool
	}{
		{"its cookie", "198.51.100.1", full, 0, true},
		{"somebody else's", "198.51.100.2", full, 0, false},
		{"a forged one", "198.51.100.1", full[:len(full)-2] + "00", 0, false},
		{"an old one", "198.51.100.1", full, 2 * time.Hour, false},
	} {
		raw := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: tc.cookie}
		if _, proven, ok := checkCookie(raw, netip.MustParseAddr(tc.from), now.Add(tc.later)); !ok || proven != tc.proven {
			t.Errorf("%s: proven %t", tc.what, proven)
		}
	}
	cookie.Cookie = full
	for range 10 {
		c := overUDP("198.51.100.1")
		if h.ServeDNS(c, q); c.got == nil || len(c.got.Answer) != 2 {
			t.Fatal("the client with a cookie is limited")
		}
	}
	cookie.Cookie, h.limit = "0123", nil
	if h.ServeDNS(c, q); c.got.Rcode != dns.RcodeFormatError {
		t.Errorf("malformed cookie: %v", c.got)
	}
}

func FuzzHandler(f *testing.F) {
	h := testHandler(f, "example.test.", answerZone)
	h.transfers = map[string]*transferPolicy{"example.test.": {networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR, dns.TypeDS} {
		for _, name := range []string{".", "example.test.", "x.wild.example.test.", "alias2.example.test.", "ns.child.example.test."} {
			q := new(dns.Msg).SetQuestion(name, qtype)
			q.SetEdns0(512, true)
			q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
			wire, err := q.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire, qtype == dns.TypeAXFR)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		q := new(dns.Msg)
		if len(packet) < 12 || q.Unpack(packet) != nil || q.Response {
			return
		}
		c := overUDP("198.51.100.1")
		if tcp {
			c = overTCP("198.51.100.1")
		}
		h.ServeDNS(c, q)
		if c.got == nil {
			t.Fatal("no answer")
		}
		if !tcp && len(c.wire) > udpSize {
			t.Fatalf("%d bytes over UDP", len(c.wire))
		}
		if c.got.Id != q.Id && !bytes.Equal(packet[:2], c.wire[:2]) || !c.got.Response || c.got.RecursionAvailable {
			t.Fatalf("header: %v", c.got.MsgHdr)
		}
		if len(q.Question) == 1 && (len(c.got.Question) != 1 || c.got.Question[0] != q.Question[0]) {
			t.Fatalf("asked %v, answered for %v", q.Question, c.got.Question)
		}
	})
}
