package thirdparty

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"
)

// TestMain makes every HTTP client of the process that uses the default
// transport, as those of all the providers do, talk to stand-ins only.
func TestMain(m *testing.M) {
	http.DefaultTransport = internet
	// What package net keeps for all resolvers must not be made inside a
	// bubble of fake time.
	_, _ = (&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, net.ErrClosed
	}}).LookupHost(context.Background(), "name.test")
	os.Exit(m.Run())
}

var internet = &hosts{handlers: make(map[string]http.Handler)}

// hosts answers requests by host, without sockets, so that it works in fake
// time.
type hosts struct {
	mu       sync.Mutex
	handlers map[string]http.Handler
}

func (h *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	h.mu.Lock()
	handler := h.handlers[req.URL.Host]
	h.mu.Unlock()
	if req.Body != nil {
		defer req.Body.Close()
	}
	if handler == nil {
		return nil, fmt.Errorf("there is no stand-in for %s", req.URL.Host)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	served := req.Clone(req.Context())
	served.RequestURI = req.URL.RequestURI()
	if served.Body == nil {
		served.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, served)
	resp := recorder.Result()
	resp.Request = req
	return resp, nil
}

// An account is what an API gives access to: one zone.
type account struct {
	zone  string // without trailing dot
	token string

	mu       sync.Mutex
	records  []record
	lastID   int
	requests []string
	// The number of requests that changed records, and what names and types
	// lost all their values in one.
	writes int
	lost   map[[2]string]bool
	fail   func(*http.Request) (status int, retryAfter time.Duration)

	// Set where the API keeps records of its own.
	place func(record)
	// Only Route 53 has one.
	api *route53.Server
	// Only DuckDNS has one.
	resolver *resolver
}

type record struct {
	id  int
	ttl int
	// Relative, and "@" for the zone itself.
	name, typ string
	// TXT without quotes.
	data string
}

// serve makes the account the one that a host's API gives access to, until
// the test ends. The API runs under the account's lock.
func (a *account) serve(t *testing.T, host string, api http.HandlerFunc) {
	internet.mu.Lock()
	defer internet.mu.Unlock()
	internet.handlers[host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		if a.fail != nil {
			if status, retryAfter := a.fail(r); status != 0 {
				if retryAfter > 0 {
					w.Header().Set("Retry-After", fmt.Sprint(int(retryAfter.Seconds())))
				}
				answer(w, status, map[string]any{"code": status, "status": "ERROR", "message": http.StatusText(status)})
				return
			}
		}
		before := slices.Clone(a.records)
		api(w, r)
		a.note(before)
	})
	t.Cleanup(func() {
		internet.mu.Lock()
		defer internet.mu.Unlock()
		delete(internet.handlers, host)
	})
}

// note compares the records with what they were before a request.
func (a *account) note(before []record) {
	if slices.Equal(before, a.records) {
		return
	}
	a.writes++
	for _, r := range before {
		if a.rrset(r.name, r.typ) == nil {
			if a.lost == nil {
				a.lost = make(map[[2]string]bool)
			}
			a.lost[[2]string{r.name, r.typ}] = true
		}
	}
}

// written returns the number of requests so far that changed records.
func (a *account) written() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writes
}

// emptied reports whether a name that had addresses of one family was left
// without any by some request.
func (a *account) emptied(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost[[2]string{name, "A"}] || a.lost[[2]string{name, "AAAA"}]
}

// put adds records as the provider's web page would.
func (a *account) put(records ...record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range records {
		if a.place != nil {
			a.place(r)
		} else {
			a.add(r)
		}
	}
}

// values returns what a name and type truly has.
func (a *account) values(name, typ string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var values []string
	for _, r := range a.rrset(name, typ) {
		values = append(values, r.data)
	}
	slices.Sort(values)
	return values
}

// others returns what the zone holds beside a name's addresses, without IDs.
func (a *account) others(name string) []record {
	a.mu.Lock()
	defer a.mu.Unlock()
	var others []record
	for _, r := range a.records {
		if r.name != name || r.typ != "A" && r.typ != "AAAA" {
			r.id = 0
			others = append(others, r)
		}
	}
	slices.SortFunc(others, func(a, b record) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return others
}

// failing makes the API answer as the function says; 0 is as usual.
func (a *account) failing(fail func(*http.Request) (status int, retryAfter time.Duration)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = fail
}

// count returns the number of requests so far whose method and path begin
// like this.
func (a *account) count(prefix string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (a *account) add(r record) record {
	a.lastID++
	r.id = a.lastID
	a.records = append(a.records, r)
	return r
}

func (a *account) rrset(name, typ string) []record {
	var set []record
	for _, r := range a.records {
		if r.name == name && r.typ == typ {
			set = append(set, r)
		}
	}
	return set
}

func (a *account) drop(name, typ string) {
	a.records = slices.DeleteFunc(a.records, func(r record) bool { return r.name == name && r.typ == typ })
}

// byRRset returns the records in groups of one name and type each.
func (a *account) byRRset() [][]record {
	var sets [][]record
	seen := make(map[[2]string]bool)
	for _, r := range a.records {
		if key := [2]string{r.name, r.typ}; !seen[key] {
			seen[key] = true
			sets = append(sets, a.rrset(r.name, r.typ))
		}
	}
	return sets
}

// conflicts reports whether a record would stand beside a CNAME.
func (a *account) conflicts(name, typ string) bool {
	for _, r := range a.records {
		if r.name == name && r.typ != typ && (r.typ == "CNAME" || typ == "CNAME") {
			return true
		}
	}
	return false
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// quoted is data as APIs that want TXT in zone file form have it.
func quoted(typ, data string) string {
	if typ == "TXT" {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(data) + `"`
	}
	return data
}

func unquoted(typ, data string) string {
	if typ == "TXT" {
		return strings.Trim(data, `"`)
	}
	return data
}
