package thirdparty

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/namecheap"
)

// Namecheap is the namecheap provider as a Caddy module.
type Namecheap struct{ *namecheap.Provider }

// CaddyModule returns the Caddy module information.
func (Namecheap) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_namecheap", New: func() caddy.Module { return &Namecheap{new(namecheap.Provider)} }}
}

// serveNamecheap plays https://www.namecheap.com/support/api/methods/.
func serveNamecheap(t *testing.T, a *account) {
	reply := func(w http.ResponseWriter, command, errors, body string) {
		status := "OK"
		if errors != "" {
			status = "ERROR"
		}
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?>
<ApiResponse Status="%s" xmlns="http://api.namecheap.com/xml.response">
  <Errors>%s</Errors>
  <Warnings />
  <RequestedCommand>%s</RequestedCommand>
  <CommandResponse Type="%s">%s</CommandResponse>
  <Server>STANDIN</Server>
</ApiResponse>`, status, errors, strings.ToLower(command), command, body)
	}
	a.serve(t, "api.namecheap.com", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		command := r.Form.Get("Command")
		switch {
		case r.Form.Get("ApiKey") != a.token:
			reply(w, command, `<Error Number="1011102">API Key is invalid or API access has not been enabled</Error>`, "")
		case command == "namecheap.domains.getTldList":
			reply(w, command, "", `<Tlds><Tld Name="com" Type="GTLD">com</Tld><Tld Name="net" Type="GTLD">net</Tld></Tlds>`)
		case r.Form.Get("SLD")+"."+r.Form.Get("TLD") != a.zone:
			reply(w, command, `<Error Number="2019166">Domain name not found</Error>`, "")
		case command == "namecheap.domains.dns.getHosts":
			var body strings.Builder
			fmt.Fprintf(&body, `<DomainDNSGetHostsResult Domain="%s" IsUsingOurDNS="true">`, a.zone)
			for _, rec := range a.records {
				var data strings.Builder
				_ = xml.EscapeText(&data, []byte(rec.data))
				fmt.Fprintf(&body, `<host HostId="%d" Name="%s" Type="%s" Address="%s" MXPref="10" TTL="%d" />`,
					rec.id, rec.name, rec.typ, data.String(), rec.ttl)
			}
			body.WriteString(`</DomainDNSGetHostsResult>`)
			reply(w, command, "", body.String())
		case command == "namecheap.domains.dns.setHosts":
			a.records = nil
			for i := 1; r.Form.Has(fmt.Sprintf("HostName%d", i)); i++ {
				field := func(name string) string { return r.Form.Get(name + strconv.Itoa(i)) }
				ttl, _ := strconv.Atoi(field("TTL"))
				if ttl == 0 {
					ttl = 1800
				}
				a.add(record{name: field("HostName"), typ: field("RecordType"), data: field("Address"), ttl: ttl})
			}
			reply(w, command, "", fmt.Sprintf(`<DomainDNSSetHostsResult Domain="%s" IsSuccess="true" />`, a.zone))
		default:
			reply(w, command, `<Error Number="500000">Unknown command</Error>`, "")
		}
	})
}
