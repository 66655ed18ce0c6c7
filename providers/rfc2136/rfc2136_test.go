package rfc2136

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const key = "czNjcmV0LXMzY3JldC1zM2NyZXQtczNjcmV0"

func TestCaddyfile(t *testing.T) {
	with := func(replace, by string) string {
		return strings.Replace("rfc2136 {\n key_name lab\n key_alg hmac-sha256\n key "+key+"\n server 192.0.2.53\n}", replace, by, 1)
	}
	for _, tc := range []struct {
		name, input string
		want        string // JSON, or with a leading "!" a part of the error
	}{
		{"everything", with("", ""), `{"key_name":"lab","key_alg":"hmac-sha256","key":"` + key + `","server":"192.0.2.53"}`},
		{
			"placeholders", "rfc2136 {\n key_name {env.N}\n key_alg {env.A}\n key {env.K}\n server {env.S}:5353\n}",
			`{"key_name":"{env.N}","key_alg":"{env.A}","key":"{env.K}","server":"{env.S}:5353"}`,
		},
		{"nothing", "rfc2136", `!missing key_name; write: key_name <name>, the name of the server's TSIG key, at Testfile:1`},
		{"no algorithm", with("key_alg hmac-sha256", ""), `!missing key_alg; write: key_alg hmac-sha256`},
		{"no key", with("key "+key, ""), `!missing key; write: key {env.TSIG_KEY}`},
		{"no server", with("server 192.0.2.53", ""), `!missing server; write: server <host>[:<port>]`},
		{"argument", "rfc2136 " + key, `!too many arguments; options are written one a line in a block: key_name, key_alg, key, server`},
		{"key twice", with("key_alg", "key "+key+"\n key_alg"), `!key is given twice; keep one, at Testfile:5`},
		{"algorithm", with("hmac-sha256", "hmac-md5"), `!key_alg: unsupported algorithm; write one of: hmac-sha256, `},
		{"key not base64", with(key, "s3cret!"), `!key: not base64; write the secret of the key as tsig-keygen prints it, at Testfile:4`},
		{"key name", with("lab", "a..b"), `!key_name: not a domain name`},
		{"server with scheme", with("192.0.2.53", "udp://192.0.2.53"), `!server: write a host name or an address, with a port unless it is 53`},
		{"server's port", with("192.0.2.53", "192.0.2.53:dns"), `!server: write a host name`},
		{"unknown option", with("key_name", "keyname"), `!unrecognized subdirective "keyname"; write one of: key_name, key_alg, key, server, at Testfile:2`},
		{"key as option", with("key "+key, key), `!unrecognized subdirective (not shown`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Provider
			err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			if part, wantErr := strings.CutPrefix(tc.want, "!"); wantErr {
				if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), ", at Testfile:") {
					t.Fatalf("error %v, want %q", err, part)
				}
				if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("a secret in %q", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(caddyconfig.JSON(&p, nil)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("TSIG_KEY", key)
	t.Setenv("NOT_A_KEY", "s3cret!")
	for _, tc := range []struct{ name, option, value, wantErr string }{
		{"placeholder", "key", "{env.TSIG_KEY}", ""},
		{"variable not set", "key", "{env.TSIG_NOT_SET}", "key: {env.TSIG_NOT_SET} is empty or not there"},
		{"key in braces", "key", "{s3cret}", "key: unknown or empty placeholder"},
		{"variable that is no key", "key", "{env.NOT_A_KEY}", "key: not base64"},
		{"no key", "key", "", "missing key; write: key {env.TSIG_KEY}"},
		{"algorithm", "key_alg", "md5", "key_alg: unsupported algorithm"},
		{"server", "server", "a b", "server: write a host name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := map[string]string{"key_name": "lab", "key_alg": "hmac-sha256", "key": key, "server": "192.0.2.53"}
			config[tc.option] = tc.value
			_, err := provision(t, config)
			if tc.wantErr == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "s3cret") {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestServer(t *testing.T) {
	for given, want := range map[string]string{
		"192.0.2.53":          "192.0.2.53:53",
		"192.0.2.53:5353":     "192.0.2.53:5353",
		"2001:db8::53":        "[2001:db8::53]:53",
		"[2001:db8::53]":      "[2001:db8::53]:53",
		"[2001:db8::53]:5353": "[2001:db8::53]:5353",
		"ns1.example.com":     "ns1.example.com:53",
		"localhost:53":        "localhost:53",
		"":                    "", ":53": "", "ns1:0": "", "ns1:65536": "", "ns1/a": "", "[ns1:53": "",
	} {
		got, err := normalizeServer(given)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v, want %q", given, got, err, want)
		}
	}
}

// The name and the algorithm of the key are written as people write them; the
// server answers with the key's name in lower case.
func TestUpdateAndRead(t *testing.T) {
	addr, updates := nameServer(t)
	t.Setenv("TSIG_KEY", key)
	config := map[string]string{"key_name": "Lab-Key", "key_alg": "HMAC-SHA256.", "key": "{env.TSIG_KEY}", "server": addr}
	p, err := provision(t, config)
	if err != nil {
		t.Fatal(err)
	}
	if shown := string(caddyconfig.JSON(p, nil)); strings.Contains(shown, key) {
		t.Errorf("the configuration now shows the key: %s", shown)
	}

	if _, err := p.SetRecords(t.Context(), "example.com.", []libdns.Record{
		libdns.Address{Name: "www", IP: netip.MustParseAddr("203.0.113.1"), TTL: time.Minute},
		libdns.Address{Name: "www", IP: netip.MustParseAddr("203.0.113.2"), TTL: time.Minute},
	}); err != nil {
		t.Fatal(err)
	}
	got := <-updates
	if want := []string{"203.0.113.1", "203.0.113.2"}; !slices.Equal(got, want) {
		t.Errorf("one update inserts %v, want %v", got, want)
	}
	recs, err := p.GetRecords(t.Context(), "example.com.")
	if err != nil || !slices.ContainsFunc(recs, func(r libdns.Record) bool { return r.RR().Name == "www" && r.RR().Data == "203.0.113.7" }) {
		t.Errorf("read %v, %v", recs, err)
	}

	_, err = p.GetRecords(t.Context(), "example.net.")
	if err == nil || !strings.Contains(err.Error(), "in BIND: allow-transfer") {
		t.Errorf("refused transfer: %v", err)
	}
	_, err = p.SetRecords(t.Context(), "example.net.", []libdns.Record{libdns.TXT{Name: "www", Text: "a"}})
	if err == nil || !strings.Contains(err.Error(), "in BIND: update-policy") {
		t.Errorf("refused update: %v", err)
	}

	config["key"] = "b3RoZXI="
	if p, err = provision(t, config); err != nil {
		t.Fatal(err)
	}
	_, err = p.SetRecords(t.Context(), "example.com.", []libdns.Record{libdns.TXT{Name: "www", Text: "a"}})
	if err == nil || strings.Contains(err.Error(), config["key"]) {
		t.Errorf("wrong key: %v", err)
	}
	config["key_name"] = "other"
	if p, err = provision(t, config); err != nil {
		t.Fatal(err)
	}
	_, read := p.GetRecords(t.Context(), "example.com.")
	_, set := p.SetRecords(t.Context(), "example.com.", []libdns.Record{libdns.TXT{Name: "www", Text: "a"}})
	for _, err := range []error{read, set} {
		if err == nil || !strings.Contains(err.Error(), "the server has no such key") {
			t.Errorf("unknown key: %v", err)
		}
	}
}

func TestServesACMEChallenge(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("TSIG_KEY", key)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`
		{
			admin off
		}
		*.example.com {
			tls {
				dns rfc2136 {
					key_name lab
					key_alg  hmac-sha256
					key      {env.TSIG_KEY}
					server   192.0.2.53
				}
			}
		}
	`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(adapted, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}
}

// nameServer serves example.com with one record of www for AXFR, and passes on
// the contents that updates insert. It accepts nothing without the key, and
// refuses all other zones.
func nameServer(t *testing.T) (addr string, updates <-chan []string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inserted := make(chan []string, 1)
	handler := func(w dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg).SetReply(req)
		sig := req.IsTsig()
		if sig == nil || w.TsigStatus() != nil {
			m.Rcode = dns.RcodeNotAuth
			if sig != nil { // as BIND does: named, and not signed
				m.Extra = append(m.Extra, &dns.TSIG{Hdr: sig.Hdr, Algorithm: sig.Algorithm, OrigId: req.Id, Error: dns.RcodeBadKey})
			}
			packed, _ := m.Pack()
			_, _ = w.Write(packed)
			return
		}
		defer func() { _ = w.WriteMsg(m) }()
		m.SetTsig(dns.CanonicalName(sig.Hdr.Name), sig.Algorithm, 300, time.Now().Unix())
		if req.Question[0].Name != "example.com." {
			m.Rcode = dns.RcodeRefused
			return
		}
		if req.Opcode != dns.OpcodeUpdate {
			m.Answer = records(t)
			return
		}
		var contents []string
		for _, rr := range req.Ns {
			if a, ok := rr.(*dns.A); ok && a.Hdr.Class == dns.ClassINET {
				contents = append(contents, a.A.String())
			}
		}
		inserted <- contents
	}
	srv := &dns.Server{
		Listener: ln, Handler: dns.HandlerFunc(handler), TsigSecret: map[string]string{"lab-key.": key},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
	}
	go func() { _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = srv.Shutdown() })
	return ln.Addr().String(), inserted
}

func records(t *testing.T) []dns.RR {
	var rrs []dns.RR
	for _, s := range []string{
		"example.com. 60 IN SOA ns1 hostmaster 1 3600 600 86400 60",
		"www.example.com. 60 IN A 203.0.113.7",
		"example.com. 60 IN SOA ns1 hostmaster 1 3600 600 86400 60",
	} {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Error(err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

func provision(t *testing.T, config map[string]string) (*Provider, error) {
	t.Helper()
	p := new(Provider)
	if err := caddy.StrictUnmarshalJSON(caddyconfig.JSON(config, nil), p); err != nil {
		t.Fatal(err)
	}
	return p, p.Provision(caddy.ActiveContext())
}
