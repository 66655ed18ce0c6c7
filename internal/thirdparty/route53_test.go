package thirdparty

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/libdns/libdns"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53"
)

// serveRoute53 leads to the stand-in that the product's own provider is tested
// with; the account's records follow what it holds. The AWS SDK wants a real
// socket, which fake time suffers as long as no connection is kept open.
func serveRoute53(t *testing.T, a *account) {
	api := standin.New()
	t.Cleanup(api.Close)
	api.AddZone(a.zone)
	for _, typ := range []string{"NS", "SOA"} {
		api.Remove(a.zone, a.zone, typ)
	}
	follow := func() {
		a.records = nil
		for _, set := range api.Sets(a.zone) {
			name := libdns.RelativeName(strings.TrimSuffix(set.Name, "."), a.zone)
			for _, value := range set.Values {
				a.records = append(a.records, record{name: name, typ: set.Type, data: unquoted(set.Type, value), ttl: int(set.TTL)})
			}
		}
	}
	a.place = func(r record) {
		name := libdns.AbsoluteName(r.name, a.zone)
		api.Set(a.zone, name, r.typ, int64(r.ttl), append(api.Values(a.zone, name, r.typ), quoted(r.typ, r.data))...)
		follow()
	}
	const host = "route53.test"
	a.serve(t, host, func(w http.ResponseWriter, r *http.Request) {
		if a.token != token {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		api.ServeHTTP(w, r)
		follow()
	})
	socket := httptest.NewUnstartedServer(internet.handlers[host])
	socket.Config.SetKeepAlivesEnabled(false)
	socket.Start()
	t.Cleanup(socket.Close)
	api.URL = socket.URL
	api.Setenv(t)
}
