package simplehttp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
)

// newTestEcho provisions a source on a machine with routes everywhere.
func newTestEcho(t *testing.T, s SimpleHTTP) *SimpleHTTP {
	t.Helper()
	if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	s.services.Logger = zap.NewNop()
	s.services.Routable = func(netip.Addr) bool { return true }
	return &s
}

func TestSimpleHTTPCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in      string
		want    SimpleHTTP
		wantErr string
	}{
		{in: "simple_http"},
		{in: "simple_http https://a.example", want: SimpleHTTP{Endpoints: []string{"https://a.example"}}},
		{in: "simple_http http://1.com", want: SimpleHTTP{Endpoints: []string{"http://1.com"}}},
		{
			in: "simple_http https://a.example {\n endpoint https://b.example {env.ECHO}\n endpoint https://[2001:db8::1]/ip\n quorum 2\n timeout 3s\n}",
			want: SimpleHTTP{
				Endpoints: []string{"https://a.example", "https://b.example", "{env.ECHO}", "https://[2001:db8::1]/ip"},
				Options:   remote.Options{Quorum: 2, Timeout: caddy.Duration(3 * time.Second)},
			},
		},
		{in: "simple_http icanhazip.com", wantErr: `endpoint "icanhazip.com": not the URL of a web service: write one such as https://icanhazip.com`},
		{in: "simple_http ftp://a.example", wantErr: "not the URL of a web service"},
		{in: "simple_http https://", wantErr: "not the URL of a web service"},
		{in: "simple_http https://a.example:port", wantErr: "not a URL (invalid port"},
		{in: "simple_http https://[::ffff:8.8.8.8]/", wantErr: "write 8.8.8.8"},
		{in: "simple_http {\n endpoint\n}", wantErr: "endpoint needs the URL"},
		{in: "simple_http {\n quorum\n}", wantErr: "quorum needs one number"},
		{in: "simple_http {\n quorum 0\n}", wantErr: "write 1 or more"},
		{in: "simple_http {\n quorum two\n}", wantErr: "write 1 or more"},
		{in: "simple_http {\n quorum 2\n quorum 3\n}", wantErr: "quorum is given twice, as 2 and as 3"},
		{in: "simple_http {\n timeout 10\n}", wantErr: "write one such as 10s"},
		{in: "simple_http {\n timeout 1ms\n}", wantErr: "at least 100ms"},
		{in: "simple_http {\n timeout 1s 2s\n}", wantErr: "timeout needs one duration"},
		{in: "simple_http {\n timeout 1s\n timeout 2s\n}", wantErr: "timeout is given twice, as 1s and as 2s"},
		{in: "simple_http {\n interface wan2\n}", want: SimpleHTTP{Options: remote.Options{Interface: "wan2"}}},
		{in: "simple_http {\n interface\n}", wantErr: "interface needs the name of one network interface, such as wan2"},
		{in: "simple_http {\n interface wan1 wan2\n}", wantErr: "interface needs the name of one"},
		{in: "simple_http {\n interface wan1\n interface wan2\n}", wantErr: "interface is given twice"},
		{in: "simple_http {\n proxy x\n}", wantErr: `unrecognized subdirective "proxy"`},
		{in: "simple_http {\n quorum 2 {\n x\n }\n}", wantErr: "take no block"},
	} {
		var s SimpleHTTP
		err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err != nil {
			if !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("%s: no file and line in %v", tc.in, err)
			}
			continue
		}
		if !slices.Equal(s.Endpoints, tc.want.Endpoints) || s.Quorum != tc.want.Quorum || s.Timeout != tc.want.Timeout || s.Interface != tc.want.Interface {
			t.Errorf("%s: got %+v", tc.in, s)
		}
	}
}

