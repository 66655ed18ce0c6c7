package route53

import (
	"bytes"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"

	standin "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"
)

const zone = "example.com"

func TestCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		name, input string
		want        string // JSON, or with a leading "!" a part of the error
	}{
		{"nothing", `route53`, `{}`},
		{"empty block", "route53 {\n}", `{}`},
		{
			"everything", `route53 {
				region us-east-1
				profile "real profile"
				access_key_id {env.ID}
				secret_access_key {env.SECRET}
				session_token {env.TOKEN}
				max_retries 10
				hosted_zone_id /hostedzone/ZABCD1EFGHIL
				wait_for_route53_sync true
				route53_max_wait 2m
				skip_route53_sync_on_delete false
				debug_logging true
			}`,
			`{"region":"us-east-1","profile":"real profile","access_key_id":"{env.ID}","secret_access_key":"{env.SECRET}",` +
				`"session_token":"{env.TOKEN}","max_retries":10,"route53_max_wait":120000000000,"wait_for_route53_sync":true,` +
				`"skip_route53_sync_on_delete":false,"hosted_zone_id":"/hostedzone/ZABCD1EFGHIL","debug_logging":true}`,
		},
		{
			"old names", "route53 {\n aws_profile a\n token b\n max_wait_dur 60\n wait_for_propagation true\n}",
			`{"profile":"a","session_token":"b","route53_max_wait":60000000000,"wait_for_route53_sync":true}`,
		},
		{"argument", `route53 s3cret`, `!too many arguments; options are written one a line in a block: region, profile,`},
		{"old and new name", "route53 {\n profile a\n aws_profile b\n}", `!profile is given twice; keep one, at Testfile:3`},
		{"number", "route53 {\n max_retries 0\n}", `!max_retries: write a whole number of at least 1, at Testfile:2`},
		{"bool", "route53 {\n debug_logging maybe\n}", `!debug_logging: write true or false, at Testfile:2`},
		{"duration", "route53 {\n route53_max_wait soon\n}", `!route53_max_wait: write a duration above zero, such as 2m, at Testfile:2`},
		{"zone name as ID", "route53 {\n hosted_zone_id example.com\n}", `!hosted_zone_id: not the ID of a hosted zone`},
		{"unknown option", "route53 {\n zone_id abc\n}", `!unrecognized subdirective "zone_id"; write one of: region, profile,`},
		{"secret as option", "route53 {\n S3cret/abc\n}", `!unrecognized subdirective (not shown`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Provider
			err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			if part, wantErr := strings.CutPrefix(tc.want, "!"); wantErr {
				if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), ", at Testfile:") {
					t.Fatalf("error %v, want %q", err, part)
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
	srv := standin.New()
	defer srv.Close()
	srv.Setenv(t)
	srv.AddZone(zone)
	t.Setenv("R53_ID", standin.AccessKeyID)
	t.Setenv("R53_SECRET", "s3cret")
	for _, tc := range []struct{ name, config, wantErr string }{
		{"environment", `{}`, ""},
		{"placeholders", `{"access_key_id":"{env.R53_ID}","secret_access_key":"{env.R53_SECRET}"}`, ""},
		{"duration as text", `{"route53_max_wait":"2m"}`, ""},
		{"variable not set", `{"access_key_id":"{env.R53_ID}","secret_access_key":"{env.R53_NOT_SET}"}`, "secret_access_key: {env.R53_NOT_SET} is empty or not there"},
		{"key without secret", `{"access_key_id":"AKIA"}`, "access_key_id and secret_access_key belong together"},
		{"secret without key", `{"secret_access_key":"s3cret"}`, "access_key_id and secret_access_key belong together"},
		{"token without key", `{"session_token":"s3cret"}`, "session_token belongs to an access key"},
		{"negative", `{"max_retries":-1}`, "cannot be negative"},
		{"profile that is not there", `{"profile":"nobody"}`, "failed to get shared config profile, nobody"},
		{"zone ID", `{"hosted_zone_id":"example.com"}`, "hosted_zone_id: not the ID of a hosted zone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := provision(tc.config)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "s3cret") {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if shown := string(caddyconfig.JSON(p, nil)); strings.Contains(shown, "s3cret") {
				t.Errorf("the configuration now shows a secret: %s", shown)
			}
			if len(srv.Calls()) != 0 {
				t.Errorf("provisioning called the API: %v", srv.Calls())
			}
			if _, err := p.GetRecords(t.Context(), zone); err != nil {
				t.Error(err)
			}
			srv.ResetCalls()
		})
	}
}

