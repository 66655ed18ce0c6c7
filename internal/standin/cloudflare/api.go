package cloudflare

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const basePath = "/client/v4"

// envelope is the form of every answer of the API.
type envelope struct {
	Result     any         `json:"result"`
	ResultInfo *resultInfo `json:"result_info,omitempty"`
	Success    bool        `json:"success"`
	Errors     []apiError  `json:"errors"`
	Messages   []string    `json:"messages"`
}

type resultInfo struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Count      int `json:"count"`
	TotalCount int `json:"total_count"`
	TotalPages int `json:"total_pages"`
}

type apiError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Chain   []apiError `json:"error_chain,omitempty"`

	status int
}

// zoneView is a zone as the API shows it.
type zoneView struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Paused bool   `json:"paused"`
	Type   string `json:"type"`
}

// recordChange is the body of a write. What is nil was not sent.
type recordChange struct {
	Type     *string   `json:"type"`
	Name     *string   `json:"name"`
	Content  *string   `json:"content"`
	TTL      *int      `json:"ttl"`
	Proxied  *bool     `json:"proxied"`
	Comment  *string   `json:"comment"`
	Tags     *[]string `json:"tags"`
	Priority *uint16   `json:"priority"`
}

var (
	errHeader = &apiError{
		status: http.StatusBadRequest, Code: 6003, Message: "Invalid request headers",
		Chain: []apiError{{Code: 6111, Message: "Invalid format for Authorization header"}},
	}
	errAuth        = &apiError{status: http.StatusForbidden, Code: 10000, Message: "Authentication error"}
	errRateLimited = &apiError{status: http.StatusTooManyRequests, Code: 971, Message: "Please wait and consider throttling your request speed"}
	errRoute       = &apiError{status: http.StatusNotFound, Code: 7003, Message: "Could not route to the requested resource, perhaps your object identifier is invalid?"}
	errBody        = &apiError{status: http.StatusBadRequest, Code: 9207, Message: "Request body is invalid."}
	errNoRecord    = &apiError{status: http.StatusNotFound, Code: 81044, Message: "Record does not exist."}
	errIdentical   = &apiError{status: http.StatusBadRequest, Code: 81058, Message: "An identical record already exists."}
	errHostExists  = &apiError{status: http.StatusBadRequest, Code: 81053, Message: "An A, AAAA, or CNAME record with that host already exists."}
	errCNAMEExists = &apiError{status: http.StatusBadRequest, Code: 81054, Message: "A CNAME record with that host already exists."}
	errTTL         = &apiError{status: http.StatusBadRequest, Code: 9021, Message: "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."}
	errContentA    = &apiError{status: http.StatusBadRequest, Code: 9005, Message: "Content for A record must be a valid IPv4 address."}
	errContentAAAA = &apiError{status: http.StatusBadRequest, Code: 9006, Message: "Content for AAAA record must be a valid IPv6 address."}
	errNotProxied  = &apiError{status: http.StatusBadRequest, Code: 9004, Message: "This record type cannot be proxied."}
	errTags        = validationError(9300, "DNS record has tags, exceeding the quota of 0.")
	errComment     = validationError(9313, "DNS record comment exceeds the maximum length of 100 characters.")
	errPage        = &apiError{status: http.StatusBadRequest, Code: 1004, Message: "Invalid paging parameters."}
)

// validationError is how the API refuses what a plan does not include.
func validationError(code int, message string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, Code: 1004, Message: "DNS Validation Error",
		Chain: []apiError{{Code: code, Message: message}},
	}
}

// New makes an API that has no zones and knows no tokens.
func New() *Server {
	s := &Server{
		tokens: make(map[string]map[string]bool),
		calls:  make(map[string]int),
	}
	s.mux = s.routes()
	return s
}

