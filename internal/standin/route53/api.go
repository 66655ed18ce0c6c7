package route53

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	namespace = "https://route53.amazonaws.com/doc/2013-04-01/"

	// maxPage is what the API returns at most, whatever is asked for.
	maxPage = 300
)

type xmlHostedZone struct {
	ID              string `xml:"Id"`
	Name            string
	CallerReference string
	Config          struct{ PrivateZone bool }
	RecordCount     int `xml:"ResourceRecordSetCount"`
}

type xmlHostedZones struct {
	XMLName      xml.Name        `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListHostedZonesByNameResponse"`
	HostedZones  []xmlHostedZone `xml:"HostedZones>HostedZone"`
	DNSName      string          `xml:",omitempty"`
	IsTruncated  bool
	NextDNSName  string `xml:",omitempty"`
	NextHostedID string `xml:"NextHostedZoneId,omitempty"`
	MaxItems     int
}

type xmlRecordSet struct {
	Name   string
	Type   string
	ID     string      `xml:"SetIdentifier,omitempty"`
	Weight *int64      `xml:",omitempty"`
	TTL    *int64      `xml:",omitempty"`
	Values []xmlRecord `xml:"ResourceRecords>ResourceRecord"`
	Alias  *xmlAlias   `xml:"AliasTarget"`
}

type xmlRecord struct{ Value string }

type xmlAlias struct {
	HostedZoneID         string `xml:"HostedZoneId"`
	DNSName              string
	EvaluateTargetHealth bool
}

type xmlRecordSets struct {
	XMLName        xml.Name       `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ListResourceRecordSetsResponse"`
	RecordSets     []xmlRecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	IsTruncated    bool
	MaxItems       int
	NextRecordName string `xml:",omitempty"`
	NextRecordType string `xml:",omitempty"`
	NextRecordID   string `xml:"NextRecordIdentifier,omitempty"`
}

type xmlChangeRequest struct {
	Changes []struct {
		Action    string
		RecordSet xmlRecordSet `xml:"ResourceRecordSet"`
	} `xml:"ChangeBatch>Changes>Change"`
}

type xmlChangeInfo struct {
	XMLName     xml.Name
	ID          string `xml:"ChangeInfo>Id"`
	Status      string `xml:"ChangeInfo>Status"`
	SubmittedAt string `xml:"ChangeInfo>SubmittedAt"`
}

type apiError struct {
	status        int
	code, message string
}

var (
	errNoKey     = &apiError{http.StatusForbidden, "MissingAuthenticationToken", "Missing Authentication Token"}
	errKey       = &apiError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	errThrottled = &apiError{http.StatusBadRequest, "Throttling", "Rate exceeded"}
	errInput     = &apiError{http.StatusBadRequest, "InvalidInput", "The request could not be parsed."}
	errNoChange  = &apiError{http.StatusNotFound, "NoSuchChange", "A change with the specified change ID does not exist."}
	errNoRoute   = &apiError{http.StatusNotFound, "UnknownOperationException", "Unknown operation."}
)

