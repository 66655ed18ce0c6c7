package simplehttp

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestParseAnswer(t *testing.T) {
	const trace = "fl=123f45\nh=one.one.one.one\nip=198.51.100.7\nts=1763856000.123\nvisit_scheme=https\nuag=caddy-dynamic-dns; a=b\ncolo=PRG\nsliver=none\nhttp=http/1.1\nloc=CZ\ntls=TLSv1.3\nsni=plaintext\nwarp=off\n"
	for _, tc := range []struct {
		name, body string
		v6         bool
		want       string
		wantErr    string
	}{
		{name: "bare", body: "198.51.100.7", want: "198.51.100.7"},
		{name: "bare line", body: "198.51.100.7\n", want: "198.51.100.7"},
		{name: "bare IPv6", body: "2001:DB8::7\r\n", v6: true, want: "2001:db8::7"},
		{name: "trace", body: trace, want: "198.51.100.7"},
		{name: "trace with CRLF", body: strings.ReplaceAll(trace, "\n", "\r\n"), want: "198.51.100.7"},
		{name: "JSON", body: `{"ip":"198.51.100.7"}`, want: "198.51.100.7"},
		{name: "JSON IPv6", body: "{\n  \"ip\": \"2001:db8::7\"\n}\n", v6: true, want: "2001:db8::7"},

		{name: "empty", body: "", wantErr: "the answer is empty"},
		{name: "blank", body: " \r\n", wantErr: "the answer is empty"},
		{name: "HTML", body: "<!DOCTYPE html><title>Log in</title>198.51.100.7", wantErr: "captive portal"},
		{name: "truncated IPv4", body: "198.51.100", wantErr: `the answer is no address: "198.51.100"`},
		{name: "truncated IPv6", body: "2001:db8:1:2", v6: true, wantErr: "the answer is no address"},
		{name: "leading zeros", body: "198.051.100.007", wantErr: "the answer is no address"},
		{name: "with port", body: "198.51.100.7:443", wantErr: "the answer is no address"},
		{name: "with length", body: "198.51.100.7/32", wantErr: "the answer is no address"},
		{name: "prose", body: "Your address is 198.51.100.7", wantErr: "the answer is no address"},
		{name: "control characters", body: "198.51.100.7\x00\x1b[2J", wantErr: `no address: "198.51.100.7\x00\x1b[2J"`},
		{name: "two lines", body: "198.51.100.7\n198.51.100.8\n", wantErr: "more than one address"},
		{name: "two in a line", body: "198.51.100.7, 10.0.0.1", wantErr: "more than one address"},
		{name: "IPv6 over IPv4", body: "2001:db8::7", wantErr: "asked over IPv4, it answered an IPv6 address: 2001:db8::7"},
		{name: "IPv4 over IPv6", body: "198.51.100.7", v6: true, wantErr: "asked over IPv6, it answered an IPv4 address: 198.51.100.7"},
		{name: "mapped", body: "::ffff:198.51.100.7", wantErr: "IPv4-mapped"},
		{name: "mapped over IPv6", body: "::ffff:198.51.100.7", v6: true, wantErr: "IPv4-mapped"},
		{name: "zone", body: "2001:db8::7%eth0", v6: true, wantErr: "has a zone"},
		{name: "too long", body: "198.51.100.7" + strings.Repeat("\n", maxBody), wantErr: "longer than 4096 bytes"},

		{name: "trace without ip", body: "fl=1\nts=2\n", wantErr: "no ip= line"},
		{name: "trace with two", body: "ip=198.51.100.7\nip=198.51.100.7\n", wantErr: "more than one ip= line"},
		{name: "trace with empty ip", body: "fl=1\nip=\nts=2", wantErr: "empty ip= line"},
		{name: "trace with garbage", body: "ip=198.51.100.7\ngarbage\n", wantErr: "neither an address nor lines"},
		{name: "markup", body: "Redirecting <a href=\"x\">", wantErr: "neither an address nor lines"},
		{name: "trace of other family", body: trace, v6: true, wantErr: "asked over IPv6"},
		{name: "trace with two in a line", body: "ip=198.51.100.7,198.51.100.8", wantErr: "more than one address"},

		{name: "JSON with other members", body: `{"ip":"198.51.100.7","country":"CZ"}`, wantErr: `JSON other than {"ip": "<address>"}`},
		{name: "JSON with two", body: `{"ip":"198.51.100.7","ip":"198.51.100.8"}`, wantErr: "JSON other than"},
		{name: "JSON in another case", body: `{"IP":"198.51.100.7"}`, wantErr: "JSON other than"},
		{name: "JSON list", body: `{"ip":["198.51.100.7"]}`, wantErr: "JSON other than"},
		{name: "JSON number", body: `{"ip":3325256711}`, wantErr: "JSON other than"},
		{name: "JSON null", body: `{"ip":null}`, wantErr: "JSON other than"},
		{name: "JSON empty", body: `{}`, wantErr: "JSON other than"},
		{name: "JSON cut off", body: `{"ip":"198.51.100.7"`, wantErr: "JSON other than"},
		{name: "JSON and more", body: `{"ip":"198.51.100.7"} {}`, wantErr: "goes on after"},
		{name: "JSON with mapped", body: `{"ip":"::ffff:198.51.100.7"}`, wantErr: "IPv4-mapped"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseAnswer([]byte(tc.body), tc.v6)
			sourcetest.CheckErr(t, tc.body, err, tc.wantErr)
			if err == nil && got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, v6 bool) {
		addr, err := parseAnswer(body, v6)
		if err != nil {
			if len(err.Error()) > 512 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !addr.IsValid() || addr.Zone() != "" || addr.Is4In6() || addr.Is6() != v6 {
			t.Errorf("got %v from %q", addr, body)
		}
		if len(body) > maxBody {
			t.Errorf("read %d bytes", len(body))
		}
		if again, err := parseAnswer([]byte(addr.String()), v6); err != nil || again != addr {
			t.Errorf("%s is read as %v, %v", addr, again, err)
		}
	})
}

// echoServer answers with TLS as example.com, and lends a client that finds
// it there over both families.
func echoServer(t *testing.T, handler http.HandlerFunc) *client {
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &client{dial: dialOnly(server.Listener.Addr()), roots: roots}
}

func dialOnly(to net.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, to.Network(), to.String())
	}
}