// ServeHTTP answers as api.cloudflare.com.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, pattern := s.mux.Handler(r)
	s.mu.Lock()
	s.calls[strings.Replace(pattern, basePath, "", 1)]++
	intercept := s.intercept
	wait := s.limit.take(time.Now())
	s.mu.Unlock()
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		errRateLimited.write(w)
		return
	}
	if intercept != nil && intercept(w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(method, path string, f func(allowed map[string]bool, r *http.Request) (envelope, *apiError)) {
		mux.HandleFunc(method+" "+basePath+path, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			allowed, err := s.authenticate(r)
			var answer envelope
			if err == nil {
				answer, err = f(allowed, r)
			}
			if err != nil {
				err.write(w)
				return
			}
			answer.Success = true
			answer.write(w, http.StatusOK)
		})
	}
	handle("GET", "/zones", s.listZones)
	handle("GET", "/zones/{zone}", s.inZone(func(z *zone, _ *http.Request) (envelope, *apiError) {
		return envelope{Result: z.view()}, nil
	}))
	handle("GET", "/zones/{zone}/dns_records", s.inZone(listRecords))
	handle("POST", "/zones/{zone}/dns_records", s.inZone(s.createRecord))
	handle("GET", "/zones/{zone}/dns_records/{record}", s.inZone(func(z *zone, r *http.Request) (envelope, *apiError) {
		rec, err := z.record(r)
		return envelope{Result: rec}, err
	}))
	handle("PATCH", "/zones/{zone}/dns_records/{record}", s.inZone(changeRecord))
	handle("PUT", "/zones/{zone}/dns_records/{record}", s.inZone(changeRecord))
	handle("DELETE", "/zones/{zone}/dns_records/{record}", s.inZone(deleteRecord))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { errRoute.write(w) })
	return mux
}

// BadGateway answers as the API does when what is behind it is away.
func BadGateway(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	fmt.Fprint(w, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body>\r\n</html>\r\n")
	return true
}

// ReadOnly answers writes as the API does where the token has DNS:Read alone.
func ReadOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return false
	}
	errAuth.write(w)
	return true
}

// RateLimited answers as the API does after more than 1200 requests in five
// minutes.
func RateLimited(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Retry-After", "300")
	errRateLimited.write(w)
	return true
}

func (s *Server) authenticate(r *http.Request) (map[string]bool, *apiError) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return nil, errHeader
	}
	allowed, ok := s.tokens[token]
	if !ok {
		return nil, errAuth
	}
	return allowed, nil
}

// inZone finds the zone of the path, if the token may see it.
func (s *Server) inZone(f func(*zone, *http.Request) (envelope, *apiError)) func(map[string]bool, *http.Request) (envelope, *apiError) {
	return func(allowed map[string]bool, r *http.Request) (envelope, *apiError) {
		i := slices.IndexFunc(s.zones, func(z *zone) bool { return z.id == r.PathValue("zone") })
		if i < 0 || !allowed[s.zones[i].name] {
			return envelope{}, errAuth
		}
		return f(s.zones[i], r)
	}
}

func (s *Server) listZones(allowed map[string]bool, r *http.Request) (envelope, *apiError) {
	views := []zoneView{}
	name := r.URL.Query().Get("name")
	for _, z := range s.zones {
		if allowed[z.name] && (name == "" || canonical(name) == z.name) {
			views = append(views, z.view())
		}
	}
	return page(views, r.URL.Query(), 20, 50)
}

func listRecords(z *zone, r *http.Request) (envelope, *apiError) {
	q := r.URL.Query()
	is := func(param, value string) bool {
		return !q.Has(param) || strings.EqualFold(q.Get(param), value)
	}
	recs := []*Record{}
	for _, rec := range z.records {
		if is("type", rec.Type) &&
			(!q.Has("name") || canonical(q.Get("name")) == rec.Name) &&
			is("content", rec.Content) && is("content.exact", rec.Content) &&
			strings.Contains(rec.Content, q.Get("content.contains")) {
			recs = append(recs, rec)
		}
	}
	return page(recs, q, 100, 5_000_000)
}

func (s *Server) createRecord(z *zone, r *http.Request) (envelope, *apiError) {
	rec, err := z.changed(Record{}, r)
	switch {
	case err != nil:
		return envelope{}, err
	case s.free && len(rec.Tags) > 0:
		return envelope{}, errTags
	case s.free && utf8.RuneCountInString(rec.Comment) > 100:
		return envelope{}, errComment
	}
	return envelope{Result: s.keep(z, rec)}, nil
}

