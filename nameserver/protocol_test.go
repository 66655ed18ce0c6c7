package nameserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchangeUDP sends a message to a running server as it is.
func exchangeUDP(t *testing.T, server string, packet []byte) *dns.Msg {
	t.Helper()
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:n]); err != nil {
		t.Fatal(err)
	}
	return m
}

// A client may ask for a cookie alone (RFC 7873, section 5.4).
func TestCookieWithoutQuestion(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {}}}))
	for _, tc := range []struct {
		cookie string
		rcode  int
	}{{"0123456789abcdef", dns.RcodeSuccess}, {"", dns.RcodeFormatError}} {
		q := new(dns.Msg)
		q.Id = 7
		q.SetEdns0(1232, false)
		if tc.cookie != "" {
			q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: tc.cookie}}
		}
		wire, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		r := exchangeUDP(t, server, wire)
		if r.Rcode != tc.rcode || r.Id != 7 || len(r.Question) != 0 {
			t.Errorf("%q: %v", tc.cookie, r)
		}
		if opt := r.IsEdns0(); tc.cookie != "" && (opt == nil || len(opt.Option) != 1) {
			t.Errorf("no cookie: %v", r)
		}
		tcp, _, err := (&dns.Client{Net: "tcp"}).Exchange(q, server)
		if err != nil || tcp.Rcode != tc.rcode {
			t.Errorf("over TCP: %v, %v", tcp, err)
		}
	}
}

func TestMetaTypes(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	for _, qtype := range []uint16{dns.TypeNXNAME, dns.TypeOPT, dns.TypeTSIG} {
		c := overUDP("192.0.2.1")
		if h.ServeDNS(c, new(dns.Msg).SetQuestion("www.example.test.", qtype)); c.got.Rcode != dns.RcodeFormatError {
			t.Errorf("type %d: %v", qtype, c.got)
		}
	}
}

// What is no query is limited like what is one.
func TestErrorsAreLimited(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	h.limit = newLimiter(10)
	now := time.Now()
	h.now = func() time.Time { return now }
	for name, packet := range map[string]string{
		"opcode":       "\x00\x01\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
		"no question":  "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"cut question": "\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05abc",
	} {
		now = now.Add(time.Minute)
		answered := 0
		for range 100 {
			if h.answerSlow([]byte(packet), make([]byte, 0, 512), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1)}) != nil {
				answered++
			}
		}
		if answered != 10 {
			t.Errorf("%s: %d answers of 10", name, answered)
		}
	}
}

// An error about a signature says when it was made, also where it cannot be
// signed itself, and one about the time can be verified by whose clock is wrong.
func TestTimeOfSignatureErrors(t *testing.T) {
	h := testHandler(t, "example.test.", answerZone)
	secret, err := decodeSecret(transferSecret)
	if err != nil {
		t.Fatal(err)
	}
	h.keys = tsigKeys{"transfer.": {dns.HmacSHA256, secret}}
	now := time.Now()
	for _, tc := range []struct {
		what, key, secret string
		at                time.Time
		want              uint16
		signed            bool
	}{
		{"unknown key", "other.", transferSecret, now, dns.RcodeBadKey, false},
		{"wrong secret", "transfer.", "d3JvbmcgICAgICAgICAgICAgICAgICAgICAgICAgICA=", now, dns.RcodeBadSig, false},
		{"wrong time", "transfer.", transferSecret, now.Add(-time.Hour), dns.RcodeBadTime, true},
	} {
		q := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)
		q.SetTsig(tc.key, dns.HmacSHA256, 300, tc.at.Unix())
		wire, mac, err := dns.TsigGenerate(q, tc.secret, "", false)
		if err != nil {
			t.Fatal(err)
		}
		answer := h.answerSlow(wire, make([]byte, 0, 4096), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1)})
		r := new(dns.Msg)
		if err := r.Unpack(answer); err != nil {
			t.Fatal(err)
		}
		tsig := r.IsTsig()
		if r.Rcode != dns.RcodeNotAuth || tsig == nil || tsig.Error != tc.want || (tsig.MACSize > 0) != tc.signed {
			t.Errorf("%s: %v", tc.what, r)
			continue
		}
		if said := time.Unix(int64(tsig.TimeSigned), 0); !tc.signed && said.Sub(now).Abs() > 2*time.Second || tc.signed && said.Unix() != tc.at.Unix() {
			t.Errorf("%s: signed at %s", tc.what, said)
		}
		if tc.signed && tsig.MAC != errorMAC(t, answer, r, mac, secret) {
			t.Errorf("%s: the signature is wrong", tc.what)
		}
	}
}

