package reply

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addrs(texts ...string) (addrs []netip.Addr) {
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs
}

// TestAnswers are those of the protocol, byte for byte.
func TestAnswers(t *testing.T) {
	after := func(e *Error, d time.Duration) *Error { e.RetryAfter = d; return e }
	for _, tc := range []struct {
		name    string
		write   func(http.ResponseWriter)
		status  int
		body    string
		headers map[string]string
	}{
		{name: "written and read back",
			write:  func(w http.ResponseWriter) { Success(w, []Line{{true, addrs("192.0.2.1")}}) },
			status: 200, body: "good 192.0.2.1\n"},
		{name: "desired is the same",
			write:  func(w http.ResponseWriter) { Success(w, []Line{{false, addrs("192.0.2.1")}}) },
			status: 200, body: "nochg 192.0.2.1\n"},
		{name: "several addresses, in the order sent",
			write:  func(w http.ResponseWriter) { Success(w, []Line{{true, addrs("2001:db8::1", "192.0.2.1")}}) },
			status: 200, body: "good 2001:db8::1,192.0.2.1\n"},
		{name: "canonical",
			write:  func(w http.ResponseWriter) { Success(w, []Line{{true, addrs("2001:DB8:0::01", "::ffff:192.0.2.1")}}) },
			status: 200, body: "good 2001:db8::1,192.0.2.1\n"},
		{name: "removed",
			write:  func(w http.ResponseWriter) { Success(w, []Line{{true, nil}}) },
			status: 200, body: "good\n"},
		{name: "a line a host, in the order asked",
			write: func(w http.ResponseWriter) {
				Success(w, []Line{{false, addrs("192.0.2.2")}, {true, addrs("192.0.2.1")}, {false, nil}})
			},
			status: 200, body: "nochg 192.0.2.2\ngood 192.0.2.1\nnochg\n"},
		{name: "the client's address",
			write:  func(w http.ResponseWriter) { Address(w, netip.MustParseAddr("::ffff:192.0.2.1")) },
			status: 200, body: "192.0.2.1\n"},

		{name: "credentials",
			write:  Refuse(401, BadAuth, "x").Write,
			status: 401, body: "badauth\n", headers: map[string]string{"WWW-Authenticate": `Basic realm="dynamic DNS"`}},
		{name: "method",
			write:  Refuse(405, BadAgent, "x").Write,
			status: 405, body: "badagent\n", headers: map[string]string{"Allow": "GET, POST, PUT"}},
		{name: "too many failures",
			write:  after(Refuse(503, Trouble, "x"), 30*time.Second+1).Write,
			status: 503, body: "911\n", headers: map[string]string{"Retry-After": "31"}},
		{name: "host", write: Refuse(404, NoHost, "x").Write, status: 404, body: "nohost\n"},
		{name: "name", write: Refuse(400, NotFQDN, "x").Write, status: 400, body: "notfqdn\n"},
		{name: "hosts", write: Refuse(400, NumHost, "x").Write, status: 400, body: "numhost\n"},
		{name: "address", write: Refuse(400, DNSError, "x").Write, status: 400, body: "dnserr\n"},
		{name: "provider", write: Refuse(503, DNSError, "x").Write, status: 503, body: "dnserr\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tc.write(w)
			if w.Code != tc.status || w.Body.String() != tc.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tc.status, tc.body)
			}
			for _, name := range []string{"WWW-Authenticate", "Allow", "Retry-After"} {
				if got := w.Header().Get(name); got != tc.headers[name] {
					t.Errorf("%s: got %q, want %q", name, got, tc.headers[name])
				}
			}
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("type %q", got)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("cache %q", got)
			}
		})
	}
}

// TestFailuresLookLikeNoSuccess: clients look for these words anywhere.
func TestFailuresLookLikeNoSuccess(t *testing.T) {
	for _, word := range []Word{BadAuth, BadAgent, NotFQDN, NoHost, NumHost, DNSError, Trouble} {
		w := httptest.NewRecorder()
		Refuse(http.StatusBadRequest, word, "good nochg OK %s", "what the client sent").Write(w)
		for _, success := range []string{"good", "nochg", "ok"} {
			if strings.Contains(strings.ToLower(w.Body.String()), success) {
				t.Errorf("%q contains %q", w.Body, success)
			}
		}
		if w.Body.String() != string(word)+"\n" {
			t.Errorf("%q is more than the word %s", w.Body, word)
		}
	}
}
