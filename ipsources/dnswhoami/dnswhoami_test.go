package dnswhoami

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/simplehttp"
)

func TestDNSCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in      string
		want    DNS
		wantErr string
	}{
		{in: "dns"},
		{
			in: "dns {\n endpoint 1.1.1.1 whoami.cloudflare CH TXT\n endpoint dns.example.net:8853 {env.NAME}\n endpoint [2001:db8::1]:8853#dns.example.net x.example.net txt\n quorum 3\n timeout 3s\n interface wan2\n}",
			want: DNS{
				Endpoints: []Endpoint{
					{Server: "1.1.1.1", Name: "whoami.cloudflare", Class: "CH", Type: "TXT"},
					{Server: "dns.example.net:8853", Name: "{env.NAME}"},
					{Server: "[2001:db8::1]:8853#dns.example.net", Name: "x.example.net", Type: "TXT"},
				},
				Options: remote.Options{Quorum: 3, Timeout: caddy.Duration(3 * time.Second), Interface: "wan2"},
			},
		},
		{in: "dns 1.1.1.1", wantErr: "unexpected argument \"1.1.1.1\": write servers in a block, as in: endpoint 1.1.1.1 whoami.cloudflare CH TXT"},
		{in: "dns {\n endpoint 1.1.1.1\n}", wantErr: "endpoint needs a server and a name to ask for, as in: endpoint 1.1.1.1 whoami.cloudflare CH TXT"},
		{in: "dns {\n endpoint 1.1.1.1 x AAAA\n}", wantErr: `"AAAA" is neither a class nor a type`},
		{in: "dns {\n endpoint https://dns.example.net x\n}", wantErr: `"https://dns.example.net" is no DNS server: write a name or an address`},
		{in: "dns {\n endpoint ::ffff:1.1.1.1 x\n}", wantErr: "write 1.1.1.1"},
		{in: "dns {\n endpoint 1.1.1.1 a..b\n}", wantErr: `"a..b" is no name to ask for`},
		{in: "dns {\n quorum\n}", wantErr: "quorum needs one number"},
		{in: "dns {\n quorum 0\n}", wantErr: "write 1 or more"},
		{in: "dns {\n quorum 2\n quorum 3\n}", wantErr: "quorum is given twice"},
		{in: "dns {\n timeout\n}", wantErr: "timeout needs one duration"},
		{in: "dns {\n timeout 1ms\n}", wantErr: "at least 100ms"},
		{in: "dns {\n timeout 1s\n timeout 2s\n}", wantErr: "timeout is given twice"},
		{in: "dns {\n interface\n}", wantErr: "interface needs the name"},
		{in: "dns {\n interface a\n interface b\n}", wantErr: "interface is given twice"},
		{in: "dns {\n server x\n}", wantErr: `unrecognized subdirective "server"`},
		{in: "dns {\n quorum 2 {\n x\n }\n}", wantErr: "take no block"},
	} {
		var s DNS
		err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err != nil {
			if !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("%s: no file and line in %v", tc.in, err)
			}
			continue
		}
		if !slices.Equal(s.Endpoints, tc.want.Endpoints) || s.Quorum != tc.want.Quorum || s.Timeout != tc.want.Timeout || s.Interface != tc.want.Interface {
			t.Errorf("%s: got %+v", tc.in, s)
		}
	}
}