// The library would end the process at its first use.
func TestAWSConfigurationThatBreaksLater(t *testing.T) {
	srv, _ := setUp(t)
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile home]\naws_access_key_id = "+standin.AccessKeyID+"\naws_secret_access_key = abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	p, err := provision(`{"profile":"home"}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	set(t, p, address("www", "203.0.113.1", time.Minute))
	if got := srv.Values(zone, "www.example.com", "A"); !slices.Equal(got, []string{"203.0.113.1"}) {
		t.Errorf("got %v", got)
	}
}

func TestWholeRecordSets(t *testing.T) {
	srv, p := setUp(t)
	srv.Set(zone, "www.example.com", "A", 60, "198.51.100.1", "198.51.100.2")
	srv.ResetCalls()
	set(t, p,
		address("www", "203.0.113.1", 2*time.Minute), address("www", "203.0.113.2", 2*time.Minute),
		address("@", "2001:db8::1", 2*time.Minute))
	if got := srv.Values(zone, "www.example.com", "A"); !slices.Equal(got, []string{"203.0.113.1", "203.0.113.2"}) {
		t.Errorf("www has %v", got)
	}
	if got, _ := srv.Get(zone, "example.com", "AAAA"); got.TTL != 120 || !slices.Equal(got.Values, []string{"2001:db8::1"}) {
		t.Errorf("the apex has %+v", got)
	}
	if srv.Writes() != 2 {
		t.Errorf("%d writes, want one for each record set", srv.Writes())
	}

	if _, err := p.DeleteRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	if got, _ := srv.Get(zone, "www.example.com", "A"); got.TTL != 120 || !slices.Equal(got.Values, []string{"203.0.113.2"}) {
		t.Errorf("after deleting one value: %+v", got)
	}
	if _, err := p.DeleteRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.2", 0)}); err != nil {
		t.Fatal(err)
	}
	if set, there := srv.Get(zone, "www.example.com", "A"); there {
		t.Errorf("after deleting both values: %+v", set)
	}
}

func TestTTLIsNeverZero(t *testing.T) {
	srv, p := setUp(t)
	set(t, p, address("set", "203.0.113.1", 0), address("tiny", "203.0.113.1", time.Millisecond))
	if _, err := p.AppendRecords(t.Context(), zone, []libdns.Record{address("append", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"set", "tiny", "append"} {
		if got, _ := srv.Get(zone, name+".example.com", "A"); got.TTL != 300 {
			t.Errorf("%s: %+v, want a TTL of 300", name, got)
		}
	}
}

func TestZoneWithAndWithoutTrailingDot(t *testing.T) {
	for _, zone := range []string{"example.com", "example.com."} {
		srv, p := setUp(t)
		if _, err := p.SetRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.1", 0)}); err != nil {
			t.Fatalf("%s: %v", zone, err)
		}
		recs, err := p.GetRecords(t.Context(), zone)
		if err != nil || !slices.ContainsFunc(recs, func(r libdns.Record) bool { return r.RR().Name == "www" }) {
			t.Errorf("%s: %v, %v", zone, recs, err)
		}
		if got := srv.Values(zone, "www.example.com", "A"); len(got) != 1 {
			t.Errorf("%s: %v", zone, got)
		}
	}
}

func TestWildcard(t *testing.T) {
	srv, p := setUp(t)
	set(t, p, address("*", "203.0.113.1", 0))
	if _, err := p.AppendRecords(t.Context(), zone, []libdns.Record{address("*", "203.0.113.2", 0)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Values(zone, "*.example.com", "A"); !slices.Equal(got, []string{"203.0.113.1", "203.0.113.2"}) {
		t.Errorf("after appending: %v", got)
	}
	recs, err := p.GetRecords(t.Context(), zone)
	if err != nil || !slices.ContainsFunc(recs, func(r libdns.Record) bool { return r.RR().Name == "*" }) {
		t.Errorf("read back: %v, %v", recs, err)
	}
	if _, err := p.DeleteRecords(t.Context(), zone, []libdns.Record{address("*", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Values(zone, "*.example.com", "A"); !slices.Equal(got, []string{"203.0.113.2"}) {
		t.Errorf("after deleting: %v", got)
	}
}

func TestZoneByID(t *testing.T) {
	srv := standin.New()
	defer srv.Close()
	srv.Setenv(t)
	id := srv.AddPrivateZone("internal.example")
	p, err := provision(`{"hosted_zone_id":"/hostedzone/` + id + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetRecords(t.Context(), "internal.example", []libdns.Record{address("www", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Calls()["ListHostedZonesByName"]; got != 0 {
		t.Errorf("%d look-ups although the ID is configured", got)
	}
}

