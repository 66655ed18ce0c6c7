package cloudflare

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
)

// TestCreatedWithAttributes: records are created as configured by the request
// that creates them, those that exist keep what they have, and records of
// other types are none of our business.
func TestCreatedWithAttributes(t *testing.T) {
	t.Setenv("CF_COMMENT", "by Caddy")
	srv, _ := setUp(t)
	p := provision(t, &Provider{APIToken: token, Proxied: true, Comment: "{env.CF_COMMENT}", Tags: []string{"team:dns", "home"}})
	srv.Add(zone, standin.Record{Type: "A", Name: "old", Content: "203.0.113.1", TTL: 600, Comment: "by hand"})
	srv.Add(zone, standin.Record{Type: "A", Name: "two", Content: "203.0.113.1", TTL: 600, Comment: "first"})
	srv.Add(zone, standin.Record{Type: "A", Name: "two", Content: "203.0.113.2", TTL: 600, Comment: "second"})
	var created []map[string]any
	srv.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			var fields map[string]any
			if err := json.Unmarshal(body, &fields); err != nil {
				t.Error(err)
			}
			created = append(created, fields)
		}
		return false
	})

	set(t, p, address("new", "203.0.113.9", 5*time.Minute), address("old", "203.0.113.9", 0),
		address("two", "203.0.113.8", 0), address("two", "203.0.113.9", 0))
	if _, err := p.AppendRecords(t.Context(), zone, []libdns.Record{
		address("added", "2001:db8::1", 5*time.Minute), libdns.TXT{Name: "_acme-challenge", Text: "abc", TTL: 2 * time.Minute},
	}); err != nil {
		t.Fatal(err)
	}

	if len(created) != 3 {
		t.Errorf("%d requests that create, want 3", len(created))
	}
	for _, fields := range created {
		if isAddress := fields["type"] != "TXT"; isAddress != (fields["proxied"] == true) || isAddress != (fields["comment"] == "by Caddy") || isAddress != (fields["tags"] != nil) {
			t.Errorf("created by %v", fields)
		}
	}
	for _, want := range []struct{ name, typ, comments string }{
		{"new", "A", "by Caddy"}, {"added", "AAAA", "by Caddy"}, {"old", "A", "by hand"}, {"two", "A", "first second"}, {"_acme-challenge", "TXT", ""},
	} {
		var comments []string
		for _, r := range srv.Records(zone, want.name+".example.com", want.typ) {
			comments = append(comments, r.Comment)
			if ours := r.Comment == "by Caddy"; r.Proxied != ours || (r.TTL == 1) != ours || slices.Equal(r.Tags, []string{"team:dns", "home"}) != ours {
				t.Errorf("got %+v", r)
			}
		}
		if got := strings.Join(comments, " "); got != want.comments {
			t.Errorf("%s has the comments %q, want %q", want.name, got, want.comments)
		}
	}
}

// TestBesideProxiedOnes: what is not to be proxied is, where it would show the
// origin of records that are.
func TestBesideProxiedOnes(t *testing.T) {
	srv, _ := setUp(t)
	p := provision(t, &Provider{APIToken: token, Comment: "by Caddy"})
	srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.1", Proxied: true})
	set(t, p, address("www", "203.0.113.1", 0), address("www", "203.0.113.2", 0))
	if recs := srv.Records(zone, "www.example.com", "A"); len(recs) != 2 || !recs[1].Proxied || recs[1].Comment != "by Caddy" {
		t.Errorf("got %+v", recs)
	}
}

func TestAttributesAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		p       *Provider
		wantErr string
	}{
		{"longest comment", &Provider{APIToken: token, Comment: strings.Repeat("ü", 500)}, ""},
		{"comment too long", &Provider{APIToken: token, Comment: strings.Repeat("ü", 501)}, "comment: the text is too long; write 500 characters or less"},
		{"comment of a variable that is not set", &Provider{APIToken: token, Comment: "{env.CF_NOT_SET}"}, "comment: {env.CF_NOT_SET} is empty or not there"},
		{"tag with a space before the colon", &Provider{APIToken: token, Tags: []string{"ok", "not ok:a"}}, "tags: this is no tag"},
		{"empty tag", &Provider{APIToken: token, Tags: []string{""}}, "tags: the value is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.p.Provision(caddy.ActiveContext())
			t.Cleanup(func() { _ = tc.p.Cleanup() })
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got %v, want %q", err, tc.wantErr)
			}
		})
	}
}
