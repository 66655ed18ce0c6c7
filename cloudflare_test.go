package dynamicdns

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
)

// TestCloudflareKeepsFlags: what is set on records in Cloudflare's dashboard
// stays when their addresses change, or else the world learns where the
// machine behind the proxy is.
func TestCloudflareKeepsFlags(t *testing.T) {
	const addr4 = "93.184.216.37"
	for _, test := range []struct {
		name     string
		from, to []string
	}{
		{"two become two others", []string{addr1, addr2}, []string{addr3, addr4}},
		{"one becomes two", []string{addr1}, []string{addr1, addr2}},
		{"one becomes two others", []string{addr1}, []string{addr2, addr3}},
		{"two become one", []string{addr1, addr2}, []string{addr3}},
		{"one of two changes", []string{addr1, addr2}, []string{addr2, addr3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := cloudflare.New()
			api.Install(t)
			api.AddZone(zoneName, standin.Token)
			before := make(map[string]cloudflare.Record)
			for _, addr := range test.from {
				rec := api.Add(zoneName, cloudflare.Record{
					Type: "A", Name: "www", Content: addr, Proxied: true, Comment: "was " + addr, Tags: []string{"made:by-hand"},
				})
				before[rec.ID] = rec
			}
			empty := func() bool { return len(api.Records(zoneName, "www.example.com", "A")) == 0 }
			api.Intercept(func(http.ResponseWriter, *http.Request) bool {
				if empty() {
					t.Error("the name has no address")
				}
				return false
			})
			bubble(t, func(l *lab) {
				l.address(test.from...)
				config := appConfig("cloudflare", `{"example.com": ["www"]}`)
				l.load(strings.Replace(config, `"token"`, `"api_token"`, 1))
				l.wait(time.Hour)
				if n := api.Writes(); n > 0 {
					t.Errorf("%d writes while all is as it should be", n)
				}
				l.address(test.to...)
				l.wait(10 * time.Minute)
				writes := api.Writes()
				l.wait(12 * time.Hour)
				if n := api.Writes() - writes; n > 0 {
					t.Errorf("%d writes after ten minutes", n)
				}
			})
			if got := api.Contents(zoneName, "www.example.com", "A"); !slices.Equal(got, test.to) {
				t.Errorf("got %v, want %v", got, test.to)
			}
			kept := 0
			for _, rec := range api.Records(zoneName, "www.example.com", "A") {
				was, ok := before[rec.ID]
				if ok {
					kept++
				}
				if !rec.Proxied || ok && (rec.Comment != was.Comment || !slices.Equal(rec.Tags, was.Tags)) {
					t.Errorf("was %+v, now %+v", was, rec)
				}
			}
			if want := min(len(test.from), len(test.to)); kept != want {
				t.Errorf("%d records were kept, want %d", kept, want)
			}
		})
	}
}

// TestCloudflareBlocksOfOneToken: names that are to be created with other
// attributes are in another block. Both blocks write one zone of one account:
// one at a time, and neither asks anything while the rate limit of the other
// lasts.
func TestCloudflareBlocksOfOneToken(t *testing.T) {
	api := cloudflare.New()
	api.Install(t)
	// A limit outlives configurations, and is not to outlive this test.
	token := standin.Token + "-limited"
	api.AddZone(zoneName, token)
	var limited, together atomic.Bool
	var busy atomic.Int32
	api.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if limited.Load() {
			return cloudflare.RateLimited(w, r)
		}
		if r.Method != http.MethodGet {
			if busy.Add(1) > 1 {
				together.Store(true)
			}
			time.Sleep(time.Second)
			busy.Add(-1)
		}
		return false
	})
	bubble(t, func(l *lab) {
		l.address(addr1)
		l.load(strings.ReplaceAll(`{"check_interval": "1m", "watch": false, "ip_sources": [{"source": "fake"}], "versions": {"ipv6": false}, "providers": [
			{"dns_provider": {"name": "cloudflare", "api_token": "TOKEN", "proxied": true, "comment": "kept"}, "domains": {"example.com": ["www", "blog"]}},
			{"dns_provider": {"name": "cloudflare", "api_token": "TOKEN"}, "domains": {"example.com": ["vpn"]}}
		]}`, "TOKEN", token))
		l.wait(time.Minute)
		for name, proxied := range map[string]bool{"www": true, "blog": true, "vpn": false} {
			recs := api.Records(zoneName, name+".example.com", "A")
			if len(recs) != 1 || recs[0].Content != addr1 || recs[0].Proxied != proxied || (recs[0].Comment == "kept") != proxied {
				t.Errorf("%s has %+v", name, recs)
			}
		}
		if together.Load() {
			t.Error("two writes at a time")
		}

		limited.Store(true)
		l.address(addr2)
		l.wait(2 * time.Minute)
		if calls := api.Calls(); calls["GET /zones"] > 3 {
			t.Errorf("zones were asked for %d times", calls["GET /zones"])
		}
		api.ResetCalls()
		l.wait(3 * time.Minute)
		if calls := api.Calls(); len(calls) > 0 {
			t.Errorf("asked while the API wants no requests: %v", calls)
		}
		limited.Store(false)
		l.wait(15 * time.Minute)
		for _, name := range []string{"www", "blog", "vpn"} {
			if got := api.Contents(zoneName, name+".example.com", "A"); !slices.Equal(got, []string{addr2}) {
				t.Errorf("%s has %v", name, got)
			}
		}
		if lines := l.logged("error", "rate limit of Cloudflare's API"); len(lines) == 0 || len(lines) > 12 {
			t.Errorf("%d lines of the rate limit: %v", len(lines), lines)
		}
	})
}

// TestCloudflareFindsZones: of all pages of the token's zones, the longest has a
// name that is written in full.
func TestCloudflareFindsZones(t *testing.T) {
	api := cloudflare.New()
	api.Install(t)
	for n := range 120 {
		api.AddZone(fmt.Sprintf("a%03d.example", n), standin.Token)
	}
	api.AddZone("z.example", standin.Token)
	api.AddZone("sub.z.example", standin.Token)
	api.AddZone("other.example", "other")
	inDNS(t)
	bubble(t, func(l *lab) {
		l.address(addr1)
		config := hostsConfig("cloudflare", `"dynamic_domains": true, "hosts": ["www.z.example", "www.sub.z.example"]`)
		config = strings.Replace(config, `{"name": "cloudflare"`, `{"name": "cloudflare", "api_token": "`+standin.Token+`"`, 1)
		if err := l.tryLoad(config, sites(t, "a119.example, www.other.example")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		for zone, name := range map[string]string{"z.example": "www.z.example", "sub.z.example": "www.sub.z.example", "a119.example": "a119.example"} {
			if got := api.Contents(zone, name, "A"); !slices.Equal(got, []string{addr1}) {
				t.Errorf("%s has %v", name, got)
			}
		}
		if got := withoutZone(t); len(got) != 1 || got["www.other.example"] == "" {
			t.Errorf("without a zone: %v", got)
		}
		if got := health(t); len(got) > 0 {
			t.Errorf("unhealthy: %v", got)
		}
	})
}