func TestEchoHostileAnswers(t *testing.T) {
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/end" {
				io.WriteString(w, "2606:4700::7")
				return
			}
			n := 0
			fmt.Sscanf(r.URL.Path, "/%d", &n)
			if strings.Contains(to, "%d") {
				if n == 3 {
					to = "/end"
				}
				http.Redirect(w, r, strings.ReplaceAll(to, "%d", fmt.Sprint(n+1)), http.StatusFound)
				return
			}
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		url     string
		wantErr string
	}{
		{name: "good", handler: body("2606:4700::7\n")},
		{name: "good after a redirect", handler: redirect("https://example.com/end")},
		{name: "good with a port", handler: body("2606:4700::7"), url: "https://example.com:8443/"},
		{name: "captive portal", handler: body("<html><body>Please log in</body></html>"), wantErr: "captive portal"},
		{name: "truncated", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "30")
			io.WriteString(w, "2606:4700::7")
		}, wantErr: "unexpected EOF"},
		{name: "two addresses", handler: body("2606:4700::7\n2606:4700::8"), wantErr: "more than one address"},
		{name: "wrong family", handler: body("8.8.8.8"), wantErr: "asked over IPv6, it answered an IPv4"},
		{name: "mapped", handler: body("::ffff:8.8.8.8"), wantErr: "IPv4-mapped"},
		{name: "zone", handler: body("fe80::1%eth0"), wantErr: "has a zone"},
		{name: "private", handler: body("fd00::1"), wantErr: "says fd00::1, which may not be published: unique-local (RFC 4193)"},
		{name: "10 MB", handler: body(strings.Repeat("2606:4700::7\n", 800_000)), wantErr: "longer than 4096 bytes"},
		{name: "1 MB of header", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, wantErr: "headers exceeded"},
		{name: "compressed", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b\x08\x00")
		}, wantErr: "no address"},
		{name: "redirect to http", handler: redirect("http://example.com/end"), wantErr: "redirected away from HTTPS"},
		{name: "redirect to a file", handler: redirect("file:///etc/hostname"), wantErr: "redirected away from HTTPS"},
		{name: "redirect to another operator", handler: redirect("https://example.org/end"), wantErr: `redirected to another host: write "example.org" instead`},
		{name: "too many redirects", handler: redirect("/%d"), wantErr: "redirected more than 3 times"},
		{name: "wrong name", handler: body("2606:4700::7"), url: "https://example.org/", wantErr: "certificate is valid for"},
		{name: "503", handler: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "2606:4700::7", http.StatusServiceUnavailable)
		}, wantErr: "status is 503, not 200"},
		{name: "204", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, wantErr: "status is 204, not 200"},
		{name: "empty", handler: body(""), wantErr: "the answer is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.url == "" {
				tc.url = "https://example.com/plain?token=secret"
			}
			s := newTestEcho(t, SimpleHTTP{Endpoints: []string{tc.url}})
			s.ask = echoServer(t, tc.handler).ask
			got, err := s.GetIPs(t.Context(), ipsources.IPSettings{
				IPVersions: sourcetest.Only(ipaddr.V6),
				Accepts:    func(addr netip.Addr) bool { return ipaddr.SpecialPurpose(addr) == "" },
			})
			sourcetest.CheckErr(t, tc.name, err, tc.wantErr)
			if err != nil && len(got) > 0 {
				t.Errorf("got %v along with %v", got, err)
			}
			if err == nil && (len(got) != 1 || got[0] != netip.MustParseAddr("2606:4700::7")) {
				t.Errorf("got %v", got)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error gives the URL away: %v", err)
			}
		})
	}
}

