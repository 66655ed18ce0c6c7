package cloudflare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"
)

const (
	token = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD12345678"
	zone  = "example.com."
)

func TestCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		name, input string
		want        string // JSON, or with a leading "!" a part of the error
	}{
		{"argument", `cloudflare {env.CF}`, `{"api_token":"{env.CF}"}`},
		{"block", "cloudflare {\n api_token abc\n zone_token def\n}", `{"api_token":"abc","zone_token":"def"}`},
		{"argument and block", "cloudflare abc {\n zone_token def\n}", `{"api_token":"abc","zone_token":"def"}`},
		{"argument and empty block", "cloudflare abc {\n}", `{"api_token":"abc"}`},
		{"attributes", "cloudflare abc {\n proxied on\n comment \"by Caddy\"\n tags team:dns home\n}", `{"api_token":"abc","proxied":true,"comment":"by Caddy","tags":["team:dns","home"]}`},
		{"not proxied", "cloudflare abc {\n proxied off\n}", `{"api_token":"abc"}`},
		{"proxied as a flag", "cloudflare abc {\n proxied\n}", `!proxied has no value; write: proxied <value>, at Testfile:2`},
		{"proxied neither on nor off", "cloudflare abc {\n proxied maybe\n}", `!proxied: write on or off, at Testfile:2`},
		{"comment without quotes", "cloudflare abc {\n comment by Caddy\n}", `!comment takes one value; put a value that has spaces in quotes, at Testfile:2`},
		{"no tags", "cloudflare abc {\n tags\n}", `!tags has no value; write: tags <values...>, at Testfile:2`},
		{"tags with a comma", "cloudflare abc {\n tags a, b\n}", `!tags: this is no tag; write tags one after the other with spaces between them`},
		{"tags twice", "cloudflare abc {\n tags a\n tags b\n}", `!tags is given twice; keep one, at Testfile:3`},
		{"nothing", `cloudflare`, `!missing api_token; write: cloudflare {env.CLOUDFLARE_API_TOKEN}, at Testfile:1`},
		{"empty argument", `cloudflare ""`, `!api_token: the value is empty, at Testfile:1`},
		{"only the zone token", "cloudflare {\n zone_token def\n}", `!missing api_token`},
		{"two arguments", `cloudflare abc s3cret`, `!too many arguments; options are written one a line in a block: api_token, zone_token, proxied, comment, tags, at Testfile:1`},
		{"token twice", "cloudflare abc {\n api_token def\n}", `!api_token: already given; keep one, at Testfile:2`},
		{"option twice", "cloudflare {\n api_token abc\n api_token def\n}", `!api_token is given twice; keep one, at Testfile:3`},
		{"no value", "cloudflare {\n api_token\n}", `!api_token has no value; write: api_token <value>, at Testfile:2`},
		{"two values", "cloudflare {\n api_token abc s3cret\n}", `!api_token takes one value; put a value that has spaces in quotes, at Testfile:2`},
		{"nested block", "cloudflare {\n api_token abc {\n  x y\n }\n}", `!api_token takes no block, at Testfile:`},
		{"unknown option", "cloudflare {\n api_key abc\n}", `!unrecognized subdirective "api_key"; write one of: api_token, zone_token, proxied, comment, tags, at Testfile:2`},
		{"token as option", "cloudflare {\n s3cretTOKEN\n}", `!unrecognized subdirective (not shown, for it may be a secret)`},
		{"quotes", "cloudflare `\"s3cret\"`", `!no token has such characters`},
		{"bearer", `cloudflare "Bearer s3cret"`, `!without "Bearer"`},
		{"variable name", `cloudflare CLOUDFLARE_S3CRET`, `!write {env.NAME}`},
		{"global key", `cloudflare 0123456789abcdef0123456789abcdef01234`, `!Global API Key`},
		{"global key, new form", `cloudflare cfk_s3cret`, `!Global API Key`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Provider
			err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			if part, wantErr := strings.CutPrefix(tc.want, "!"); wantErr {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Fatalf("error %v, want %q", err, part)
				}
				if !strings.Contains(err.Error(), "Testfile:") {
					t.Errorf("no file and line in %q", err)
				}
				if strings.Contains(strings.ToLower(err.Error()), "s3cret") {
					t.Errorf("a secret in %q", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(caddyconfig.JSON(&p, nil)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("CF_TOKEN", token)
	t.Setenv("CF_QUOTED", `"s3cret"`)
	for _, tc := range []struct {
		name    string
		p       *Provider
		wantErr string
	}{
		{"token", &Provider{APIToken: token}, ""},
		{"old form of token", &Provider{APIToken: "abcdefghijklmnopqrstuvwxyz0123456789_-AB"}, ""},
		{"placeholders", &Provider{APIToken: "{env.CF_TOKEN}", ZoneToken: "{env.CF_TOKEN}"}, ""},
		{"nothing", &Provider{}, "missing api_token"},
		{"variable not set", &Provider{APIToken: "{env.CF_NOT_SET}"}, "api_token: {env.CF_NOT_SET} is empty or not there"},
		{"zone token not set", &Provider{APIToken: token, ZoneToken: "{env.CF_NOT_SET}"}, "zone_token: {env.CF_NOT_SET}"},
		{"token in braces", &Provider{APIToken: "{s3cret}"}, "the value itself without braces"},
		{"quoted in the environment", &Provider{APIToken: "{env.CF_QUOTED}"}, "api_token: no token has such characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := string(caddyconfig.JSON(tc.p, nil))
			err := tc.p.Provision(caddy.ActiveContext())
			t.Cleanup(func() { _ = tc.p.Cleanup() })
			if tc.wantErr == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "s3cret") {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if after := string(caddyconfig.JSON(tc.p, nil)); after != before {
				t.Errorf("the configuration changed from %s to %s", before, after)
			}
		})
	}
}

func TestCreateAndUpdateInPlace(t *testing.T) {
	srv, p := setUp(t)

	set(t, p, address("www", "203.0.113.1", 0), address("@", "2001:db8::1", 2*time.Minute))
	if got := srv.Contents(zone, "www.example.com", "A"); !slices.Equal(got, []string{"203.0.113.1"}) {
		t.Errorf("www has %v", got)
	}
	if got := srv.Records(zone, "example.com", "AAAA"); len(got) != 1 || got[0].Content != "2001:db8::1" || got[0].TTL != 120 {
		t.Errorf("the apex has %+v", got)
	}

	srv.Remove(zone, "www.example.com", "A")
	before := srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.1", Proxied: true, Comment: "by hand", Tags: []string{"a:b"}})
	fixed := srv.Add(zone, standin.Record{Type: "A", Name: "fixed", Content: "203.0.113.1", TTL: 600})
	srv.ResetCalls()
	set(t, p, address("www", "203.0.113.2", 0), address("fixed", "203.0.113.2", 0))

	after := srv.Records(zone, "www.example.com", "A")
	if len(after) != 1 || after[0].ID != before.ID || after[0].Content != "203.0.113.2" ||
		!after[0].Proxied || after[0].Comment != "by hand" || !slices.Equal(after[0].Tags, before.Tags) {
		t.Errorf("was %+v, now %+v", before, after)
	}
	if after := srv.Records(zone, "fixed.example.com", "A"); after[0].ID != fixed.ID || after[0].TTL != 600 {
		t.Errorf("was %+v, now %+v", fixed, after)
	}
	if got := srv.Calls()["PATCH /zones/{zone}/dns_records/{record}"]; got != 2 || srv.Writes() != 2 {
		t.Errorf("calls %v, want two writes, both PATCH", srv.Calls())
	}
}

func TestReadSeesAllPages(t *testing.T) {
	srv, p := setUp(t)
	for i := range 250 {
		srv.Add(zone, standin.Record{Type: "A", Name: "many", Content: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String()})
	}
	recs, err := p.GetRecords(t.Context(), zone)
	if err != nil || len(recs) != 250 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	if recs[0].RR().Name != "many" {
		t.Errorf("name %q, want it relative to the zone", recs[0].RR().Name)
	}
}

// Records that are replaced, of a name and type with several values before or
// after, keep what is set on them at Cloudflare.
func TestSeveralValues(t *testing.T) {
	const one, two, three, four, five = "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"
	for _, tc := range []struct {
		name       string
		there, set []string
		// writes are the requests for it, and reads those of records.
		writes string
		reads  int
	}{
		{"two replaced by two", []string{one, two}, []string{three, four}, "PATCH PATCH", 1},
		{"one to two", []string{one}, []string{two, three}, "PATCH POST", 1},
		{"one to two, one stays", []string{one}, []string{one, two}, "POST", 1},
		{"two to one of them", []string{one, two}, []string{two}, "DELETE", 2},
		{"two to another one", []string{one, two}, []string{three}, "PATCH DELETE", 2},
		{"two to three", []string{one, two}, []string{three, four, five}, "PATCH PATCH POST", 1},
		{"one of two replaced", []string{one, two}, []string{three, two}, "PATCH", 1},
		{"three to two", []string{one, two, three}, []string{four, three}, "PATCH DELETE", 1},
		{"all as it is", []string{one, two}, []string{two, one}, "", 1},
		{"one value twice", []string{one, two}, []string{three, three}, "PATCH DELETE", 2},
		{"one to one", []string{one}, []string{two}, "PATCH", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, p := setUp(t)
			var before []standin.Record
			for i, ip := range tc.there {
				before = append(before, srv.Add(zone, standin.Record{
					Type: "A", Name: "www", Content: ip, Proxied: true,
					Comment: "number " + string(rune('0'+i)), Tags: []string{"made:by-hand"},
				}))
			}
			strangers := []standin.Record{
				srv.Add(zone, standin.Record{Type: "A", Name: "mail", Content: one}),
				srv.Add(zone, standin.Record{Type: "A", Name: "mail", Content: two}),
				srv.Add(zone, standin.Record{Type: "AAAA", Name: "www", Content: "2001:db8::1", TTL: 600}),
				srv.Add(zone, standin.Record{Type: "TXT", Name: "www", Content: "hello"}),
			}
			writes := watch(t, srv)
			var recs []libdns.Record
			for _, ip := range tc.set {
				recs = append(recs, address("www", ip, 5*time.Minute))
			}
			srv.ResetCalls()
			set(t, p, recs...)

			after := srv.Records(zone, "www.example.com", "A")
			contents := slices.Compact(slices.Sorted(slices.Values(tc.set)))
			if got := srv.Contents(zone, "www.example.com", "A"); !slices.Equal(got, contents) {
				t.Errorf("got %v, want %v", got, contents)
			}
			for i, rec := range after {
				if !rec.Proxied || rec.TTL != 1 {
					t.Errorf("shows the origin: %+v", rec)
				}
				was := slices.IndexFunc(before, func(b standin.Record) bool { return b.ID == rec.ID })
				switch {
				case was < 0 && i < len(before):
					t.Errorf("made anew: %+v", rec)
				case was >= 0 && (rec.Comment != before[was].Comment || !slices.Equal(rec.Tags, before[was].Tags)):
					t.Errorf("was %+v, now %+v", before[was], rec)
				}
			}
			if got := strings.Join(*writes, " "); got != tc.writes {
				t.Errorf("writes %q, want %q", got, tc.writes)
			}
			if got := srv.Calls()["GET /zones/{zone}/dns_records"]; got != tc.reads {
				t.Errorf("%d reads, want %d", got, tc.reads)
			}
			rest := slices.DeleteFunc(srv.Records(zone, "", ""), func(r standin.Record) bool {
				return r.Name == "www.example.com" && r.Type == "A"
			})
			if !reflect.DeepEqual(rest, strangers) {
				t.Errorf("the others were %+v, now %+v", strangers, rest)
			}
		})
	}
}

// watch fails the test when www has no address, and returns the methods of
// the requests that write.
func watch(t *testing.T, srv *standin.Server) *[]string {
	var writes []string
	check := func() {
		if len(srv.Records(zone, "www.example.com", "A")) == 0 {
			t.Error("the name has no address")
		}
	}
	srv.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		check()
		if r.Method != http.MethodGet {
			writes = append(writes, r.Method)
		}
		return false
	})
	t.Cleanup(check)
	return &writes
}

