package cloudflare

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

const records = "https://" + apiHost + basePath + "/zones/00000000000000000000000000000001/dns_records"

func TestChangesKeepOrReset(t *testing.T) {
	for method, want := range map[string]Record{
		http.MethodPatch: {Content: "203.0.113.2", Proxied: true, Comment: "c", TTL: 1},
		http.MethodPut:   {Content: "203.0.113.2", TTL: 300},
	} {
		srv := New()
		srv.AddZone("example.com", "token")
		rec := srv.Add("example.com", Record{Type: "A", Name: "www", Content: "203.0.113.1", Proxied: true, Comment: "c"})
		status, body := ask(t, srv.Client(), method, records+"/"+rec.ID,
			`{"type":"A","name":"www.example.com","content":"203.0.113.2","ttl":300}`)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", method, status, body)
		}
		got := srv.Records("example.com", "www.example.com", "A")[0]
		if got.ID != rec.ID || got.Content != want.Content || got.Proxied != want.Proxied || got.Comment != want.Comment || got.TTL != want.TTL {
			t.Errorf("%s: got %+v, want %+v", method, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	srv := New()
	srv.AddZone("example.com", "token")
	srv.AddZone("example.net", "other")
	srv.Add("example.com", Record{Type: "A", Name: "www", Content: "203.0.113.1"})
	other := strings.Replace(records, "1/dns", "2/dns", 1)
	for _, tc := range []struct {
		name, method, url, body string
		status                  int
		want                    string
	}{
		{"identical", "POST", records, `{"type":"A","name":"WWW","content":"203.0.113.1"}`, 400, `"code":81058`},
		{"CNAME beside A", "POST", records, `{"type":"CNAME","name":"www","content":"a.example"}`, 400, `"code":81053`},
		{"not an address", "POST", records, `{"type":"A","name":"a","content":"2001:db8::1"}`, 400, `"code":9005`},
		{"no JSON", "POST", records, `<`, 400, `"code":9207`},
		{"record unknown", "DELETE", records + "/abc", ``, 404, `"code":81044`},
		{"another account's zone", "GET", other, ``, 403, `"code":10000`},
		{"path unknown", "GET", "https://" + apiHost + "/client/v4/nothing", ``, 404, `"code":7003`},
	} {
		status, body := ask(t, srv.Client(), tc.method, tc.url, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s: got %d %s, want %d %s", tc.name, status, body, tc.status, tc.want)
		}
	}
	if got := len(srv.Records("example.com", "", "")); got != 1 {
		t.Errorf("%d records after nothing but refusals", got)
	}
}

func TestHangingRequestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := New()
		srv.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, records, nil)
		if _, err := srv.Client().Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestEnvLeadsToTheAPIOnly(t *testing.T) {
	srv := New()
	srv.AddZone("example.com", "token")
	env := make(map[string]string)
	for _, kv := range srv.Env(t, "127.0.0.1:0") {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	proxy, err := url.Parse(env["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyURL(proxy),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
	}}
	if status, body := ask(t, client, http.MethodGet, records, ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if _, err := client.Get("https://example.com/"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("another host: %v", err)
	}
}

func ask(t *testing.T, client *http.Client, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}
