package cloudflare

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
)

// TestRateLimit: a short pause is waited for within the call, a long one ends
// it, and until it is over nobody with the token sends anything, also after a
// reload.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, p := setUp(t)
		set(t, p, address("www", "203.0.113.1", 0)) // finds the zone

		refuse(srv, "7", 1)
		begin := time.Now()
		set(t, p, address("www", "203.0.113.2", 0))
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("took %s, want 7s", took)
		}
		if got := srv.Contents(zone, "www.example.com", "A"); got[0] != "203.0.113.2" {
			t.Errorf("got %v", got)
		}

		refuse(srv, "7", 2) // both together are too long
		begin = time.Now()
		if _, err := p.GetRecords(t.Context(), zone); err != errLimited || time.Since(begin) != 7*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		time.Sleep(time.Minute)

		refuse(srv, "300", 1)
		begin = time.Now()
		if _, err := p.GetRecords(t.Context(), zone); err != errLimited || time.Since(begin) != 0 {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		srv.ResetCalls()
		reloaded := provision(t, &Provider{APIToken: token, Proxied: true})
		_ = p.Cleanup()
		for range 29 {
			if _, err := reloaded.GetRecords(t.Context(), zone); err != errLimited {
				t.Errorf("got %v", err)
			}
			time.Sleep(10 * time.Second)
		}
		if n := len(srv.Calls()); n != 0 {
			t.Errorf("asked: %v", srv.Calls())
		}
		// The last ten seconds are worth to wait for.
		if _, err := reloaded.GetRecords(t.Context(), zone); err != nil {
			t.Error(err)
		}
	})
}

// TestWritesWithinALimit: many names are written with pauses, none twice.
func TestWritesWithinALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, p := setUp(t)
		srv.Limit(10, 5*time.Second)
		for i := range 20 {
			set(t, p, address("n"+strconv.Itoa(i), "203.0.113.1", 0))
		}
		if n := len(srv.Records(zone, "", "A")); n != 20 {
			t.Errorf("%d records, want 20", n)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[string]time.Duration{
			"300": 300 * time.Second, "0": time.Second, "-5": time.Second, "": defaultPause, "soon": defaultPause,
			"999999999999": maxPause,
			time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
			"Fri, 02 Jan 1998 15:04:05 GMT":                                time.Second,
		} {
			w := httptest.NewRecorder()
			w.Header().Set("Retry-After", asked)
			if got := pause(w.Result()); got != want {
				t.Errorf("%q: %s, want %s", asked, got, want)
			}
		}
	})
}

// refuse has the API refuse the next requests.
func refuse(srv *standin.Server, retryAfter string, times int) {
	srv.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if times == 0 {
			return false
		}
		times--
		standin.RateLimited(header{w, retryAfter}, r)
		return true
	})
}

// header is an answer that asks to wait for another time.
type header struct {
	http.ResponseWriter
	retryAfter string
}

func (h header) WriteHeader(status int) {
	h.Header().Set("Retry-After", h.retryAfter)
	h.ResponseWriter.WriteHeader(status)
}