func TestSeveralNamesInOneCall(t *testing.T) {
	srv, p := setUp(t)
	srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.1", TTL: 600})
	srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.2", TTL: 600})
	set(t, p,
		address("www", "203.0.113.2", time.Minute), address("new", "203.0.113.3", time.Minute),
		address("www", "2001:db8::1", 0), address("www", "203.0.113.3", time.Minute), address("new", "203.0.113.4", 0),
	)
	for _, want := range []struct{ name, typ, contents string }{
		{"www", "A", "203.0.113.2 203.0.113.3"}, {"new", "A", "203.0.113.3 203.0.113.4"}, {"www", "AAAA", "2001:db8::1"},
	} {
		if got := strings.Join(srv.Contents(zone, want.name+".example.com", want.typ), " "); got != want.contents {
			t.Errorf("%s %s: got %s, want %s", want.name, want.typ, got, want.contents)
		}
	}
	for _, rec := range srv.Records(zone, "www.example.com", "A") {
		if rec.TTL != 60 || rec.Proxied {
			t.Errorf("want a TTL of a minute, and not proxied: %+v", rec)
		}
	}
}

func TestAppend(t *testing.T) {
	for name, tc := range map[string]struct{ proxied, among, want bool }{
		"beside proxied ones":    {true, true, true},
		"beside some proxied":    {true, false, false},
		"beside none proxied":    {false, false, false},
		"beside one not proxied": {false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv, p := setUp(t)
			srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.1", Proxied: tc.proxied})
			srv.Add(zone, standin.Record{Type: "A", Name: "www", Content: "203.0.113.2", Proxied: tc.among})
			if _, err := p.AppendRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.3", 5*time.Minute)}); err != nil {
				t.Fatal(err)
			}
			recs := srv.Records(zone, "www.example.com", "A")
			if got := recs[len(recs)-1]; len(recs) != 3 || got.Content != "203.0.113.3" || got.Proxied != tc.want || (got.TTL == 1) != tc.want {
				t.Errorf("got %+v, want proxied %t", recs, tc.want)
			}
		})
	}
}