// New starts an API that has no zones.
func New() *Server {
	s := &Server{changes: make(map[string]int), calls: make(map[string]int)}
	s.mux = s.routes()
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// ServeHTTP answers as route53.amazonaws.com.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	intercept := s.intercept
	s.calls[action(s.mux, r)]++
	s.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

// actions are the names that AWS gives to requests.
var actions = map[string]string{
	"GET /2013-04-01/hostedzonesbyname":        "ListHostedZonesByName",
	"GET /2013-04-01/hostedzone/{zone}/rrset":  "ListResourceRecordSets",
	"POST /2013-04-01/hostedzone/{zone}/rrset": changeRecordSets,
	"GET /2013-04-01/change/{change}":          "GetChange",
}

func action(mux *http.ServeMux, r *http.Request) string {
	_, pattern := mux.Handler(r)
	return actions[pattern]
}

func (s *Server) routes() *http.ServeMux {
	handlers := map[string]func(http.ResponseWriter, *http.Request){
		"ListHostedZonesByName":  s.listZones,
		"ListResourceRecordSets": s.inZone(listRecordSets),
		changeRecordSets:         s.inZone(s.changeRecordSets),
		"GetChange":              s.getChange,
	}
	mux := http.NewServeMux()
	for pattern, name := range actions {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			credential := r.Header.Get("Authorization")
			switch {
			case credential == "":
				errNoKey.write(w)
			case !strings.Contains(credential, "Credential="+AccessKeyID+"/"):
				errKey.write(w)
			default:
				handlers[name](w, r)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { errNoRoute.write(w) })
	return mux
}

// BadGateway answers as a proxy does when the API is away.
func BadGateway(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	fmt.Fprint(w, "<html><head><title>502 Bad Gateway</title></head><body></body></html>")
	return true
}

// Throttled answers as the API does above five requests a second.
func Throttled(w http.ResponseWriter, _ *http.Request) bool {
	errThrottled.write(w)
	return true
}

func (s *Server) inZone(f func(*zone, http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("zone")
		i := slices.IndexFunc(s.zones, func(z *zone) bool { return z.id == id })
		if i < 0 {
			(&apiError{http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found with ID: " + id}).write(w)
			return
		}
		f(s.zones[i], w, r)
	}
}

func (s *Server) listZones(w http.ResponseWriter, r *http.Request) {
	from := r.URL.Query().Get("dnsname")
	size, ok := pageSize(r, 100)
	if !ok {
		errInput.write(w)
		return
	}
	zones := slices.Clone(s.zones)
	slices.SortStableFunc(zones, func(a, b *zone) int { return compareNames(a.name, b.name) })
	answer := xmlHostedZones{DNSName: from, MaxItems: size}
	for _, z := range zones {
		if from != "" && compareNames(z.name, canonical(from)) < 0 {
			continue
		}
		if len(answer.HostedZones) == size {
			answer.IsTruncated, answer.NextDNSName, answer.NextHostedID = true, z.name, z.id
			break
		}
		view := xmlHostedZone{ID: "/hostedzone/" + z.id, Name: z.name, CallerReference: z.id, RecordCount: len(z.sets)}
		view.Config.PrivateZone = z.private
		answer.HostedZones = append(answer.HostedZones, view)
	}
	write(w, http.StatusOK, answer)
}

func listRecordSets(z *zone, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	size, ok := pageSize(r, maxPage)
	if !ok {
		errInput.write(w)
		return
	}
	answer := xmlRecordSets{MaxItems: size}
	for _, set := range z.sets {
		if q.Has("name") {
			order := compareNames(set.Name, canonical(q.Get("name")))
			if order < 0 || order == 0 && cmp.Or(cmp.Compare(set.Type, q.Get("type")), cmp.Compare(set.ID, q.Get("identifier"))) < 0 {
				continue
			}
		}
		if len(answer.RecordSets) == size {
			answer.IsTruncated, answer.NextRecordName, answer.NextRecordType, answer.NextRecordID = true, escaped(set.Name), set.Type, set.ID
			break
		}
		answer.RecordSets = append(answer.RecordSets, set.view())
	}
	write(w, http.StatusOK, answer)
}

// changeRecordSets makes all changes of a batch, or none.
func (s *Server) changeRecordSets(z *zone, w http.ResponseWriter, r *http.Request) {
	var req xmlChangeRequest
	if err := xml.NewDecoder(r.Body).Decode(&req); err != nil || len(req.Changes) == 0 {
		errInput.write(w)
		return
	}
	trial := &zone{id: z.id, name: z.name, private: z.private, sets: slices.Clone(z.sets)}
	var refusals []string
	for _, c := range req.Changes {
		if refusal := trial.change(c.Action, c.RecordSet); refusal != "" {
			refusals = append(refusals, refusal)
		}
	}
	if refusals != nil {
		(&apiError{http.StatusBadRequest, "InvalidChangeBatch", "[" + strings.Join(refusals, ", ") + "]"}).write(w)
		return
	}
	z.sets = trial.sets
	id := fmt.Sprintf("C%013d", len(s.changes)+1)
	s.changes[id] = s.PendingPolls
	write(w, http.StatusOK, changeInfo("ChangeResourceRecordSetsResponse", id, "PENDING"))
}

func (s *Server) getChange(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("change")
	pending, ok := s.changes[id]
	if !ok {
		errNoChange.write(w)
		return
	}
	status := "INSYNC"
	if pending > 0 {
		s.changes[id]--
		status = "PENDING"
	}
	write(w, http.StatusOK, changeInfo("GetChangeResponse", id, status))
}

// change makes one change, or returns why not.
func (z *zone) change(action string, c xmlRecordSet) string {
	set := RecordSet{Name: canonical(c.Name), Type: c.Type}
	for _, rec := range c.Values {
		set.Values = append(set.Values, rec.Value)
	}
	if c.Alias != nil {
		set.Alias = canonical(c.Alias.DNSName)
	}
	if c.TTL != nil {
		set.TTL = *c.TTL
	}
	if refusal := z.check(set, c.TTL != nil); refusal != "" {
		return refusal
	}
	old := z.find(set.Name, set.Type)
	described := fmt.Sprintf("resource record set [name='%s', type='%s']", escaped(set.Name), set.Type)
	switch action {
	case "CREATE":
		if old != nil {
			return fmt.Sprintf("Tried to create %s but it already exists", described)
		}
	case "UPSERT":
	case "DELETE":
		if old == nil {
			return fmt.Sprintf("Tried to delete %s but it was not found", described)
		}
		if old.TTL != set.TTL || old.Alias != set.Alias || !sameValues(old.Values, set.Values) {
			return fmt.Sprintf("Tried to delete %s but the values provided do not match the current values", described)
		}
		z.remove(set.Name, set.Type)
		return ""
	default:
		return fmt.Sprintf("Invalid action '%s'", action)
	}
	for _, other := range z.sets {
		if other.Name == set.Name && other.Type == set.Type && (other.ID == "") != (set.ID == "") {
			return fmt.Sprintf("RRSet with DNS name %s, type %s, SetIdentifier null cannot be created as other RRSets exist with the same name and type.", escaped(set.Name), set.Type)
		}
		if other.Name == set.Name && other.Type != set.Type && (other.Type == "CNAME" || set.Type == "CNAME") {
			return fmt.Sprintf("RRSet of type %s with DNS name %s is not permitted as it conflicts with other records with the same DNS name in zone %s",
				set.Type, escaped(set.Name), z.name)
		}
	}
	z.put(set)
	return ""
}

func (z *zone) check(set RecordSet, hasTTL bool) string {
	if set.Name != z.name && !strings.HasSuffix(set.Name, "."+z.name) {
		return fmt.Sprintf("RRSet with DNS name %s is not permitted in zone %s", escaped(set.Name), z.name)
	}
	if set.Alias != "" {
		return ""
	}
	if !hasTTL || len(set.Values) == 0 {
		return fmt.Sprintf("Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]] in Change with [name=%s, type=%s]", escaped(set.Name), set.Type)
	}
	for i, value := range set.Values {
		addr, err := netip.ParseAddr(value)
		if set.Type == "A" && (err != nil || !addr.Is4()) {
			return fmt.Sprintf("Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered with '%s''", value)
		}
		if set.Type == "AAAA" && (err != nil || !addr.Is6()) {
			return fmt.Sprintf("Invalid Resource Record: 'FATAL problem: AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address) encountered with '%s''", value)
		}
		if slices.Contains(set.Values[:i], value) {
			return fmt.Sprintf("Duplicate Resource Record: '%s'", value)
		}
	}
	return ""
}

func (set *RecordSet) view() xmlRecordSet {
	view := xmlRecordSet{Name: escaped(set.Name), Type: set.Type, ID: set.ID}
	if set.ID != "" {
		view.Weight = new(int64(10))
	}
	if set.Alias != "" {
		view.Alias = &xmlAlias{HostedZoneID: "Z2FDTNDATAQYW2", DNSName: set.Alias}
		return view
	}
	view.TTL = &set.TTL
	for _, value := range set.Values {
		view.Values = append(view.Values, xmlRecord{value})
	}
	return view
}

func sameValues(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func pageSize(r *http.Request, limit int) (int, bool) {
	asked := r.URL.Query().Get("maxitems")
	if asked == "" {
		return limit, true
	}
	n, err := strconv.Atoi(asked)
	return min(n, limit), err == nil && n > 0
}

func changeInfo(element, id, status string) xmlChangeInfo {
	return xmlChangeInfo{
		XMLName: xml.Name{Space: namespace, Local: element},
		ID:      "/change/" + id, Status: status, SubmittedAt: time.Now().UTC().Format(time.RFC3339),
	}
}

func (e *apiError) write(w http.ResponseWriter) {
	write(w, e.status, struct {
		XMLName   xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ErrorResponse"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}{Type: "Sender", Code: e.code, Message: e.message, RequestID: "stand-in"})
}

func write(w http.ResponseWriter, status int, body any) {
	answer, err := xml.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err))
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header+string(answer))
}
