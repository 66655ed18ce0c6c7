package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const transferSecret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="

func TestTransferTo(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, dir, &App{
		Listen:   []string{server},
		TSIGKeys: map[string]*TSIGKey{"Transfer": {Secret: transferSecret}, "other": {Secret: transferSecret}},
		Zones: map[string]*Zone{
			"keyed.test":  {TransferTo: []string{"key:transfer", "192.0.2.1"}},
			"listed.test": {TransferTo: []string{"127.0.0.0/8"}},
		},
	}))
	// More than fits one message.
	var recs []libdns.Record
	for i := range 3000 {
		recs = append(recs, address(fmt.Sprintf("host%d", i), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
	}
	for _, zone := range []string{"keyed.test", "listed.test"} {
		if _, err := providerAt(dir).SetRecords(context.Background(), zone, recs); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		what, zone, key, secret string
		records                 int
	}{
		{"the address is listed", "listed.test.", "", "", 3003},
		{"the key is listed", "keyed.test.", "transfer.", transferSecret, 3003},
		{"no key", "keyed.test.", "", "", 0},
		{"another key", "keyed.test.", "other.", transferSecret, 0},
		{"an unknown key", "keyed.test.", "unknown.", transferSecret, 0},
		{"a wrong secret", "keyed.test.", "transfer.", "d3Jvbmc=", 0},
		{"not a zone", "host1.listed.test.", "", "", 0},
	} {
		t.Run(tc.what, func(t *testing.T) {
			m := new(dns.Msg).SetAxfr(tc.zone)
			tr := new(dns.Transfer)
			if tc.key != "" {
				tr.TsigSecret = map[string]string{tc.key: tc.secret}
				m.SetTsig(tc.key, dns.HmacSHA256, 300, time.Now().Unix())
			}
			envelopes, err := tr.In(m, server)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for e := range envelopes {
				err = e.Error
				n += len(e.RR)
			}
			if tc.records > 0 && (err != nil || n != tc.records) {
				t.Errorf("%d records, %v", n, err)
			}
			if tc.records == 0 && (err == nil || n > 0) {
				t.Errorf("%d records, %v", n, err)
			}
		})
	}
	for _, network := range []string{"udp", "tcp"} {
		serial := ask(t, network, server, "listed.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
		m := new(dns.Msg).SetIxfr("listed.test.", serial, "ns1.listed.test.", "hostmaster.listed.test.")
		r, _, err := (&dns.Client{Net: network}).Exchange(m, server)
		if err != nil || len(r.Answer) != 1 {
			t.Errorf("IXFR from the present serial over %s: %v %v", network, r, err)
		}
	}
}

// Secondaries sign all that they ask, and want what they get to be signed.
func TestSignedQueries(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{
		Listen:   []string{server},
		TSIGKeys: map[string]*TSIGKey{"transfer": {Secret: transferSecret}},
		Zones:    map[string]*Zone{"example.test": {}},
	}))
	for _, network := range []string{"udp", "tcp"} {
		for secret, want := range map[string]int{transferSecret: dns.RcodeSuccess, "d3Jvbmc=": dns.RcodeNotAuth} {
			m := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)
			m.SetTsig("transfer.", dns.HmacSHA256, 300, time.Now().Unix())
			client := &dns.Client{Net: network, TsigSecret: map[string]string{"transfer.": secret}}
			r, _, err := client.Exchange(m, server)
			if r == nil || r.Rcode != want || want == dns.RcodeSuccess && (err != nil || r.IsTsig() == nil || len(r.Answer) != 1) {
				t.Errorf("%s: %v %v", network, r, err)
			}
		}
	}
}

