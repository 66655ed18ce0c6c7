package dynamicdns

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage"
)

// page is what the status page answers.
func (l *lab) page(accept string) string {
	l.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://home.example.com/status", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	if err := new(statuspage.Handler).ServeHTTP(w, r, nil); err != nil || w.Code != http.StatusOK {
		l.t.Errorf("the page: %d, %v", w.Code, err)
	}
	return w.Body.String()
}

// TestStatusPage: it shows what the admin endpoint answers, as JSON exactly
// that, and secrets never.
func TestStatusPage(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		l.load(appConfig(z.Register(), `{"example.com": ["@", "www"]}`))
		l.wait(time.Minute)
		look := func(want ...string) {
			t.Helper()
			if _, body := l.ask(http.MethodGet, "status"); l.page("application/json") != body {
				t.Errorf("as JSON\n%s\nthe admin endpoint\n%s", l.page("application/json"), body)
			}
			page := l.page("text/html")
			for _, text := range want {
				if !strings.Contains(page, text) {
					t.Errorf("no %q in\n%s", text, page)
				}
			}
			if strings.Contains(page, standin.Token) {
				t.Error("the provider's token is in the page")
			}
		}
		look("All is well", addr1, addr6, "example.com", "from fake")
		z.Fail(func(standin.Call) standin.Fault {
			return standin.Fault{Err: errors.New("no <b>access</b> with " + standin.Token)}
		})
		l.address(addr2, addr6)
		l.wait(10 * time.Minute)
		look("Something is wrong", "cannot be updated", "no &lt;b&gt;access&lt;/b&gt; with [redacted]", "It is tried again in", addr2)
		l.address()
		l.wait(30 * time.Minute)
		look("3 things are wrong", "No IPv4 address is found any more", "DNS stays as it is")
	})
}

// TestStatusPageChecks: what is asked for by the page is done, for all zones.
func TestStatusPageChecks(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.load(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		z.Drop(zoneName, "www", "A")
		l.address(addr2)
		app, err := activeApp()
		if err != nil {
			t.Fatal(err)
		}
		<-app.Check()
		if got := z.Values(zoneName, "www", "A"); !slices.Equal(got, []string{addr2}) {
			t.Errorf("after a check: %v", got)
		}
	})
}

// TestTimeline: what happened is told in order, over reloads and restarts.
func TestTimeline(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		expect := func(want ...status.EventName) {
			t.Helper()
			_, body := l.ask(http.MethodGet, "status")
			var shown status.Status
			decodeJSON(t, body, &shown)
			var got []status.EventName
			for _, e := range slices.Backward(shown.Timeline) {
				got = append(got, e.Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		}
		l.load(config)
		l.wait(time.Minute)
		l.address(addr1)
		l.wait(10 * time.Minute)
		story := []status.EventName{status.EventStarted, status.EventAddressChanged, status.EventRecordsChanged}
		expect(story...)

		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.address(addr2)
		l.wait(20 * time.Minute)
		l.load(strings.Replace(config, "{", `{"check_interval": "1m", `, 1))
		story = append(story, status.EventAddressChanged, status.EventUpdateFailed)
		expect(story...)

		z.Fail(nil)
		l.wait(20 * time.Minute)
		story = append(story, status.EventRecordsChanged, status.EventRecovered)
		if _, body := l.ask(http.MethodGet, "status"); strings.Index(body, "recovered") > strings.Index(body, "records_changed") {
			story[len(story)-2], story[len(story)-1] = status.EventRecovered, status.EventRecordsChanged
		}
		expect(story...)

		l.stop()
		l.wait(time.Hour)
		l.load(config)
		l.wait(10 * time.Minute)
		expect(append(story, status.EventStarted)...)
	})
}