func TestEchoVerifiesCertificates(t *testing.T) {
	client := echoServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "8.8.8.8") })
	client.roots = nil
	_, err := client.ask(t.Context(), "tcp4", mustURL("https://example.com"))
	sourcetest.CheckErr(t, "unknown authority", err, "certificate signed by unknown authority")
}

func TestEchoRedirectsFromPlainHTTP(t *testing.T) {
	secure := echoServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "8.8.8.8") })
	for to, want := range map[string]string{
		"https://example.com/":     "",
		"http://example.com/again": "redirected away from HTTPS",
	} {
		plain := httptest.NewServer(http.RedirectHandler(to, http.StatusMovedPermanently))
		client := &client{roots: secure.roots, dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":443") {
				return secure.dial(ctx, network, address)
			}
			return dialOnly(plain.Listener.Addr())(ctx, network, address)
		}}
		_, err := client.ask(t.Context(), "tcp4", mustURL("http://example.com/"))
		sourcetest.CheckErr(t, to, err, want)
		plain.Close()
	}
}

func TestEchoTakesNoProxyAndNoOldConnection(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	var mu sync.Mutex
	peers := make(map[string]bool)
	client := echoServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		peers[r.RemoteAddr] = true
		io.WriteString(w, "8.8.8.8")
	})
	for range 3 {
		if _, err := client.ask(t.Context(), "tcp4", mustURL("https://example.com")); err != nil {
			t.Fatal(err)
		}
	}
	if len(peers) != 3 {
		t.Errorf("3 lookups came over %d connections", len(peers))
	}
}

func TestEchoAsksOverTheFamily(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		var got, to string
		client := &client{dial: func(_ context.Context, network, address string) (net.Conn, error) {
			got, to = network, address
			return nil, io.ErrClosedPipe
		}}
		client.ask(t.Context(), network, mustURL("https://[2001:db8::1]/"))
		if got != network || to != "[2001:db8::1]:443" {
			t.Errorf("over %s: dialed %s over %s", network, to, got)
		}
	}
}

// A body of one byte a second, and a server that never answers at all, take
// the timeout and no more.
func TestEchoSlowAnswers(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"slow body": func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			for {
				time.Sleep(700 * time.Millisecond) // never in the moment of the deadline
				if _, err := conn.Write([]byte{'1'}); err != nil {
					return
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestEcho(t, SimpleHTTP{Endpoints: []string{"http://a.example"}})
			s.ask = (&client{dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					http.ReadRequest(bufio.NewReader(theirs))
					serve(theirs)
				}()
				return ours, nil
			}}).ask
			start := time.Now()
			got, err := s.GetIPs(t.Context(), ipsources.IPSettings{})
			if len(got) > 0 || time.Since(start) != 10*time.Second {
				t.Errorf("%s: got %v after %s", name, got, time.Since(start))
			}
			sourcetest.CheckErr(t, name, err, "no answer within 10s")
			time.Sleep(2 * time.Second) // until the server notices
		})
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
