package dynamicdns

import (
	"net/http"
	"slices"
	"strings"
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
