package statuspage

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/html"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// TestAnswers: what each kind of request gets, and that all that has to be said
// to browsers is said.
func TestAnswers(t *testing.T) {
	const page, plain, asJSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"
	for name, test := range map[string]struct {
		apps   string
		allow  bool
		method string
		header string
		code   int
		typ    string
		has    string
	}{
		"page":                 {allApps, false, "GET", "Accept: text/html,application/xhtml+xml,*/*;q=0.8", 200, page, "All is well"},
		"any":                  {allApps, false, "GET", "Accept: */*", 200, page, "All is well"},
		"head":                 {allApps, false, "HEAD", "Accept: text/html", 200, page, ""},
		"json":                 {allApps, false, "GET", "Accept: application/json", 200, asJSON, `"in_sync": true`},
		"json head":            {allApps, false, "HEAD", "Accept: application/json", 200, asJSON, ""},
		"post":                 {allApps, false, "POST", "Accept: text/html", 405, plain, "method POST is not allowed here; use GET, HEAD"},
		"post json":            {allApps, false, "POST", "Accept: application/json", 405, asJSON, `"error": "method POST`},
		"put":                  {allApps, true, "PUT", "", 405, plain, "use GET, HEAD, POST"},
		"delete":               {allApps, true, "DELETE", "", 405, plain, "not allowed"},
		"not configured":       {``, false, "GET", "", 404, page, "Nothing is configured"},
		"not configured, json": {``, false, "GET", "Accept: application/json", 404, asJSON, "dynamic_dns is not configured; write"},
		"not configured, post": {``, true, "POST", "", 303, "", ""},
		"name server alone":    {`"nameserver": {}`, true, "GET", "", 200, page, "All is well"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.apps, func(t *testing.T) {
				w := ask(t, newHandler(test.allow), test.method, "https://home.example.com/status", test.header)
				if w.Code != test.code || w.Header().Get("Content-Type") != test.typ || !strings.Contains(w.Body.String(), test.has) {
					t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
				}
				if test.method == "HEAD" && w.Body.Len() > 0 {
					t.Error("HEAD has a body")
				}
				for header, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
				} {
					if got := w.Header().Get(header); got != want {
						t.Errorf("%s: %q, want %q", header, got, want)
					}
				}
				if (test.code == 405) != (w.Header().Get("Allow") != "") {
					t.Errorf("Allow: %q", w.Header().Get("Allow"))
				}
				if hasForm := strings.Contains(w.Body.String(), "<form"); hasForm {
					t.Error("there is a form where nothing can be checked")
				}
			})
		})
	}
}

// TestPolicy: nothing but the page itself may be loaded, and nothing inline but
// what it came with.
func TestPolicy(t *testing.T) {
	bubble(t, allApps, func(t *testing.T) {
		got := ask(t, newHandler(true), "GET", "/").Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "style-src 'sha256-", "script-src 'sha256-"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		if strings.Contains(got, "unsafe") || strings.Contains(got, "*") {
			t.Error(got)
		}
	})
}

// TestCheckNow: a check is asked for by the page itself, or by what is no
// browser, and by nobody else.
func TestCheckNow(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		code   int
	}{
		"the page":             {[]string{"Origin: https://home.example.com", "Sec-Fetch-Site: same-origin"}, 303},
		"an old browser":       {[]string{"Origin: https://home.example.com"}, 303},
		"behind a proxy":       {[]string{"Origin: https://HOME.example.com"}, 303},
		"curl":                 {nil, 303},
		"another site":         {[]string{"Origin: https://evil.example.net", "Sec-Fetch-Site: cross-site"}, 403},
		"a sister":             {[]string{"Origin: https://www.example.com", "Sec-Fetch-Site: same-site"}, 403},
		"its origin alone":     {[]string{"Origin: https://evil.example.net"}, 403},
		"its site alone":       {[]string{"Sec-Fetch-Site: cross-site"}, 403},
		"a lie":                {[]string{"Origin: https://evil.example.net", "Sec-Fetch-Site: same-origin"}, 403},
		"a sandbox":            {[]string{"Origin: null"}, 403},
		"another port":         {[]string{"Origin: https://home.example.com:8443"}, 403},
		"a longer name":        {[]string{"Origin: https://home.example.com.evil.example.net"}, 403},
		"no origin at all":     {[]string{"Origin: "}, 403},
		"two origins":          {[]string{"Origin: https://home.example.com", "Origin: https://evil.example.net"}, 403},
		"a site of the future": {[]string{"Sec-Fetch-Site: something-else"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, allApps, func(t *testing.T) {
				w := ask(t, newHandler(true), "POST", "https://home.example.com/status", test.header...)
				if w.Code != test.code || (fake.checks == 1) != (test.code == 303) {
					t.Errorf("%d, %d checks: %s", w.Code, fake.checks, w.Body)
				}
				if location := w.Header().Get("Location"); (location == "?") != (test.code == 303) {
					t.Errorf("Location: %q", location)
				}
			})
		})
	}
}

// TestCheckBehindProxy: where a trusted proxy changes the host, the one that the
// browser knows counts; where no such proxy has said so, it does not.
func TestCheckBehindProxy(t *testing.T) {
	for trusted, want := range map[bool]int{true: http.StatusSeeOther, false: http.StatusForbidden} {
		bubble(t, allApps, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://backend:8080/status", nil)
			r.Header.Set("Origin", "https://home.example.com")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("X-Forwarded-Host", "home.example.com")
			w := httptest.NewRecorder()
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
			caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, trusted)
			if err := newHandler(true).ServeHTTP(w, r, nil); err != nil || w.Code != want {
				t.Errorf("trusted %t: %d, %v", trusted, w.Code, err)
			}
			if !trusted && !strings.Contains(w.Body.String(), "trusted_proxies") {
				t.Errorf("does not say what to do: %s", w.Body)
			}
		})
	}
}

