package dyndns

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
)

// wire is a Caddy whose HTTP server is at a socket, for what only bytes show.
type wire struct {
	t    *testing.T
	z    *standin.Zones
	addr string
	dir  string
}

// listen runs a site with what is in its block, in which PROVIDER stands for
// the stand-in of a provider of example.com and example.net. options are those
// of all servers.
func listen(t *testing.T, options, block string) *wire {
	t.Helper()
	w := &wire{t: t, z: standin.New(standin.Character{}, origin, "example.net."), dir: t.TempDir()}
	text, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile.Format([]byte(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %[1]s/storage
	log {
		output file %[1]s/log
		level DEBUG
	}
	servers {
		%[2]s
	}
}
http:// {
	log
	%[3]s
}`, w.dir, options, strings.ReplaceAll(block, "PROVIDER", "cloudflare replaced")))), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		t.Error(warning)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w.addr = socket.Addr().String()
	for before, after := range map[string]string{
		`{"api_token":"replaced","name":"cloudflare"}`: fmt.Sprintf(`{"name":%q}`, w.z.Register()),
		`"listen":[":80"]`: fmt.Sprintf(`"listen":["fd/%d"]`, file.Fd()),
	} {
		if !bytes.Contains(text, []byte(before)) {
			t.Fatalf("there is no %s in %s", before, text)
		}
		text = bytes.ReplaceAll(text, []byte(before), []byte(after))
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	if err := caddy.Load(text, true); err != nil {
		t.Fatal(err)
	}
	return w
}

// send sends a request as it is, but for the ends of lines, and returns the
// answer.
func (w *wire) send(request string) *http.Response {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	head, body, _ := strings.Cut(request, "\n\n")
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp
}

// log is all that was logged.
func (w *wire) log() string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// TestAnswersOverTheWire: answers byte for byte, in an order that leaves the
// names as the next ones expect them.
func TestAnswersOverTheWire(t *testing.T) {
	w := listen(t, "trusted_proxies static 127.0.0.1", `dyndns {
		provider PROVIDER
		zone example.com
		user home `+hash+` {
			hosts home.example.com www.example.com
			device nas.example.com ::21b:21ff:fe3c:4d5e
		}
		user one `+hash+` {
			hosts one.example.com
			from 93.184.216.0/24
		}
		query_auth
	}`)
	const (
		host  = "Host: ddns.example.com\n"
		from  = "X-Forwarded-For: " + addr3 + "\n"
		home  = "Authorization: Basic aG9tZTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=\n"
		one   = "Authorization: Basic b25lOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==\n"
		wrong = "Authorization: Basic aG9tZTp3cm9uZw==\n"
	)
	for _, tc := range []struct{ name, request, want string }{
		{"first", "GET /nic/update?hostname=home.example.com&myip=" + addr1 + " HTTP/1.1\n" + host + from + home + "\n", "200 good " + addr1},
		{"HTTP/1.0, again", "GET /nic/update?hostname=home.example.com&myip=" + addr1 + " HTTP/1.0\n" + host + from + home + "\n", "200 nochg " + addr1},
		{"HTTP/1.0 without a host", "GET /?hostname=home.example.com&myip=" + addr1 + " HTTP/1.0\n" + from + home + "\n", "200 nochg " + addr1},
		{"a masked path", "GET /%5c/nic/update?hostname=home.example.com&myip=" + addr1 + " HTTP/1.0\n" + host + from + home + "\n", "200 nochg " + addr1},
		{"slashes", "GET //nic//update/?hostname=home.example.com&myip=" + addr1 + " HTTP/1.0\n" + host + from + home + "\n", "200 nochg " + addr1},
		{"both families", "GET /?hostname=home.example.com,www.example.com&myip=" + addr6 + "," + addr1 + " HTTP/1.1\n" + host + from + home + "\n", "200 good " + addr6 + "," + addr1 + "\ngood " + addr6 + "," + addr1},
		{"nothing escaped", "GET /?hostname=home.example.com&ipaddr=" + addr1 + "&ip6addr=" + addr6 + "&ip6lanprefix=2606:2800:220:2::/64&x=<y>\"{|}^` HTTP/1.1\n" + host + from + home + "\n", "200 nochg " + addr1 + "," + addr6},
		{"a device", "GET /?hostname=nas.example.com&ip6lanprefix=2606:2800:220:2::/64 HTTP/1.1\n" + host + from + home + "\n", "200 good 2606:2800:220:2:21b:21ff:fe3c:4d5e"},
		{"a removal", "GET /?hostname=home.example.com&ip6addr= HTTP/1.1\n" + host + from + home + "\n", "200 good"},
		{"a form", "POST /nic/update HTTP/1.1\n" + host + from + home + "Content-Type: application/x-www-form-urlencoded\nContent-Length: 44\n\nhostname=home.example.com&myip=" + addr1, "200 nochg " + addr1},
		{"PUT", "PUT /?hostname=home.example.com&myip=" + addr1 + " HTTP/1.1\n" + host + from + home + "Content-Length: 0\n\n", "200 nochg " + addr1},
		{"in the query", "GET /?username=home&password=" + password + "&hostname=home.example.com&myip=" + addr1 + " HTTP/1.1\n" + host + from + "\n", "200 nochg " + addr1},
		{"the client's address", "GET /?hostname=home.example.com HTTP/1.1\n" + host + from + home + "\n", "200 good " + addr3},
		{"the only host", "GET / HTTP/1.1\n" + host + from + one + "\n", "200 good " + addr3},
		{"checkip", "GET /checkip HTTP/1.1\n" + host + from + "\n", "200 " + addr3},

		{"no credentials", "GET /?hostname=home.example.com&myip=" + addr2 + " HTTP/1.1\n" + host + from + "\n", `401 badauth; WWW-Authenticate: Basic realm="dynamic DNS"`},
		{"wrong password", "GET /?hostname=home.example.com&myip=" + addr2 + " HTTP/1.1\n" + host + from + wrong + "\n", `401 badauth; WWW-Authenticate: Basic realm="dynamic DNS"`},
		{"from elsewhere", "GET / HTTP/1.1\n" + host + "X-Forwarded-For: " + client + "\n" + one + "\n", `401 badauth; WWW-Authenticate: Basic realm="dynamic DNS"`},
		{"no host", "GET /?myip=" + addr2 + " HTTP/1.1\n" + host + from + home + "\n", "400 notfqdn"},
		{"no full name", "GET /?hostname=home&myip=" + addr2 + " HTTP/1.1\n" + host + from + home + "\n", "400 notfqdn"},
		{"someone else's", "GET /?hostname=one.example.com&myip=" + addr2 + " HTTP/1.1\n" + host + from + home + "\n", "404 nohost"},
		{"nobody's", "GET /?hostname=good.example.com&myip=" + addr2 + " HTTP/1.1\n" + host + from + home + "\n", "404 nohost"},
		{"one of many", "GET /?hostname=home.example.com,nobody.example.com&myip=" + addr2 + " HTTP/1.1\n" + host + from + home + "\n", "404 nohost"},
		{"malformed", "GET /?hostname=home.example.com&myip=nochg HTTP/1.1\n" + host + from + home + "\n", "400 dnserr"},
		{"refused", "GET /?hostname=home.example.com&myip=10.0.0.1 HTTP/1.1\n" + host + from + home + "\n", "400 dnserr"},
		{"an empty item", "GET /?hostname=home.example.com&myip=" + addr2 + ", HTTP/1.1\n" + host + from + home + "\n", "400 dnserr"},
		{"offline", "GET /?hostname=home.example.com&offline=YES HTTP/1.1\n" + host + from + home + "\n", "400 dnserr"},
		{"a prefix and no bits", "GET /?hostname=home.example.com&myipv6=2606:2800:220:2::/64 HTTP/1.1\n" + host + from + home + "\n", "400 dnserr"},
		{"a proxy that names no client", "GET /?hostname=home.example.com HTTP/1.1\n" + host + home + "\n", "400 dnserr"},
		{"a method", "DELETE /?hostname=home.example.com HTTP/1.1\n" + host + from + home + "\n", "405 badagent; Allow: GET, POST, PUT"},
		{"a form too large", "POST / HTTP/1.1\n" + host + from + home + "Content-Length: 9000\n\n" + strings.Repeat("x", 9000), "413 dnserr"},
		{"numhost", "GET /?hostname=" + strings.TrimSuffix(strings.Repeat("a.example.com,", 20), ",") + manyHosts(21) + " HTTP/1.1\n" + host + from + home + "\n", "400 numhost"},
	} {
		resp := w.send(tc.request)
		body, _ := io.ReadAll(resp.Body)
		got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSuffix(string(body), "\n"))
		for _, name := range []string{"WWW-Authenticate", "Allow", "Retry-After"} {
			if value := resp.Header.Get(name); value != "" {
				got += fmt.Sprintf("; %s: %s", name, value)
			}
		}
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
		if typ := resp.Header.Get("Content-Type"); !strings.HasPrefix(typ, "text/plain") {
			t.Errorf("%s: type %q", tc.name, typ)
		}
	}
	for i := range 11 {
		resp := w.send("GET / HTTP/1.1\n" + host + "X-Forwarded-For: 198.41.0.5\n" + wrong + "\n")
		if want := 401; i < 10 && resp.StatusCode != want {
			t.Errorf("failure %d: %s", i, resp.Status)
		}
		body, _ := io.ReadAll(resp.Body)
		if i == 10 && (resp.StatusCode != 503 || string(body) != "911\n" || resp.Header.Get("Retry-After") == "") {
			t.Errorf("one too many: %s %s", resp.Status, body)
		}
	}
	if got := w.z.Values(origin, "home", "A"); len(got) != 1 || got[0] != addr3 {
		t.Errorf("DNS has %v", got)
	}

	// What the client keeps secret is nowhere.
	log := w.log()
	for _, secret := range []string{password, strings.TrimPrefix(hash, "sha256:"), "aG9tZTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if n := strings.Count(log, `"handled request"`); n < 20 {
		t.Errorf("the access log has %d lines", n)
	}
}

// manyHosts continues a list.
func manyHosts(n int) string {
	var list string
	for i := range n {
		list += fmt.Sprintf(",h%d.example.com", i)
	}
	return list
}
