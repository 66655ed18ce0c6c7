package dyndns

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// BenchmarkUnchanged: an update of what is in DNS already, by a user whose
// password is known, from Caddy's handing the request over to the answer.
func BenchmarkUnchanged(b *testing.B) {
	z := standin.New(standin.Character{}, origin, "example.net.")
	current = &bench{z: z, module: z.Register(), storage: b.TempDir()}
	if err := caddy.Load([]byte(current.json([]string{current.config("")}, "")), true); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()
	h := current.site.handlers[0]
	r := httptest.NewRequest(http.MethodGet, "/nic/update?hostname=home.example.com&myip="+addr1+","+addr6, nil)
	r.SetBasicAuth("home", password)
	r = prepare(r, httptest.NewRecorder(), client, false)
	update := func() string {
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
		return w.Body.String()
	}
	if got := update(); got != "good "+addr1+","+addr6+"\n" {
		b.Fatal(got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := update(); got != "nochg "+addr1+","+addr6+"\n" {
			b.Fatal(got)
		}
	}
}