// TestCheckIsNotWaitedFor for long, nor once the client or the configuration is
// gone, and none is begun shortly after another.
func TestCheckIsNotWaitedFor(t *testing.T) {
	bubble(t, allApps, func(t *testing.T) {
		fake.check = func(chan struct{}) {}
		h := newHandler(true)
		post := func(want time.Duration, checks int) {
			t.Helper()
			began := time.Now()
			if w := ask(t, h, "POST", "/"); w.Code != http.StatusSeeOther {
				t.Errorf("%d", w.Code)
			}
			if took := time.Since(began); took != want || fake.checks != checks {
				t.Errorf("took %s, %d checks, want %s, %d", took, fake.checks, want, checks)
			}
		}
		post(checkPatience, 1)
		post(0, 1)
		time.Sleep(checkEvery)
		post(checkPatience, 2)
		time.Sleep(checkEvery)
		ending, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		h.ending = ending
		post(time.Second, 3)
	})
}

// TestNothingIsMarkup: whatever others have written comes as text.
func TestNothingIsMarkup(t *testing.T) {
	const evil = `</title></style></script><script>evil()</script><img src=x onerror=evil()>" onload="evil()' style='x`
	bubble(t, allApps, func(t *testing.T) {
		fill(reflect.ValueOf(&fake.status).Elem(), evil)
		fill(reflect.ValueOf(&fake.report).Elem(), evil)
		for _, state := range []status.State{evil, status.StateInSync, status.StateBlocked, status.StateFailing} {
			for _, event := range []status.EventName{
				evil, status.EventStarted, status.EventAddressChanged, status.EventAddressLost, status.EventAddressFound, status.EventRecordsChanged,
				status.EventUpdateFailed, status.EventRecovered, status.EventInstanceJoined, status.EventInstanceGone, status.EventZoneTakenOver,
			} {
				fake.status.Zones[0].State, fake.status.Zones[0].Records[0].State = state, state
				fake.status.Timeline[0].Name = event
				body := ask(t, newHandler(true), "GET", "https://home.example.com/").Body.String()
				if n := strings.Count(body, "evil()"); n < 10 {
					t.Errorf("only %d of the texts are shown", n)
				}
				expectHarmless(t, body)
			}
		}
		var shown any
		if err := json.Unmarshal(ask(t, newHandler(true), "GET", "/", "Accept: application/json").Body.Bytes(), &shown); err != nil {
			t.Error(err)
		}
		expectHarmless(t, ask(t, newHandler(true), "GET", "/?icon="+`"><script>evil()</script>`).Body.String())
	})
}

// expectHarmless looks for what could run or be styled and is not the page's.
func expectHarmless(t *testing.T, body string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "img", "iframe", "object", "embed", "base":
			t.Errorf("there is an element %s", n.Data)
		case "script":
			if n.FirstChild.Data != pageJS {
				t.Errorf("there is a script: %s", n.FirstChild.Data)
			}
		case "style":
			if n.FirstChild.Data != pageCSS {
				t.Errorf("there is a style: %s", n.FirstChild.Data)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "?icon=") {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
}

// TestNote: what else is to be known of a zone is said, though all is well.
func TestNote(t *testing.T) {
	bubble(t, allApps, func(t *testing.T) {
		fake.status.Zones[0].Note = "nobody may serve it"
		for accept, want := range map[string]string{"text/html": "nobody may serve it</p>", "application/json": `"note": "nobody may serve it"`} {
			if body := ask(t, newHandler(false), "GET", "/", "Accept: "+accept).Body.String(); !strings.Contains(body, want) {
				t.Errorf("%s: %s", accept, body)
			}
		}
	})
}

// TestPrefersJSON: browsers get the page, programs what they ask for.
func TestPrefersJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":    false,
		"*/*": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8": false,
		"application/json":                         true,
		"application/json, text/plain, */*":        true,
		"application/json, */*;q=0.5":              true,
		"Application/JSON":                         true,
		"application/json;q=0.9, text/html":        false,
		"application/json, text/html;q=0.9":        true,
		"application/json;q=0":                     false,
		"application/*":                            true,
		"text/*, application/json;q=0.1":           false,
		"text/html;q=0, */*":                       true,
		"nonsense, ;;, application/json;q=x, */*":  false,
		"application/json;q=0.5, text/html;q=0.5":  false,
		"application/json; charset=utf-8; q=1, */": true,
	} {
		if got := prefersJSON([]string{accept}); got != want {
			t.Errorf("%q: %t, want %t", accept, got, want)
		}
	}
	if !prefersJSON([]string{"text/html;q=0.1", "application/json"}) {
		t.Error("the second line of Accept is not read")
	}
}

// FuzzPrefersJSON: whatever the header, nobody gets JSON who has not named it
// or a range that it is in.
func FuzzPrefersJSON(f *testing.F) {
	f.Add("text/html, application/json;q=0.9, */*;q=0.1")
	f.Add("application/json;q=1;q=2,,;")
	f.Fuzz(func(t *testing.T, accept string) {
		if lower := strings.ToLower(accept); prefersJSON([]string{accept}) && !strings.Contains(lower, "application/") && !strings.Contains(lower, "text/") {
			t.Errorf("%q", accept)
		}
	})
}
