package request

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestMethodsAndForms: how parameters may come, and how they may not.
func TestMethodsAndForms(t *testing.T) {
	const box = "box: A 192.0.2.1 [192.0.2.1]"
	const params = "hostname=box.example.com&myip=192.0.2.1"
	filler := "&filler=" + strings.Repeat("x", maxSize)
	for _, tc := range []struct{ name, method, query, contentType, body, want string }{
		{name: "GET", method: "GET", query: params, want: box},
		{name: "POST with a query", method: "POST", query: params, want: box},
		{name: "PUT with a query", method: "PUT", query: params, want: box},
		{name: "POST with a form", method: "POST", contentType: formType, body: params, want: box},
		{name: "PUT with a form", method: "PUT", contentType: formType, body: params, want: box},
		{name: "with a character set", method: "POST", contentType: formType + "; charset=utf-8", body: params, want: box},
		{name: "without a type", method: "POST", body: params, want: box},
		{name: "both", method: "POST", query: "hostname=box.example.com", contentType: formType, body: "myip=192.0.2.1", want: box},
		{name: "the body of a GET is not looked at", method: "GET", query: params, contentType: formType, body: "myip=nonsense", want: box},
		{name: "no body of another type", method: "POST", query: params, contentType: "text/plain", want: box},
		{name: "a form of 8 KiB", method: "POST", contentType: formType, body: (params + filler)[:maxSize], want: box},

		{name: "a form of more", method: "POST", contentType: formType, body: (params + filler)[:maxSize+1], want: "413 dnserr"},
		{name: "a query of more", method: "GET", query: (params + filler)[:maxSize+1], want: "414 dnserr"},
		{name: "JSON", method: "POST", query: params, contentType: "application/json", body: "{}", want: "415 dnserr"},
		{name: "multipart", method: "POST", contentType: "multipart/form-data; boundary=x", body: "--x--", want: "415 dnserr"},
		{name: "HEAD", method: "HEAD", query: params, want: "405 badagent"},
		{name: "DELETE", method: "DELETE", query: params, want: "405 badagent"},
		{name: "PATCH", method: "PATCH", query: params, want: "405 badagent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/nic/update?"+tc.query, strings.NewReader(tc.body))
			if tc.contentType != "" {
				r.Header.Set("Content-Type", tc.contentType)
			}
			if got := outcome(t, r, testRules(t), netip.MustParseAddr(client)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestReadsNoFurther: a body without end is given up.
func TestReadsNoFurther(t *testing.T) {
	body := &endless{}
	r := httptest.NewRequest(http.MethodPost, "/", body)
	if _, err := Read(r); err == nil || body.read > 2*maxSize {
		t.Errorf("after %d bytes: %v", body.read, err)
	}
}

type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	if e.read > 100*maxSize {
		return 0, io.EOF
	}
	e.read += len(b)
	return len(b), nil
}

func TestCredentials(t *testing.T) {
	for _, tc := range []struct{ query, want string }{
		{"username=home&password=secret", "query home secret"},
		{"user=home&pass=secret", "query home secret"},
		{"pass=a%26b%25c&user=home", "query home a&b%c"},
		{"pass=100%&user=home", "query home 100%"},
		{"user=home&pass=%20a+b%20", "query home  a b "},
		{"user=&pass=", "query  "},
		{"user=home", "none"},
		{"pass=secret", "none"},
	} {
		if got := login(t, get(tc.query)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.query, got, tc.want)
		}
	}
}
