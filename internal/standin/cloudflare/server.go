// Package cloudflare is a stand-in for Cloudflare's API v4, as far as zones
// and DNS records go, for tests that run the real libdns/cloudflare code.
//
// A [Server] is the API's state and its [http.Handler]. There are three ways
// to lead the library to it, none of which needs a hook in the product:
//
//   - [Server.Client] is for the HTTPClient field of the library's Provider.
//   - [Server.Install] makes it what http.DefaultTransport reaches as
//     api.cloudflare.com, which is what the module dns.providers.cloudflare
//     asks. No socket is involved, so both work inside testing/synctest.
//   - [Server.Env] gives the environment in which a process of its own, such
//     as the built binary, reaches it through an HTTPS proxy.
//
// A test reads and changes the records "by hand" with Records, Add and Remove,
// counts requests with Calls and Writes, and breaks things with Intercept.
package cloudflare

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is the API with its zones, records and tokens. The zero value cannot
// be used; New makes one. All methods are safe for concurrent use.
type Server struct {
	mux *http.ServeMux

	mu        sync.Mutex
	zones     []*zone
	tokens    map[string]map[string]bool
	calls     map[string]int
	intercept func(http.ResponseWriter, *http.Request) bool
	lastID    int
	limit     limit
	free      bool
}

// limit is how many requests are answered in a period.
type limit struct {
	requests int
	period   time.Duration
	used     int
	ends     time.Time
}

// Record is a DNS record as the API shows it. Names are full and without
// trailing dot. A TTL of 1 is automatic, and is what proxied records have.
type Record struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Name       string    `json:"name"`
	Content    string    `json:"content"`
	TTL        int       `json:"ttl"`
	Proxiable  bool      `json:"proxiable"`
	Proxied    bool      `json:"proxied"`
	Comment    string    `json:"comment,omitempty"`
	Tags       []string  `json:"tags"`
	Priority   uint16    `json:"priority,omitempty"`
	CreatedOn  time.Time `json:"created_on"`
	ModifiedOn time.Time `json:"modified_on"`
}

type zone struct {
	id, name string
	records  []*Record
}

// AddZone adds an empty zone to the account of each of the tokens, which may
// be new: one token with several zones, or several tokens for one zone.
func (s *Server) AddZone(name string, tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = canonical(name)
	s.zones = append(s.zones, &zone{id: s.newID(), name: name})
	for _, token := range tokens {
		if s.tokens[token] == nil {
			s.tokens[token] = make(map[string]bool)
		}
		s.tokens[token][name] = true
	}
}

// Revoke makes the token unknown.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// Add adds a record by hand, without the API's checks, and returns it as it
// is kept.
func (s *Server) Add(zone string, rec Record) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.mustZone(zone)
	rec.Name = z.absolute(rec.Name)
	return *s.keep(z, rec)
}

// Remove removes, by hand, the records with that full name and type.
func (s *Server) Remove(zone, name, typ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.mustZone(zone)
	z.records = slices.DeleteFunc(z.records, func(r *Record) bool {
		return r.Name == canonical(name) && r.Type == typ
	})
}

// Records returns the zone's records with that full name and type, in the
// order in which they were made. Either may be empty, for all.
func (s *Server) Records(zone, name, typ string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var recs []Record
	for _, r := range s.mustZone(zone).records {
		if (name == "" || r.Name == canonical(name)) && (typ == "" || r.Type == typ) {
			recs = append(recs, *r)
		}
	}
	return recs
}

// Contents returns the contents of those records, sorted.
func (s *Server) Contents(zone, name, typ string) []string {
	contents := []string{}
	for _, r := range s.Records(zone, name, typ) {
		contents = append(contents, r.Content)
	}
	slices.Sort(contents)
	return contents
}

// Calls returns how many requests there have been, failed ones included, by
// method and path pattern, such as "PATCH /zones/{zone}/dns_records/{record}".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Writes returns how many requests there have been that were not reads.
func (s *Server) Writes() int {
	n := 0
	for call, count := range s.Calls() {
		if !strings.HasPrefix(call, http.MethodGet+" ") {
			n += count
		}
	}
	return n
}

// ResetCalls begins to count anew.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Intercept has f look at each request first, in place of any f before. If f
// returns true it has answered, and the request does nothing. See [BadGateway]
// and [RateLimited].
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Limit has the API refuse all but so many requests in a period, and tell how
// long to wait. Cloudflare allows 1200 in five minutes.
func (s *Server) Limit(requests int, period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit{requests: requests, period: period}
}

// FreePlan has the API refuse tags, and comments of more than 100 characters.
func (s *Server) FreePlan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = true
}

// take counts a request, or returns how long to wait.
func (l *limit) take(now time.Time) time.Duration {
	switch {
	case l.period == 0:
		return 0
	case !now.Before(l.ends):
		l.used, l.ends = 0, now.Add(l.period)
	case l.used >= l.requests:
		return l.ends.Sub(now)
	}
	l.used++
	return 0
}

func (s *Server) keep(z *zone, rec Record) *Record {
	rec.ID = s.newID()
	rec.CreatedOn = time.Now().UTC()
	rec.ModifiedOn = rec.CreatedOn
	rec.normalize()
	z.records = append(z.records, &rec)
	return &rec
}

func (s *Server) newID() string {
	s.lastID++
	return fmt.Sprintf("%032x", s.lastID)
}

func (s *Server) mustZone(name string) *zone {
	i := slices.IndexFunc(s.zones, func(z *zone) bool { return z.name == canonical(name) })
	if i < 0 {
		panic("no zone " + name + " at the stand-in")
	}
	return s.zones[i]
}

// absolute accepts what the API accepts for a name: full, relative, or "@".
func (z *zone) absolute(name string) string {
	name = canonical(name)
	switch {
	case name == "@" || name == "":
		return z.name
	case name == z.name || strings.HasSuffix(name, "."+z.name):
		return name
	}
	return name + "." + z.name
}

func (r *Record) normalize() {
	r.Proxiable = r.Type == "A" || r.Type == "AAAA" || r.Type == "CNAME"
	if r.TTL == 0 || r.Proxied {
		r.TTL = 1
	}
	if r.Tags == nil {
		r.Tags = []string{}
	}
}

func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