func TestErrors(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	for _, tc := range []struct {
		name, config, zone string
		prepare            func(*standin.Server)
		want               string
	}{
		{"key unknown", `{"access_key_id":"AKIAOTHER","secret_access_key":"s3cret"}`, zone, func(*standin.Server) {}, "InvalidClientTokenId"},
		{"zone unknown", `{}`, "other.example", func(*standin.Server) {}, "No zones found for the domain other.example."},
		{"zone ID unknown", `{"hosted_zone_id":"Z9"}`, zone, func(*standin.Server) {}, "NoSuchHostedZone"},
		{"throttled", `{"max_retries":1}`, zone, func(s *standin.Server) { s.Intercept(standin.Throttled) }, "Rate exceeded"},
		{"gateway away", `{"max_retries":1}`, zone, func(s *standin.Server) { s.Intercept(standin.BadGateway) }, "StatusCode: 502"},
		{"CNAME in the way", `{}`, zone, func(s *standin.Server) {
			s.Set(zone, "www.example.com", "CNAME", 60, "other.example.")
		}, "conflicts with other records"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := setUp(t)
			p, err := provision(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			tc.prepare(srv)
			_, err = p.SetRecords(t.Context(), tc.zone, []libdns.Record{address("www", "203.0.113.1", 0)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error()+logged.String(), "s3cret") {
				t.Errorf("a secret in %q or in the log %q", err, logged.String())
			}
		})
	}
}

func TestTemporaryFailureIsRetried(t *testing.T) {
	srv, p := setUp(t)
	failures := 1
	srv.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		failures--
		return failures >= 0 && standin.BadGateway(w, r)
	})
	set(t, p, address("www", "203.0.113.1", 0))
}

func TestWaitForSync(t *testing.T) {
	srv, _ := setUp(t)
	p, err := provision(`{"wait_for_route53_sync":true}`)
	if err != nil {
		t.Fatal(err)
	}
	set(t, p, address("www", "203.0.113.1", 0))
	if got := srv.Calls()["GetChange"]; got != 1 {
		t.Errorf("asked %d times about a change that was made, want once", got)
	}
	if _, err := p.DeleteRecords(t.Context(), zone, []libdns.Record{address("www", "203.0.113.1", 0)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Calls()["GetChange"]; got != 1 {
		t.Error("waited for a removal, though that is to be left out by default")
	}
}

func TestServesACMEChallenge(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	srv, p := setUp(t)
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(`{
		"admin": {"disabled": true},
		"apps": {"tls": {"automation": {"policies": [{
			"subjects": ["*.example.com"],
			"issuers": [{"module": "acme", "challenges": {"dns": {"provider": {
				"name": "route53", "region": "us-east-1", "max_retries": 10, "route53_max_wait": 120000000000
			}}}}]
		}]}}}
	}`), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}

	name, texts := "_acme-challenge", []string{"abc", "def"}
	for _, text := range texts {
		if _, err := p.AppendRecords(t.Context(), zone+".", []libdns.Record{libdns.TXT{Name: name, Text: text}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.Values(zone, name+"."+zone, "TXT"); !slices.Equal(got, []string{`"abc"`, `"def"`}) {
		t.Errorf("the challenges are %q", got)
	}
	for _, text := range texts {
		if _, err := p.DeleteRecords(t.Context(), zone+".", []libdns.Record{libdns.TXT{Name: name, Text: text}}); err != nil {
			t.Fatal(err)
		}
	}
	if set, there := srv.Get(zone, name+"."+zone, "TXT"); there {
		t.Errorf("left over: %+v", set)
	}
}

func setUp(t *testing.T) (*standin.Server, *Provider) {
	t.Helper()
	srv := standin.New()
	t.Cleanup(srv.Close)
	srv.Setenv(t)
	srv.AddZone(zone)
	p, err := provision(`{}`)
	if err != nil {
		t.Fatal(err)
	}
	return srv, p
}

func provision(config string) (*Provider, error) {
	p := new(Provider)
	if err := caddy.StrictUnmarshalJSON([]byte(config), p); err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	return p, p.Provision(ctx)
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
