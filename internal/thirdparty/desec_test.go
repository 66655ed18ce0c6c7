package thirdparty

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/desec"
)

// Desec is the desec provider as a Caddy module.
type Desec struct{ *desec.Provider }

// CaddyModule returns the Caddy module information.
func (Desec) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_desec", New: func() caddy.Module { return &Desec{new(desec.Provider)} }}
}

type desecRRset struct {
	Domain  string   `json:"domain,omitempty"`
	Subname string   `json:"subname"`
	Type    string   `json:"type"`
	TTL     int      `json:"ttl"`
	Records []string `json:"records"`
}

// serveDesec plays https://desec.readthedocs.io/en/latest/dns/rrsets.html.
func serveDesec(t *testing.T, a *account) {
	name := func(subname string) string {
		if subname == "" {
			return "@"
		}
		return subname
	}
	rrset := func(set []record) desecRRset {
		out := desecRRset{Domain: a.zone, Subname: strings.TrimPrefix(set[0].name, "@"), Type: set[0].typ, TTL: set[0].ttl}
		for _, r := range set {
			out.Records = append(out.Records, quoted(r.typ, r.data))
		}
		return out
	}
	detail := func(text string) map[string]any { return map[string]any{"detail": text} }
	a.serve(t, "desec.io", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Token "+a.token {
			answer(w, http.StatusUnauthorized, detail("Invalid token."))
			return
		}
		path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/domains/"+a.zone+"/rrsets/")
		if !ok {
			answer(w, http.StatusNotFound, detail("Not found."))
			return
		}
		parts := strings.Split(strings.Trim(path, "/"), "/")
		switch {
		case path == "" && r.Method == http.MethodGet:
			sets := a.byRRset()
			if len(sets) > 500 {
				answer(w, http.StatusBadRequest, detail("Pagination required. You can query up to 500 items at a time (got "+"more)."))
				return
			}
			list := []desecRRset{}
			for _, set := range sets {
				list = append(list, rrset(set))
			}
			answer(w, http.StatusOK, list)
		case path == "" && r.Method == http.MethodPut:
			var in []desecRRset
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				answer(w, http.StatusBadRequest, detail("JSON parse error"))
				return
			}
			for _, set := range in {
				if set.TTL < 3600 && len(set.Records) > 0 {
					answer(w, http.StatusBadRequest, []any{map[string]any{"ttl": []string{"Ensure this value is greater than or equal to 3600."}}})
					return
				}
				if a.conflicts(name(set.Subname), set.Type) {
					answer(w, http.StatusBadRequest, []any{map[string]any{"non_field_errors": []string{"RRset with conflicting type present: (CNAME)."}}})
					return
				}
			}
			for _, set := range in {
				a.drop(name(set.Subname), set.Type)
				for _, value := range set.Records {
					a.add(record{name: name(set.Subname), typ: set.Type, ttl: set.TTL, data: unquoted(set.Type, value)})
				}
			}
			answer(w, http.StatusOK, in)
		case len(parts) == 2 && r.Method == http.MethodGet:
			if set := a.rrset(parts[0], parts[1]); set != nil {
				answer(w, http.StatusOK, rrset(set))
				return
			}
			answer(w, http.StatusNotFound, detail("Not found."))
		default:
			answer(w, http.StatusMethodNotAllowed, detail("Method not allowed."))
		}
	})
}