// changeRecord changes what was sent (PATCH) or all of a record (PUT).
func changeRecord(z *zone, r *http.Request) (envelope, *apiError) {
	old, err := z.record(r)
	if err != nil {
		return envelope{}, err
	}
	base := *old
	if r.Method == http.MethodPut {
		base = Record{ID: old.ID, CreatedOn: old.CreatedOn}
	}
	rec, err := z.changed(base, r)
	if err != nil {
		return envelope{}, err
	}
	rec.ModifiedOn = time.Now().UTC()
	rec.normalize()
	*old = rec
	return envelope{Result: old}, nil
}

func deleteRecord(z *zone, r *http.Request) (envelope, *apiError) {
	rec, err := z.record(r)
	if err != nil {
		return envelope{}, err
	}
	z.records = slices.DeleteFunc(z.records, func(other *Record) bool { return other == rec })
	return envelope{Result: map[string]string{"id": rec.ID}}, nil
}

func (z *zone) record(r *http.Request) (*Record, *apiError) {
	for _, rec := range z.records {
		if rec.ID == r.PathValue("record") {
			return rec, nil
		}
	}
	return nil, errNoRecord
}

// changed returns rec with what the request's body sets, if that may be.
func (z *zone) changed(rec Record, r *http.Request) (Record, *apiError) {
	var c recordChange
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return rec, errBody
	}
	assign(&rec.Type, c.Type)
	assign(&rec.Name, c.Name)
	assign(&rec.Content, c.Content)
	assign(&rec.TTL, c.TTL)
	assign(&rec.Proxied, c.Proxied)
	assign(&rec.Comment, c.Comment)
	assign(&rec.Tags, c.Tags)
	assign(&rec.Priority, c.Priority)
	if rec.Type == "" || rec.Name == "" || rec.Content == "" {
		return rec, errBody
	}
	rec.Name = z.absolute(rec.Name)
	if c.TTL != nil && *c.TTL != 1 && (*c.TTL < 60 || *c.TTL > 86400) {
		return rec, errTTL
	}
	return rec, z.check(&rec)
}

func (z *zone) check(rec *Record) *apiError {
	switch addr, err := netip.ParseAddr(rec.Content); rec.Type {
	case "A":
		if err != nil || !addr.Is4() {
			return errContentA
		}
	case "AAAA":
		if err != nil || !addr.Is6() {
			return errContentAAAA
		}
		rec.Content = addr.String()
	case "CNAME":
	default:
		if rec.Proxied {
			return errNotProxied
		}
	}
	host := func(typ string) bool { return typ == "A" || typ == "AAAA" || typ == "CNAME" }
	for _, other := range z.records {
		switch {
		case other.ID == rec.ID || other.Name != rec.Name:
		case other.Type == rec.Type && other.Content == rec.Content:
			return errIdentical
		case rec.Type == "CNAME" && host(other.Type):
			return errHostExists
		case other.Type == "CNAME" && host(rec.Type):
			return errCNAMEExists
		}
	}
	return nil
}

func (z *zone) view() zoneView {
	return zoneView{ID: z.id, Name: z.name, Status: "active", Type: "full"}
}

func page[T any](all []T, q url.Values, size, maxSize int) (envelope, *apiError) {
	info := resultInfo{Page: 1, PerPage: size, TotalCount: len(all)}
	for param, dst := range map[string]*int{"page": &info.Page, "per_page": &info.PerPage} {
		if !q.Has(param) {
			continue
		}
		n, err := strconv.Atoi(q.Get(param))
		if err != nil || n < 1 {
			return envelope{}, errPage
		}
		*dst = n
	}
	info.PerPage = min(info.PerPage, maxSize)
	from := min((info.Page-1)*info.PerPage, len(all))
	result := all[from:min(from+info.PerPage, len(all))]
	info.Count = len(result)
	info.TotalPages = (len(all) + info.PerPage - 1) / info.PerPage
	return envelope{Result: result, ResultInfo: &info}, nil
}

func (e *apiError) write(w http.ResponseWriter) {
	envelope{Errors: []apiError{*e}}.write(w, e.status)
}

func (a envelope) write(w http.ResponseWriter, status int) {
	if a.Errors == nil {
		a.Errors = []apiError{}
	}
	a.Messages = []string{}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(a); err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err))
	}
}

func assign[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}