// errorMAC computes the signature of an error (RFC 8945, section 5.3.2), which
// the library does not verify.
func errorMAC(t *testing.T, wire []byte, m *dns.Msg, requestMAC string, secret []byte) string {
	t.Helper()
	tsig := m.IsTsig()
	request, err := hex.DecodeString(requestMAC)
	if err != nil {
		t.Fatal(err)
	}
	digest := binary.BigEndian.AppendUint16(nil, uint16(len(request)))
	digest = append(digest, request...)
	unsigned := slices.Clone(wire[:len(wire)-dns.Len(tsig)])
	binary.BigEndian.PutUint16(unsigned[10:], uint16(len(m.Extra)-1))
	digest = append(digest, unsigned...)
	for _, name := range []string{tsig.Hdr.Name, tsig.Algorithm} {
		var buf [255]byte
		n, err := dns.PackDomainName(name, buf[:], 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		digest = append(digest, buf[:n]...)
		if name == tsig.Hdr.Name {
			digest = append(digest, 0, 255, 0, 0, 0, 0) // class ANY, TTL 0
		}
	}
	digest = append(digest, byte(tsig.TimeSigned>>40), byte(tsig.TimeSigned>>32))
	digest = binary.BigEndian.AppendUint32(digest, uint32(tsig.TimeSigned))
	for _, n := range []uint16{tsig.Fudge, tsig.Error, tsig.OtherLen} {
		digest = binary.BigEndian.AppendUint16(digest, n)
	}
	other, err := hex.DecodeString(tsig.OtherData)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, secret)
	h.Write(append(digest, other...))
	return hex.EncodeToString(h.Sum(nil))
}

// OPT comes back where it was sent, also with a zone transfer (RFC 6891,
// section 6.1.1).
func TestTransferWithOPT(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"example.test": {TransferTo: []string{"127.0.0.1"}}}}))
	q := new(dns.Msg).SetAxfr("example.test.")
	for _, with := range []bool{false, true} {
		if with {
			q.SetEdns0(1232, false)
		}
		conn, err := dns.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.WriteMsg(q); err != nil {
			t.Fatal(err)
		}
		r, err := conn.ReadMsg()
		if err != nil || len(r.Answer) < 3 || (r.IsEdns0() != nil) != with {
			t.Errorf("OPT %t: %v, %v", with, r, err)
		}
	}
}

// A zone may have a name as long as names can be, and so be longer than a file
// name.
func TestLongestZoneName(t *testing.T) {
	label := strings.Repeat("a", 63)
	zone := strings.Join([]string{label, label, label, strings.Repeat("b", 49), "test"}, ".") // 246 and room for ns1
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	app := &App{Listen: []string{server}, Zones: map[string]*Zone{zone: {Contact: "a@b.example", Records: []Record{{"w", "A", "192.0.2.1"}}}}}
	load(t, configFor(t, dir, app))
	p := providerAt(dir)
	if _, err := p.AppendRecords(t.Context(), zone, nil); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, "udp", server, "w."+zone+".", dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("%v", r)
	}
	if zones, err := providerAt(dir).ListZones(t.Context()); err != nil || len(zones) != 1 || zones[0].Name != zone+"." {
		t.Errorf("%v, %v", zones, err)
	}
}
