package thirdparty

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/gandi"
)

// Gandi is the gandi provider as a Caddy module.
type Gandi struct{ *gandi.Provider }

// CaddyModule returns the Caddy module information.
func (Gandi) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_gandi", New: func() caddy.Module { return &Gandi{new(gandi.Provider)} }}
}

type gandiRRset struct {
	Name   string   `json:"rrset_name"`
	Type   string   `json:"rrset_type"`
	TTL    int      `json:"rrset_ttl"`
	Values []string `json:"rrset_values"`
	Href   string   `json:"rrset_href"`
}

// serveGandi plays LiveDNS v5: https://api.gandi.net/docs/livedns/.
func serveGandi(t *testing.T, a *account) {
	domain := "/v5/livedns/domains/" + a.zone
	refuse := func(w http.ResponseWriter, status int, message string) {
		answer(w, status, map[string]any{"code": status, "message": message, "object": "HTTP" + strings.ReplaceAll(http.StatusText(status), " ", ""), "cause": http.StatusText(status)})
	}
	rrset := func(set []record) gandiRRset {
		out := gandiRRset{Name: set[0].name, Type: set[0].typ, TTL: set[0].ttl,
			Href: "https://api.gandi.net" + domain + "/records/" + set[0].name + "/" + set[0].typ}
		for _, r := range set {
			out.Values = append(out.Values, quoted(r.typ, r.data))
		}
		return out
	}
	a.serve(t, "api.gandi.net", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+a.token {
			refuse(w, http.StatusForbidden, "Access was denied to this resource.")
			return
		}
		path, ok := strings.CutPrefix(r.URL.Path, domain)
		if !ok {
			refuse(w, http.StatusNotFound, "The resource could not be found.")
			return
		}
		parts := strings.Split(strings.Trim(path, "/"), "/")
		switch {
		case path == "":
			answer(w, http.StatusOK, map[string]any{"fqdn": a.zone, "automatic_snapshots": false,
				"domain_href": "https://api.gandi.net" + domain, "domain_keys_href": "https://api.gandi.net" + domain + "/keys",
				"domain_records_href": "https://api.gandi.net" + domain + "/records"})
		case path == "/records" && r.Method == http.MethodGet:
			list := []gandiRRset{}
			for _, set := range a.byRRset() {
				list = append(list, rrset(set))
			}
			answer(w, http.StatusOK, list)
		case len(parts) != 3:
			refuse(w, http.StatusNotFound, "The resource could not be found.")
		case r.Method == http.MethodGet:
			if set := a.rrset(parts[1], parts[2]); set != nil {
				answer(w, http.StatusOK, rrset(set))
				return
			}
			refuse(w, http.StatusNotFound, "Can't find the DNS record "+parts[1]+"/"+parts[2]+" in the zone")
		case r.Method == http.MethodPut:
			in := gandiRRset{TTL: 10800}
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Values) == 0 {
				refuse(w, http.StatusBadRequest, "rrset_values: expected a list of values")
				return
			}
			if in.TTL < 300 || in.TTL > 2592000 {
				refuse(w, http.StatusBadRequest, "rrset_ttl: must be between 300 and 2592000")
				return
			}
			if a.conflicts(parts[1], parts[2]) {
				refuse(w, http.StatusConflict, "A DNS record of another type is incompatible with a CNAME")
				return
			}
			a.drop(parts[1], parts[2])
			for _, value := range in.Values {
				a.add(record{name: parts[1], typ: parts[2], ttl: in.TTL, data: unquoted(parts[2], value)})
			}
			answer(w, http.StatusCreated, map[string]any{"message": "DNS Record Created"})
		case r.Method == http.MethodDelete:
			a.drop(parts[1], parts[2])
			answer(w, http.StatusNoContent, nil)
		}
	})
}