func TestDeleteOneOfSeveral(t *testing.T) {
	srv, p := setUp(t)
	set(t, p, address("www", "203.0.113.1", 0), address("www", "203.0.113.2", 0))
	if _, err := p.DeleteRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Contents(zone, "www.example.com", "A"); !slices.Equal(got, []string{"203.0.113.2"}) {
		t.Errorf("deleting one value leaves %v", got)
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name    string
		prepare func(*standin.Server)
		zone    string
		ttl     time.Duration
		want    string
	}{
		{"token unknown", func(s *standin.Server) { s.Revoke(token) }, zone, 0, "HTTP 403: [{Code:10000 Message:Authentication error"},
		{"zone of another account", func(s *standin.Server) { s.AddZone("other.example", "other-token") }, "other.example.", 0, "expected 1 zone, got 0"},
		{"rate limited", func(s *standin.Server) { s.Intercept(standin.RateLimited) }, zone, 0, "HTTP 429"},
		{"no tags in the free plan", func(s *standin.Server) { s.FreePlan() }, zone, 0, "exceeding the quota of 0"},
		{"gateway away", func(s *standin.Server) { s.Intercept(standin.BadGateway) }, zone, 0, "invalid character '<'"},
		{"CNAME in the way", func(s *standin.Server) {
			s.Add(zone, standin.Record{Type: "CNAME", Name: "www", Content: "other.example"})
		}, zone, 0, "A CNAME record with that host already exists"},
		{"TTL too short", func(*standin.Server) {}, zone, 2 * time.Second, "Invalid TTL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := setUp(t)
			p := provision(t, &Provider{APIToken: token, Tags: []string{"team:dns"}})
			tc.prepare(srv)
			_, err := p.SetRecords(ctx, tc.zone, []libdns.Record{address("www", "203.0.113.1", tc.ttl)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the token is in %q", err)
			}
			_, err = p.SetRecords(ctx, tc.zone, []libdns.Record{address("www", "203.0.113.1", tc.ttl), address("www", "203.0.113.2", tc.ttl)})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), token) {
				t.Errorf("of two values: error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRequestWithoutAnswerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, p := setUp(t)
		srv.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		})
		start := time.Now()
		_, err := p.GetRecords(t.Context(), zone)
		if err == nil || time.Since(start) != requestTimeout {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestZoneTokenFindsZones(t *testing.T) {
	srv := standin.New()
	srv.Install(t)
	srv.AddZone(zone, token, "zone-reader")
	p := provision(t, &Provider{APIToken: token, ZoneToken: "zone-reader"})
	var authorizations []string
	srv.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		authorizations = append(authorizations, r.Header.Get("Authorization"))
		return false
	})
	if _, err := p.GetRecords(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Bearer zone-reader", "Bearer " + token}; !slices.Equal(authorizations, want) {
		t.Errorf("got %q, want %q", authorizations, want)
	}
}

func TestListZones(t *testing.T) {
	srv := standin.New()
	srv.Install(t)
	srv.AddZone("other.example", "other-token")
	var want []libdns.Zone
	for i := range 120 {
		name := fmt.Sprintf("zone-%d.example.", i)
		srv.AddZone(name, "zone-reader")
		want = append(want, libdns.Zone{Name: name})
	}
	srv.AddZone(zone, token)
	for _, tc := range []struct {
		name  string
		p     *Provider
		want  []libdns.Zone
		calls int
	}{
		{"of the token", &Provider{APIToken: token}, []libdns.Zone{{Name: zone}}, 1},
		{"of the zone token, on three pages", &Provider{APIToken: token, ZoneToken: "zone-reader"}, want, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv.ResetCalls()
			zones, err := provision(t, tc.p).ListZones(t.Context())
			if err != nil || !slices.Equal(zones, tc.want) {
				t.Errorf("got %v, %v, want %v", zones, err, tc.want)
			}
			if n := srv.Calls()["GET /zones"]; n != tc.calls {
				t.Errorf("%d requests, want %d", n, tc.calls)
			}
		})
	}
}

