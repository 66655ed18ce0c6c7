package thirdparty

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/porkbun"
)

// Porkbun is the porkbun provider as a Caddy module.
type Porkbun struct{ *porkbun.Provider }

// CaddyModule returns the Caddy module information.
func (Porkbun) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_porkbun", New: func() caddy.Module { return &Porkbun{new(porkbun.Provider)} }}
}

// servePorkbun plays API v3: https://porkbun.com/api/json/v3/documentation.
func servePorkbun(t *testing.T, a *account) {
	fqdn := func(name string) string {
		if name == "@" {
			return a.zone
		}
		return name + "." + a.zone
	}
	refuse := func(w http.ResponseWriter, message string) {
		answer(w, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": message})
	}
	success := map[string]any{"status": "SUCCESS"}
	a.serve(t, "api.porkbun.com", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			APIKey                   string `json:"apikey"`
			SecretAPIKey             string `json:"secretapikey"`
			Name, Type, Content, TTL string
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.SecretAPIKey != a.token {
			refuse(w, "Invalid API key. (002)")
			return
		}
		parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/json/v3/"), "/")
		if r.URL.Path == "/api/json/v3/domain/listAll" {
			answer(w, http.StatusOK, map[string]any{"status": "SUCCESS", "domains": []any{map[string]any{"domain": a.zone, "status": "ACTIVE"}}})
			return
		}
		if len(parts) < 3 || parts[0] != "dns" || parts[2] != a.zone {
			refuse(w, "Invalid domain.")
			return
		}
		name, typ := "@", ""
		if len(parts) > 3 {
			typ = parts[3]
		}
		if len(parts) > 4 && parts[4] != "" {
			name = parts[4]
		}
		ttl, _ := strconv.Atoi(in.TTL)
		ttl = max(ttl, 600)
		switch parts[1] {
		case "retrieve":
			list := []any{}
			for _, rec := range a.records {
				list = append(list, map[string]any{"id": strconv.Itoa(rec.id), "name": fqdn(rec.name), "type": rec.typ,
					"content": rec.data, "ttl": strconv.Itoa(rec.ttl), "prio": "0", "notes": ""})
			}
			answer(w, http.StatusOK, map[string]any{"status": "SUCCESS", "records": list})
		case "create":
			if name = in.Name; name == "" {
				name = "@"
			}
			for _, rec := range a.rrset(name, in.Type) {
				if rec.data == in.Content {
					refuse(w, "Create error: We were unable to create the DNS record.")
					return
				}
			}
			if a.conflicts(name, in.Type) {
				refuse(w, "Create error: A CNAME record cannot coexist with other records of that host.")
				return
			}
			rec := a.add(record{name: name, typ: in.Type, data: in.Content, ttl: ttl})
			answer(w, http.StatusOK, map[string]any{"status": "SUCCESS", "id": rec.id})
		case "editByNameType":
			if a.rrset(name, typ) == nil {
				refuse(w, "Edit error: We were unable to find the DNS record.")
				return
			}
			for i, rec := range a.records {
				if rec.name == name && rec.typ == typ {
					a.records[i].data, a.records[i].ttl = in.Content, ttl
				}
			}
			answer(w, http.StatusOK, success)
		case "deleteByNameType":
			a.drop(name, typ)
			answer(w, http.StatusOK, success)
		default:
			refuse(w, "Invalid endpoint.")
		}
	})
}