func TestSimpleHTTPProvision(t *testing.T) {
	t.Setenv("ECHO", "https://user:secret@a.example/")
	for _, tc := range []struct {
		name    string
		in      SimpleHTTP
		wantErr string
	}{
		{name: "default"},
		{name: "placeholder", in: SimpleHTTP{Endpoints: []string{"{env.ECHO}"}}},
		{name: "empty placeholder", in: SimpleHTTP{Endpoints: []string{"{env.NO_SUCH_ECHO}"}}, wantErr: "endpoints: the environment variable NO_SUCH_ECHO is not set or empty"},
		{name: "negative quorum", in: SimpleHTTP{Options: remote.Options{Quorum: -1}}, wantErr: "write 1 or more"},
		{name: "seconds in JSON", in: SimpleHTTP{Options: remote.Options{Timeout: 10}}, wantErr: "timeout 10ns is shorter than 100ms: write one such as 10s"},
		{name: "empty interface", in: SimpleHTTP{Options: remote.Options{Interface: "{env.NO_SUCH_ECHO}"}}, wantErr: "interface: "},
		{name: "negative timeout", in: SimpleHTTP{Options: remote.Options{Timeout: -1}}, wantErr: "is shorter than"},
	} {
		err := tc.in.Provision(caddy.Context{Context: t.Context()})
		sourcetest.CheckErr(t, tc.name, err, tc.wantErr)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error gives the secret away: %v", tc.name, err)
		}
	}
}

// TestSimpleHTTPQuorum: who can be asked decides how many must agree.
func TestSimpleHTTPQuorum(t *testing.T) {
	for _, tc := range []struct {
		endpoints string
		quorum    int
		others    string // operators of other sources
		warned    bool
		wantErr   string
	}{
		{endpoints: ""},
		{endpoints: "https://a.example", warned: true},
		{endpoints: "https://a.example", quorum: 1},
		{endpoints: "https://a.example", others: "x"},
		{endpoints: "https://a.example", others: "a.example", warned: true},
		{endpoints: "https://a.example https://b.example"},
		{endpoints: "https://a.example https://1.a.example/b https://a.example:8443", warned: true},
		{endpoints: "https://icanhazip.com https://a.example/cdn-cgi/trace https://1.1.1.1/cdn-cgi/trace https://[2606:4700:4700::1111]", warned: true},
		{endpoints: "https://a.example https://b.example", quorum: 2},
		{endpoints: "https://8.8.8.8 https://1.1.1.1", quorum: 2},
		{endpoints: "https://a.example", quorum: 3, others: "x y"},

		{endpoints: "https://a.example", quorum: 3, others: "x",
			wantErr: "quorum 3 cannot be reached: over IPv4, all who can be asked are of 2 different operators; write `quorum 2`, or add endpoints of other operators"},
		{endpoints: "https://icanhazip.com https://a.example/cdn-cgi/trace", quorum: 2, wantErr: "of 1 different operators"},
		{endpoints: "https://8.8.8.8 https://a.example", quorum: 2, wantErr: "over IPv6"},
	} {
		s := newTestEcho(t, SimpleHTTP{Endpoints: strings.Fields(tc.endpoints), Options: remote.Options{Quorum: tc.quorum}})
		core, logs := observer.New(zapcore.WarnLevel)
		s.services.Logger = zap.New(core)
		err := s.VoteWith(func(bool) []string { return strings.Fields(tc.others) })
		sourcetest.CheckErr(t, tc.endpoints, err, tc.wantErr)
		if got := logs.FilterMessageSnippet("write `quorum 1`").Len(); (got == 1) != tc.warned {
			t.Errorf("%s: warned %d times, want %t", tc.endpoints, got, tc.warned)
		}
	}
}

func TestDefaultEchoEndpoints(t *testing.T) {
	endpoints, err := newEndpoints(defaultEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	operators := make(map[string]bool)
	for i, e := range endpoints {
		operators[e.operator] = true
		if next := endpoints[(i+1)%len(endpoints)]; e.operator == next.operator || e.url.Scheme != "https" {
			t.Errorf("%s is followed by %s", e.url, next.url)
		}
	}
	if len(operators) < 5 {
		t.Errorf("only %d operators", len(operators))
	}
}

// TestEndpointsKeepSecrets: a URL may hold a token, and errors are logged.
func TestEndpointsKeepSecrets(t *testing.T) {
	for _, raw := range []string{
		"ftp://user:S3cretTok@echo.example/ip?token=S3cretTok", "https://user:S3cretTok@[::ffff:1.2.3.4]/S3cretTok",
		"user:S3cretTok@echo.example", "//echo.example/?S3cretTok", "https://user:S3cretTok@echo.example:port/",
	} {
		d := caddyfile.NewTestDispenser("simple_http " + raw)
		errCaddyfile := new(SimpleHTTP).UnmarshalCaddyfile(d)
		_, errJSON := newEndpoints([]string{raw})
		for _, err := range []error{errCaddyfile, errJSON} {
			if err == nil || strings.Contains(err.Error(), "S3cretTok") {
				t.Errorf("%s: %v", raw, err)
			}
		}
	}
}