func TestDNSProvision(t *testing.T) {
	t.Setenv("WHOAMI", "whoami.example.net")
	for name, tc := range map[string]struct {
		in      DNS
		wantErr string
	}{
		"default":           {},
		"placeholders":      {in: DNS{Endpoints: []Endpoint{{Server: "{env.WHOAMI}", Name: "{env.WHOAMI}"}}}},
		"empty placeholder": {in: DNS{Endpoints: []Endpoint{{Server: "1.1.1.1", Name: "{env.NO_SUCH_NAME}"}}}, wantErr: `endpoints[0]: name "{env.NO_SUCH_NAME}": `},
		"class":             {in: DNS{Endpoints: []Endpoint{{Server: "1.1.1.1", Name: "x", Class: "HS"}}}, wantErr: `class "HS": write IN or CH`},
		"type":              {in: DNS{Endpoints: []Endpoint{{Server: "1.1.1.1", Name: "x", Type: "A"}}}, wantErr: `type "A": write TXT, or leave it out`},
		"no name":           {in: DNS{Endpoints: []Endpoint{{Server: "1.1.1.1"}}}, wantErr: "is no name to ask for"},
		"no server":         {in: DNS{Endpoints: []Endpoint{{Name: "x"}}}, wantErr: "is no DNS server"},
		"quorum":            {in: DNS{Options: remote.Options{Quorum: -1}}, wantErr: "write 1 or more"},
		"timeout":           {in: DNS{Options: remote.Options{Timeout: 10}}, wantErr: "is shorter than 100ms"},
		"interface":         {in: DNS{Options: remote.Options{Interface: "{env.NO_SUCH_NAME}"}}, wantErr: "interface: "},
	} {
		sourcetest.CheckErr(t, name, tc.in.Provision(caddy.Context{Context: t.Context()}), tc.wantErr)
	}
	var s DNS
	if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	for _, v6 := range []bool{false, true} {
		if got := s.Operators(v6); !slices.Equal(got, []string{"cloudflare.com", "opendns.com"}) {
			t.Errorf("the default operators are %q", got)
		}
	}
}

// standIn is a DNS server over TLS whose certificate is for example.com.
type standIn struct {
	addr  string
	roots *x509.CertPool
}

// newStandIn answers with what reply makes of a query; nil does not answer.
func newStandIn(t *testing.T, reply func(query *dns.Msg) []byte) *standIn {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", web.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	go func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				conn := &dns.Conn{Conn: raw}
				query, err := conn.ReadMsg()
				if err != nil {
					return
				}
				if packed := reply(query); packed != nil {
					conn.Write(packed)
				}
				io.Copy(io.Discard, raw)
			}()
		}
	}()
	return &standIn{ln.Addr().String(), roots}
}

// source asks the stand-in, over whichever family.
func (d *standIn) source(t *testing.T, e Endpoint) *DNS {
	t.Helper()
	s := &DNS{Endpoints: []Endpoint{e}, Options: remote.Options{Timeout: caddy.Duration(time.Second)}}
	if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	s.services.Logger = zap.NewNop()
	s.services.Routable = func(netip.Addr) bool { return true }
	s.ask = (&client{roots: d.roots, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", d.addr)
	}}).ask
	return s
}

// say answers with records in the form of a zone file.
func say(records ...string) func(*dns.Msg) []byte {
	return sayAnd(func(*dns.Msg) {}, records...)
}

