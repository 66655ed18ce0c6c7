// Package route53 is a stand-in for Amazon Route 53's REST API, as far as
// hosted zones and their record sets go, for tests that run the real
// libdns/route53 code.
//
// A [Server] listens on a port of the loopback interface, for the AWS SDK has
// no other way in than an endpoint: [Server.Setenv] leads the SDKs of this
// process to it, and [Server.Env] is the environment for a process of its own.
// Both also keep the SDK away from the machine's own AWS configuration. As
// real sockets are involved, it cannot be used inside testing/synctest.
//
// A test reads and changes the record sets "by hand" with Set, SetAlias,
// Remove and Values, counts requests with Calls, and breaks things with
// Intercept.
package route53

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

const changeRecordSets = "ChangeResourceRecordSets"

// AccessKeyID is the only access key that the stand-in knows. Signatures are
// not verified, so any secret will do.
const AccessKeyID = "AKIASTANDIN"

// Server is the API with its hosted zones. New makes one. All methods are
// safe for concurrent use.
type Server struct {
	// Where the API is.
	URL string

	// How many GetChange requests answer PENDING before one answers INSYNC.
	PendingPolls int

	mux  *http.ServeMux
	http *httptest.Server

	mu        sync.Mutex
	zones     []*zone
	changes   map[string]int
	calls     map[string]int
	intercept func(http.ResponseWriter, *http.Request) bool
}

// RecordSet is a resource record set. Its name is full, lower case, has a
// trailing dot, and a plain "*". It has either values and a TTL, or an alias.
// Where it has an ID it is one of several with a weighted routing policy.
type RecordSet struct {
	Name, Type string
	ID         string
	TTL        int64
	Values     []string
	Alias      string
}

type zone struct {
	id, name string
	private  bool
	sets     []*RecordSet
}

// Close ends the API.
func (s *Server) Close() { s.http.Close() }

// Env returns environment variables with which the AWS SDK of a process uses
// the API, and nothing of the machine's own AWS configuration.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL_ROUTE_53=" + s.URL,
		"AWS_ACCESS_KEY_ID=" + AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=stand-in",
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_REGION=",
		"AWS_DEFAULT_REGION=",
		"AWS_CONFIG_FILE=/nonexistent",
		"AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Setenv sets those variables until the test is over. They are read when a
// provider is provisioned.
func (s *Server) Setenv(t testing.TB) {
	for _, kv := range s.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

// AddZone adds a public hosted zone with the SOA and NS record sets that all
// of them have, and returns its ID.
func (s *Server) AddZone(name string) string { return s.addZone(name, false) }

// AddPrivateZone adds a private hosted zone.
func (s *Server) AddPrivateZone(name string) string { return s.addZone(name, true) }

func (s *Server) addZone(name string, private bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := &zone{id: fmt.Sprintf("Z%013d", len(s.zones)+1), name: canonical(name), private: private}
	z.put(RecordSet{Name: z.name, Type: "NS", TTL: 172800, Values: []string{"ns-1.awsdns-01.org."}})
	z.put(RecordSet{Name: z.name, Type: "SOA", TTL: 900, Values: []string{
		"ns-1.awsdns-01.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
	}})
	s.zones = append(s.zones, z)
	return z.id
}

// Set makes, by hand, a record set hold exactly these values.
func (s *Server) Set(zone, name, typ string, ttl int64, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustZone(zone).put(RecordSet{Name: canonical(name), Type: typ, TTL: ttl, Values: values})
}

// SetAlias makes, by hand, an alias record set.
func (s *Server) SetAlias(zone, name, typ, target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustZone(zone).put(RecordSet{Name: canonical(name), Type: typ, Alias: canonical(target)})
}

// SetWeighted makes, by hand, one of several record sets of a name and type
// with a weighted routing policy.
func (s *Server) SetWeighted(zone, name, typ, id string, ttl int64, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustZone(zone).put(RecordSet{Name: canonical(name), Type: typ, ID: id, TTL: ttl, Values: values})
}

// Remove removes all record sets of a name and type by hand.
func (s *Server) Remove(zone, name, typ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustZone(zone).remove(canonical(name), typ)
}

// Get returns a record set, if there is one.
func (s *Server) Get(zone, name, typ string) (RecordSet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.mustZone(zone).find(canonical(name), typ); set != nil {
		return *set, true
	}
	return RecordSet{}, false
}

// Values returns the values of a record set, sorted; none if there is none.
func (s *Server) Values(zone, name, typ string) []string {
	set, _ := s.Get(zone, name, typ)
	return slices.Sorted(slices.Values(set.Values))
}

// Sets returns all record sets of a zone, in the API's order.
func (s *Server) Sets(zone string) []RecordSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sets []RecordSet
	for _, set := range s.mustZone(zone).sets {
		sets = append(sets, *set)
	}
	return sets
}

// Calls returns how many requests there have been, failed ones included, by
// the name of the API's action, such as "ChangeResourceRecordSets".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Writes returns how many requests there have been to change record sets.
func (s *Server) Writes() int { return s.Calls()[changeRecordSets] }

// ResetCalls begins to count anew.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Intercept has f look at each request first, in place of any f before. If f
// returns true it has answered, and the request does nothing. See [BadGateway]
// and [Throttled].
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

func (s *Server) mustZone(name string) *zone {
	i := slices.IndexFunc(s.zones, func(z *zone) bool { return z.name == canonical(name) })
	if i < 0 {
		panic("no zone " + name + " at the stand-in")
	}
	return s.zones[i]
}

func (z *zone) find(name, typ string) *RecordSet {
	for _, set := range z.sets {
		if set.Name == name && set.Type == typ {
			return set
		}
	}
	return nil
}

// put keeps the record sets in the API's order.
func (z *zone) put(set RecordSet) {
	z.sets = slices.DeleteFunc(z.sets, func(old *RecordSet) bool {
		return old.Name == set.Name && old.Type == set.Type && old.ID == set.ID
	})
	z.sets = append(z.sets, &set)
	slices.SortFunc(z.sets, func(a, b *RecordSet) int {
		return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
}

func (z *zone) remove(name, typ string) {
	z.sets = slices.DeleteFunc(z.sets, func(set *RecordSet) bool { return set.Name == name && set.Type == typ })
}

// compareNames compares by labels from the right, as the API sorts.
func compareNames(a, b string) int {
	return slices.Compare(reversed(a), reversed(b))
}

func reversed(name string) []string {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	slices.Reverse(labels)
	return labels
}

func canonical(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), `\052`, "*")
	return strings.TrimSuffix(name, ".") + "."
}

// escaped is a name as the API shows it.
func escaped(name string) string { return strings.ReplaceAll(name, "*", `\052`) }