// A refused signature is refused with the reason (RFC 8945, section 5.2).
func TestRefusedSignatures(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{
		Listen:   []string{server},
		TSIGKeys: map[string]*TSIGKey{"transfer": {Secret: transferSecret}},
		Zones:    map[string]*Zone{"example.test": {}},
	}))
	now := time.Now().Unix()
	for _, tc := range []struct {
		what, key, algorithm, secret string
		signed                       int64
		want                         uint16
		isSigned                     bool
	}{
		{"unknown key", "unknown.", dns.HmacSHA256, transferSecret, now, dns.RcodeBadKey, false},
		{"another algorithm", "transfer.", dns.HmacSHA512, transferSecret, now, dns.RcodeBadKey, false},
		{"wrong secret", "transfer.", dns.HmacSHA256, "d3Jvbmc=", now, dns.RcodeBadSig, false},
		{"long ago", "transfer.", dns.HmacSHA256, transferSecret, now - 4000, dns.RcodeBadTime, true},
	} {
		m := new(dns.Msg).SetQuestion("example.test.", dns.TypeSOA)
		m.SetTsig(tc.key, tc.algorithm, 300, tc.signed)
		client := &dns.Client{Net: "tcp", TsigSecret: map[string]string{tc.key: tc.secret}}
		r, _, err := client.Exchange(m, server)
		if r == nil || r.Rcode != dns.RcodeNotAuth || r.IsTsig() == nil || len(r.Answer) > 0 {
			t.Errorf("%s: %v %v", tc.what, r, err)
			continue
		}
		tsig := r.IsTsig()
		if tsig.Error != tc.want || (tsig.MACSize > 0) != tc.isSigned {
			t.Errorf("%s: %v", tc.what, tsig)
		}
		if tc.want == dns.RcodeBadTime {
			at, perr := strconv.ParseInt(tsig.OtherData, 16, 64)
			if perr != nil || at < now || at > now+60 || tsig.TimeSigned != uint64(tc.signed) || !errors.Is(err, dns.ErrAuth) {
				t.Errorf("%s: %v, %v", tc.what, tsig, err)
			}
		}
	}
}

// A signed answer fits what the client takes, however long the key's name.
func TestRoomForTheSignature(t *testing.T) {
	key := strings.Repeat(strings.Repeat("k", 60)+".", 4)
	var records []Record
	for i := range 20 {
		records = append(records, Record{"big", "TXT", fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", 10))})
	}
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, t.TempDir(), &App{
		Listen:   []string{server},
		TSIGKeys: map[string]*TSIGKey{key: {Secret: transferSecret, Algorithm: "hmac-sha512"}},
		Zones:    map[string]*Zone{"example.test": {Records: records}},
	}))
	for _, size := range []uint16{0, 512, 800, udpSize} {
		m := new(dns.Msg).SetQuestion("big.example.test.", dns.TypeTXT)
		if size > 0 {
			m.SetEdns0(size, false)
		}
		m.SetTsig(key, dns.HmacSHA512, 300, time.Now().Unix())
		client := &dns.Client{UDPSize: 4096, TsigSecret: map[string]string{key: transferSecret}}
		r, _, err := client.Exchange(m, server)
		if err != nil {
			t.Fatal(err)
		}
		if wire, err := r.Pack(); err != nil || len(wire) > int(max(size, dns.MinMsgSize)) {
			t.Errorf("%d bytes to one who takes %d (%v)", len(wire), size, err)
		}
	}
}

func TestBINDAsSecondary(t *testing.T) {
	needs(t, "named")
	dir := t.TempDir()
	port, secondaryPort := freePort(t), freePort(t)
	load(t, configFor(t, dir, &App{
		Listen:   []string{fmt.Sprintf("127.0.0.1:%d", port)},
		TSIGKeys: map[string]*TSIGKey{"transfer": {Secret: transferSecret}},
		Zones: map[string]*Zone{"example.test": {
			TransferTo: []string{"key:transfer"},
			Notify:     []string{fmt.Sprintf("127.0.0.1:%d", secondaryPort)},
		}},
	}))
	secondary := startBIND(t, secondaryPort, "example.test",
		fmt.Sprintf(`type secondary; primaries { 127.0.0.1 port %d key transfer; }; file "copy.zone"; masterfile-format text;`, port),
		fmt.Sprintf(`key "transfer" { algorithm hmac-sha256; secret "%s"; };`, transferSecret))
	for i := range 3 {
		ip := fmt.Sprintf("192.0.2.%d", i+1)
		if _, err := providerAt(dir).SetRecords(context.Background(), "example.test", []libdns.Record{address("www", ip)}); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			r := ask(t, "udp", secondary, "www.example.test.", dns.TypeA)
			if len(r.Answer) == 1 && strings.HasSuffix(r.Answer[0].String(), "\t"+ip) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the secondary does not have %s: %v", ip, r)
			}
		}
	}
}
