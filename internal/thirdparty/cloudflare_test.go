package thirdparty

import (
	"maps"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
)

func serveCloudflare(t *testing.T, a *account) { newCloudflare(t, a) }

// newCloudflare leads to the stand-in that the product's own provider is
// tested with; the account's records follow what it holds.
func newCloudflare(t *testing.T, a *account) *standin.Server {
	api := standin.New()
	api.AddZone(a.zone, a.token)
	follow := func() {
		a.records = nil
		for _, r := range api.Records(a.zone, "", "") {
			id, _ := strconv.ParseInt(r.ID, 16, 64)
			a.records = append(a.records, record{id: int(id), name: libdns.RelativeName(r.Name, a.zone), typ: r.Type, data: unquoted(r.Type, r.Content), ttl: r.TTL})
		}
	}
	a.place = func(r record) {
		api.Add(a.zone, standin.Record{Name: r.name, Type: r.typ, Content: r.data, TTL: r.ttl})
		follow()
	}
	a.serve(t, "api.cloudflare.com", func(w http.ResponseWriter, r *http.Request) {
		if a.token != token {
			api.Revoke(token)
		}
		api.ServeHTTP(w, r)
		follow()
	})
	return api
}

// What somebody has set on a record in Cloudflare's dashboard stays when its
// address changes, and on one of several when they become one.
func TestCloudflareKeepsFlags(t *testing.T) {
	p := named("cloudflare")
	for _, before := range [][]string{{ip1}, {ip1, ip2}} {
		a, config := p.start(t)
		api := newCloudflare(t, a)
		for _, ip := range before {
			api.Add(a.zone, standin.Record{Name: "www", Type: "A", Content: ip, Proxied: true, Comment: "the home server"})
		}
		synctest.Test(t, func(t *testing.T) {
			move(ip3)
			run(t, config, p.zone, "www")
			defer func() { _ = caddy.Stop() }()
			within(t, soon, a, "www", "A", ip3)
		})
		records := api.Records(a.zone, "www."+a.zone, "A")
		if len(records) != 1 || !records[0].Proxied || records[0].Comment != "the home server" {
			t.Errorf("%v have become %+v", before, records)
		}
	}
}

// A new name is created with what its block says, by the request that creates
// it, and a pause that the API asks for is kept.
func TestCloudflareCreatesAsConfigured(t *testing.T) {
	p := named("cloudflare")
	p.config = maps.Clone(p.config)
	p.config["comment"] = "kept by Caddy"
	a, config := p.start(t)
	api := newCloudflare(t, a)
	var refused time.Time
	early := 0
	a.failing(func(r *http.Request) (int, time.Duration) {
		switch {
		case refused.IsZero() && r.Method == http.MethodPost:
			refused = time.Now()
			return http.StatusTooManyRequests, 2 * time.Minute
		case !refused.IsZero() && time.Since(refused) < 2*time.Minute:
			early++
		}
		return 0, 0
	})
	synctest.Test(t, func(t *testing.T) {
		move(ip1)
		run(t, config, p.zone, "www")
		defer func() { _ = caddy.Stop() }()
		within(t, time.Hour, a, "www", "A", ip1)
	})
	records := api.Records(a.zone, "www."+a.zone, "A")
	if len(records) != 1 || records[0].Comment != "kept by Caddy" || early > 0 {
		t.Errorf("created %+v, %d requests before the pause was over", records, early)
	}
}