func sayAnd(change func(*dns.Msg), records ...string) func(*dns.Msg) []byte {
	return func(query *dns.Msg) []byte {
		m := new(dns.Msg).SetReply(query)
		for _, record := range records {
			rr, err := dns.NewRR(record)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		change(m)
		packed, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return packed
	}
}

var (
	address = Endpoint{Server: "example.com", Name: "myip.example.com"}
	chaos   = Endpoint{Server: "example.com", Name: "whoami.example.com", Class: "CH", Type: "TXT"}
)

func TestHostileAnswers(t *testing.T) {
	const good4, good6 = "myip.example.com. 0 IN A 93.184.216.34", "myip.example.com. 0 IN AAAA 2606:4700::7"
	for _, tc := range []struct {
		name     string
		endpoint Endpoint
		v6       bool
		reply    func(*dns.Msg) []byte
		want     string
		wantErr  string
	}{
		{name: "A", endpoint: address, reply: say(good4), want: "93.184.216.34"},
		{name: "AAAA", endpoint: address, v6: true, reply: say(good6), want: "2606:4700::7"},
		{name: "CH TXT", endpoint: chaos, reply: say(`whoami.example.com. 0 CH TXT "93.184.216.34"`), want: "93.184.216.34"},
		{name: "CH TXT over IPv6", endpoint: chaos, v6: true, reply: say(`whoami.example.com. 0 CH TXT "2606:4700::7"`), want: "2606:4700::7"},
		{name: "another case", endpoint: address, reply: say("MyIP.example.com. 0 IN A 93.184.216.34"), want: "93.184.216.34"},

		{name: "nothing", endpoint: address, reply: say(), wantErr: "the answer holds no record"},
		{name: "two records", endpoint: address, reply: say(good4, "myip.example.com. 0 IN A 93.184.216.35"), wantErr: "more than one record"},
		{name: "an alias", endpoint: address, reply: say("myip.example.com. 0 IN CNAME x.example.com.", "x.example.com. 0 IN A 93.184.216.34"), wantErr: "more than one record"},
		{name: "an alias alone", endpoint: address, reply: say("myip.example.com. 0 IN CNAME x.example.com."), wantErr: "another type"},
		{name: "another name", endpoint: address, reply: say("evil.example.com. 0 IN A 93.184.216.34"), wantErr: "another name"},
		{name: "another class", endpoint: chaos, reply: say(`whoami.example.com. 0 IN TXT "93.184.216.34"`), wantErr: "another name"},
		{name: "the other family", endpoint: address, v6: true, reply: say(good4), wantErr: "another type"},
		{name: "text of the other family", endpoint: chaos, v6: true, reply: say(`whoami.example.com. 0 CH TXT "93.184.216.34"`), wantErr: "address of the other family: 93.184.216.34"},
		{name: "mapped", endpoint: chaos, reply: say(`whoami.example.com. 0 CH TXT "::ffff:93.184.216.34"`), wantErr: "IPv4-mapped"},
		{name: "zone", endpoint: chaos, v6: true, reply: say(`whoami.example.com. 0 CH TXT "fe80::1%eth0"`), wantErr: "a zone"},
		{name: "no address", endpoint: chaos, reply: say(`whoami.example.com. 0 CH TXT "hello"`), wantErr: `"hello" is not an address`},
		{name: "control characters", endpoint: chaos, reply: say(`whoami.example.com. 0 CH TXT "\027[2J"`), wantErr: "is not an address"},
		{name: "two strings", endpoint: chaos, reply: say(`whoami.example.com. 0 CH TXT "93.184.216.34" "93.184.216.35"`), wantErr: "more than one string"},
		{name: "private", endpoint: address, reply: say("myip.example.com. 0 IN A 10.0.0.1"), wantErr: "says 10.0.0.1, which may not be published: private"},
		{name: "refused", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }), wantErr: "the answer is REFUSED"},
		{name: "no such name", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, good4), wantErr: "the answer is NXDOMAIN"},
		{name: "another ID", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Id++ }, good4), wantErr: "another question"},
		{name: "a query", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Response = false }, good4), wantErr: "another question"},
		{name: "another question", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Question[0].Name = "evil.example.com." }, good4), wantErr: "another question"},
		{name: "cut off", endpoint: address, reply: sayAnd(func(m *dns.Msg) { m.Truncated = true }, good4), wantErr: "cut off"},
		{name: "garbage", endpoint: address, reply: func(*dns.Msg) []byte { return []byte("HTTP/1.1 400 Bad Request") }, wantErr: "malformed"},
		{name: "silent", endpoint: address, reply: func(*dns.Msg) []byte { return nil }, wantErr: "no answer within 1s"},
		{name: "wrong name", endpoint: Endpoint{Server: "example.org", Name: "x"}, reply: say(), wantErr: "certificate is valid for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := ipaddr.V4
			if tc.v6 {
				f = ipaddr.V6
			}
			got, err := newStandIn(t, tc.reply).source(t, tc.endpoint).GetIPs(t.Context(), ipsources.IPSettings{
				IPVersions: sourcetest.Only(f),
				Accepts:    func(addr netip.Addr) bool { return ipaddr.SpecialPurpose(addr) == "" },
			})
			sourcetest.CheckIPs(t, got, err, tc.want, tc.wantErr)
			if err != nil && len(err.Error()) > 512 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	d := newStandIn(t, say())
	d.roots = nil
	_, err := d.source(t, address).GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V4)})
	sourcetest.CheckErr(t, "unknown authority", err, "certificate signed by unknown authority")
}

