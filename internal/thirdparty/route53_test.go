package thirdparty

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53"
)

// serveRoute53 leads to the stand-in that the product's own provider is tested
// with; the account's records follow what it holds. The AWS SDK wants a real
// socket, which fake time suffers as long as no connection is kept open.
func serveRoute53(t *testing.T, a *account) {
	api := standin.New()
	a.api = api
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

// What an update would overwrite or could not replace stays, is told by name,
// and does not hold up what is beside it.
func TestRoute53InTheWay(t *testing.T) {
	for what, told := range map[string]string{
		"alias":    "an ALIAS record to lb.example.net is in the way",
		"weighted": "a record set with a routing policy (weighted) is in the way",
	} {
		t.Run(what, func(t *testing.T) {
			p := named("route53")
			a, config := p.start(t)
			before := ""
			a.put(record{name: "other", typ: "A", data: ip3, ttl: 60})
			switch what {
			case "alias":
				a.api.SetAlias(a.zone, "www."+a.zone, "A", "lb.example.net")
			case "weighted":
				a.api.SetWeighted(a.zone, "www."+a.zone, "A", "blue", 60, ip2)
			}
			before = fmt.Sprint(a.api.Sets(a.zone))
			takeLogs()
			synctest.Test(t, func(t *testing.T) {
				move(ip1)
				run(t, config, p.zone, "www")
				defer func() { _ = caddy.Stop() }()
				time.Sleep(10 * time.Minute)
			})
			if after := fmt.Sprint(a.api.Sets(a.zone)); after != before || a.api.Writes() > 0 {
				t.Errorf("%d writes made %s of %s", a.api.Writes(), after, before)
			}
			if logs := takeLogs(); !strings.Contains(logs, told) {
				t.Errorf("not told: %s", worth(logs))
			}
		})
	}
}
