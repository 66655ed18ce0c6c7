package dyndns

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage"
)

// page is what the status page answers.
func (b *bench) page(accept string) string {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://home.example.com/status", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if err := new(statuspage.Handler).ServeHTTP(w, r, nil); err != nil || w.Code != http.StatusOK {
		b.t.Errorf("the page: %d, %v", w.Code, err)
	}
	return w.Body.String()
}

// TestStatusPage: where there is the DDNS server alone, the page has it, and a
// check reads its zones.
func TestStatusPage(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		time.Sleep(time.Minute)
		var shown status.Status
		if err := json.Unmarshal([]byte(b.page("application/json")), &shown); err != nil {
			t.Fatal(err)
		}
		if want := b.status(); !reflect.DeepEqual(&shown, want) {
			t.Errorf("the page has\n%+v\nthe admin endpoint\n%+v", &shown, want)
		}
		page := b.page("text/html")
		for _, text := range []string{"All is well", "Clients of the DDNS server", "home.example.com", addr1, "as the client home asked", "answered “good”"} {
			if !strings.Contains(page, text) {
				t.Errorf("no %q in\n%s", text, page)
			}
		}
		if strings.Contains(page, password) || strings.Contains(page, hash) {
			t.Error("a secret is in the page")
		}
		b.z.Drop(origin, "home", "A")
		<-b.site.handlers[0].app.Check()
		time.Sleep(time.Second)
		b.expect(origin, "home", "A", addr1)
	})
}