// TestProtocolsVoteTogether: one service on the web and one DNS server are two
// operators, whichever comes first in the list.
func TestProtocolsVoteTogether(t *testing.T) {
	const first, second, lie = "93.184.216.34", "93.184.216.35", "93.184.216.36"
	var overWeb, overDNS atomic.Value
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, overWeb.Load().(string)) }))
	defer web.Close()
	d := newStandIn(t, func(query *dns.Msg) []byte { return say("myip.example.com. 0 IN A " + overDNS.Load().(string))(query) })
	for _, webFirst := range []bool{true, false} {
		https := &simplehttp.SimpleHTTP{Endpoints: []string{web.URL}}
		if err := https.Provision(caddy.Context{Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		sources := []*detect.Source{detect.NewSource("simple_http", https), detect.NewSource("dns", d.source(t, address))}
		if !webFirst {
			slices.Reverse(sources)
		}
		if _, err := detect.JoinVoters(sources); err != nil {
			t.Fatal(err)
		}
		filter, err := ipaddr.NewFilter(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		detector := &detect.Detector{
			Sources: sources, Families: [ipaddr.Families]bool{ipaddr.V4: true}, Filter: filter,
			Known: new(detect.Known), Logger: zap.NewNop(),
		}
		schedule := detect.NewSchedule([]*detect.Detector{detector}, time.Hour, func(*detect.Detector, ipaddr.Family, detect.Found) {}, zap.NewNop())
		for _, check := range []struct{ web, dns, want string }{
			{first, first, first}, {lie, first, first}, {first, lie, first}, {second, second, second}, {lie, first, second},
		} {
			overWeb.Store(check.web)
			overDNS.Store(check.dns)
			schedule.CheckOnce(t.Context())
			found := detector.Known.Family(ipaddr.V4)
			if len(found.Addrs) != 1 || found.Addrs[0].String() != check.want {
				t.Errorf("web says %s, DNS %s: got %v, want %s", check.web, check.dns, found.Addrs, check.want)
			}
		}
	}
}

func TestDNSOneFamily(t *testing.T) {
	for on := ipaddr.V4; on < ipaddr.Families; on++ {
		var s DNS
		if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		s.services.Logger = zap.NewNop()
		s.services.Routable = func(to netip.Addr) bool {
			if ipaddr.FamilyOf(to) != on {
				t.Errorf("looked for %s", to)
			}
			return true
		}
		addr := []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:4700::7")}[on]
		s.ask = func(_ context.Context, f ipaddr.Family, _ *server) (netip.Addr, error) { return addr, nil }
		got, err := s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(on)})
		sourcetest.CheckIPs(t, got, err, addr.String(), "")
		if by := strings.Join(s.ConfirmedBy(addr), " "); by != "dns.opendns.com one.one.one.one" {
			t.Errorf("confirmed by %s", by)
		}
	}
}

// TestDNSLeaksNoGoroutines asks a server that takes connections and says
// nothing, a thousand times.
func TestDNSLeaksNoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &DNS{Endpoints: []Endpoint{address}}
		if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		s.services.Logger = zap.NewNop()
		s.services.Routable = func(netip.Addr) bool { return true }
		s.ask = (&client{dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			return ours, nil
		}}).ask
		synctest.Wait()
		count := func() int {
			buf := make([]byte, 1<<20)
			return strings.Count(string(buf[:runtime.Stack(buf, true)]), ", synctest bubble ")
		}
		before := count()
		for range 1000 {
			if _, err := s.GetIPs(t.Context(), ipsources.IPSettings{}); err == nil {
				t.Fatal("got an answer")
			}
		}
		synctest.Wait()
		if after := count(); after != before {
			t.Errorf("%d goroutines became %d", before, after)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, e := range []Endpoint{address, chaos} {
		s, err := newServer(e)
		if err != nil {
			f.Fatal(err)
		}
		for _, record := range []string{"93.184.216.34", "2606:4700::7"} {
			m := s.query(ipaddr.V4)
			m.Id = 1
			kind := map[bool]string{true: " 0 CH TXT ", false: " 0 IN A "}[s.txt]
			if rr, err := dns.NewRR(s.name + kind + record); err == nil {
				reply := new(dns.Msg).SetReply(m)
				reply.Answer = []dns.RR{rr}
				packed, _ := reply.Pack()
				f.Add(packed, s.txt, false)
				f.Add(packed[:len(packed)-3], s.txt, true)
			}
		}
	}
	f.Add([]byte{}, false, false)
	f.Fuzz(func(t *testing.T, packed []byte, txt, v6 bool) {
		e, family := address, ipaddr.V4
		if txt {
			e = chaos
		}
		if v6 {
			family = ipaddr.V6
		}
		s, _ := newServer(e)
		query := s.query(family)
		query.Id = 1
		addr, err := parse(packed, query, family)
		switch {
		case err != nil && len(err.Error()) > 512:
			t.Errorf("an error of %d bytes", len(err.Error()))
		case err == nil && (!addr.IsValid() || addr.Zone() != "" || addr.Is4In6() || ipaddr.FamilyOf(addr) != family):
			t.Errorf("got %v", addr)
		}
	})
}