func TestServesACMEChallenge(t *testing.T) {
	t.Setenv("CF_TOKEN", token)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	srv, p := setUp(t)

	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`
		{
			admin off
		}
		*.example.com {
			tls {
				dns cloudflare {env.CF_TOKEN}
			}
		}
	`), nil)
	if err != nil {
		t.Fatal(err, warnings)
	}
	if !strings.Contains(string(adapted), `"provider":{"api_token":"{env.CF_TOKEN}","name":"cloudflare"}`) {
		t.Errorf("adapted to %s", adapted)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(adapted, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}
	if len(srv.Calls()) != 0 {
		t.Errorf("validating called the API: %v", srv.Calls())
	}

	challenge := []libdns.Record{libdns.TXT{Name: "_acme-challenge", Text: "abc", TTL: 2 * time.Minute}}
	if _, err := p.AppendRecords(t.Context(), zone, challenge); err != nil {
		t.Fatal(err)
	}
	if got := srv.Contents(zone, "_acme-challenge.example.com", "TXT"); !slices.Equal(got, []string{`"abc"`}) {
		t.Errorf("the challenge is %q", got)
	}
	if _, err := p.DeleteRecords(t.Context(), zone, challenge); err != nil {
		t.Fatal(err)
	}
	if got := srv.Records(zone, "", ""); len(got) != 0 {
		t.Errorf("left over: %+v", got)
	}
}

func setUp(t *testing.T) (*standin.Server, *Provider) {
	t.Helper()
	srv := standin.New()
	srv.Install(t)
	srv.AddZone(zone, token)
	return srv, provision(t, &Provider{APIToken: token})
}

func provision(t *testing.T, p *Provider) *Provider {
	t.Helper()
	if err := p.Provision(caddy.ActiveContext()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Cleanup() })
	return p
}

func set(t *testing.T, p *Provider, recs ...libdns.Record) {
	t.Helper()
	if _, err := p.SetRecords(t.Context(), zone, recs); err != nil {
		t.Fatal(err)
	}
}

func address(name, ip string, ttl time.Duration) libdns.Record {
	return libdns.Address{Name: name, IP: netip.MustParseAddr(ip), TTL: ttl}
}
