package thirdparty

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/hetzner"
)

// Hetzner is the hetzner provider as a Caddy module.
type Hetzner struct{ *hetzner.Provider }

// CaddyModule returns the Caddy module information.
func (Hetzner) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_hetzner", New: func() caddy.Module { return &Hetzner{new(hetzner.Provider)} }}
}

type hetznerRecord struct {
	ID     string `json:"id"`
	ZoneID string `json:"zone_id"`
	Type   string `json:"type"`
	Name   string `json:"name"`
	Value  string `json:"value"`
	TTL    int    `json:"ttl"`
}

// serveHetzner plays https://dns.hetzner.com/api-docs.
func serveHetzner(t *testing.T, a *account) {
	const zoneID = "9TfbPRKiTbrKCXYUAKzTXX"
	form := func(r record) hetznerRecord {
		return hetznerRecord{ID: strconv.Itoa(r.id), ZoneID: zoneID, Type: r.typ, Name: r.name, Value: quoted(r.typ, r.data), TTL: r.ttl}
	}
	refuse := func(w http.ResponseWriter, status int, message string) {
		answer(w, status, map[string]any{"error": map[string]any{"message": message, "code": status}})
	}
	a.serve(t, "dns.hetzner.com", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Auth-API-Token") != a.token {
			refuse(w, http.StatusUnauthorized, "Invalid authentication credentials")
			return
		}
		if r.URL.Path == "/api/v1/zones" {
			if r.URL.Query().Get("name") != a.zone {
				refuse(w, http.StatusNotFound, "zone not found")
				return
			}
			answer(w, http.StatusOK, map[string]any{"zones": []any{map[string]any{"id": zoneID, "name": a.zone}}})
			return
		}
		path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/records")
		at := slices.IndexFunc(a.records, func(rec record) bool { return strconv.Itoa(rec.id) == strings.Trim(path, "/") })
		if !ok || path != "" && at < 0 {
			refuse(w, http.StatusNotFound, "record not found")
			return
		}
		var in hetznerRecord
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.ZoneID != zoneID {
				refuse(w, http.StatusUnprocessableEntity, "invalid input")
				return
			}
			for i, rec := range a.records {
				if rec.name == in.Name && rec.typ == in.Type && quoted(rec.typ, rec.data) == in.Value && i != at {
					refuse(w, http.StatusUnprocessableEntity, "record already exists")
					return
				}
			}
			if a.conflicts(in.Name, in.Type) {
				refuse(w, http.StatusUnprocessableEntity, "CNAME records cannot coexist with others")
				return
			}
		}
		changed := record{name: in.Name, typ: in.Type, data: unquoted(in.Type, in.Value), ttl: in.TTL}
		switch {
		case path == "" && r.Method == http.MethodGet:
			list := []hetznerRecord{}
			for _, rec := range a.records {
				list = append(list, form(rec))
			}
			answer(w, http.StatusOK, map[string]any{"records": list})
		case path == "" && r.Method == http.MethodPost:
			answer(w, http.StatusOK, map[string]any{"record": form(a.add(changed))})
		case r.Method == http.MethodPut:
			changed.id = a.records[at].id
			a.records[at] = changed
			answer(w, http.StatusOK, map[string]any{"record": form(changed)})
		case r.Method == http.MethodDelete:
			a.records = slices.Delete(a.records, at, at+1)
			answer(w, http.StatusOK, map[string]any{})
		}
	})
}
