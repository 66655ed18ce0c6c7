package advice

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	known := []string{"check_interval", "domains", "include", "exclude", "ttl"}
	for word, want := range map[string]string{
		"ttll": "ttl", "domain": "domains", "chek_interval": "check_interval", "inclde": "include",
		"colour": "", "x": "", "": "",
	} {
		if got := Closest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestList(t *testing.T) {
	for in, want := range map[string]string{
		"@ www":                     "",
		"@, www":                    "@ www",
		"@,www":                     "@ www",
		"[@ www]":                   "@ www",
		"[@, www]":                  "@ www",
		"@; www":                    "@ www",
		"www ,blog":                 "www blog",
		"{env.NAMES}":               "",
		"@ {env.NAMES:a,b}":         "",
		"https://a.example/?x=1,2":  "",
		"https://[2001:db8::1]":     "",
		"https://[2001:db8::1]/, x": "https://[2001:db8::1]/ x",
		"[https://a.example, x]":    "https://a.example x",
		"2001:db8::/32,10.0.0.0/8":  "2001:db8::/32 10.0.0.0/8",
	} {
		if got := strings.Join(List(strings.Split(in, " ")), " "); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	if got := List([]string{"@", ""}); got != nil {
		t.Errorf("an empty word became %q", got)
	}
}

func TestVariable(t *testing.T) {
	for word, want := range map[string]string{
		"env.CLOUDFLARE_API_TOKEN": "CLOUDFLARE_API_TOKEN",
		"env.token":                "token",
		"{env:TOKEN}":              "TOKEN",
		"{TOKEN}":                  "TOKEN",
		"${TOKEN}":                 "TOKEN",
		"$API_TOKEN":               "API_TOKEN",
		"${env.TOKEN}":             "TOKEN",
		"$env.TOKEN":               "TOKEN",
		"{env.TOKEN}":              "",
		"{file./run/token}":        "",
		"$tr0ngPassw0rd":           "",
		"$ECRET":                   "",
		"TOKEN":                    "",
		"environment.example.com":  "",
		"env.example.com":          "",
		"{http.request.host}":      "",
	} {
		if got := Variable(word); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	if got := VariableIn([]byte(`{"name": "x", "list": [{"b": 1, "a": "env.TOKEN"}]}`)); got != "TOKEN" {
		t.Errorf("got %q", got)
	}
}

func TestProvider(t *testing.T) {
	for name, want := range map[string]string{
		"cloudflar":                        `did you mean "cloudflare"?`,
		"route53":                          "with `xcaddy build --with github.com/caddy-dynamic-dns/caddy-dynamic-dns=. --with github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53`",
		"rfc2136":                          "caddy-dynamic-dns/providers/rfc2136`",
		"nameserver":                       "caddy-dynamic-dns/nameserver`",
		"hetzner":                          "--with github.com/caddy-dns/hetzner`",
		"bind":                             "has no module dns.providers.rfc2136; build one that has, with `xcaddy build --with github.com/caddy-dynamic-dns/caddy-dynamic-dns=. --with github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/rfc2136`",
		"cf":                               `unknown DNS provider "cf"; write ` + "`provider cloudflare`",
		"S3cret":                           "this is not the name of a DNS provider",
		"0123456789abcdef0123456789abcdef": "this is not the name of a DNS provider",
	} {
		got := Provider(name, []string{"cloudflare", "gandi"})
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if strings.Contains(want, "this is not") && strings.Contains(got, name) {
			t.Errorf("%s is repeated in: %s", name, got)
		}
	}
}

func TestSource(t *testing.T) {
	for name, want := range map[string]string{
		"simplehttp":                  `did you mean "simple_http"?`,
		"eth0":                        "write `ip_source interface eth0`",
		"wg0":                         "write `ip_source interface wg0`",
		"br-3f2a":                     "write `ip_source interface br-3f2a`",
		"https://me:s3cret@a.example": "unknown IP source \"https://a.example\"; write `ip_source simple_http https://a.example`",
		"2001:db8::7":                 "write `ip_source static 2001:db8::7`",
		"pcp":                         "write `ip_source natpmp`, or `ip_source upnp`",
		"igd":                         "write `ip_source upnp`",
		"fritz":                       "write `ip_source fritzbox`",
		"command":                     "add `--with github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/command` to the build",
		"oracle":                      "; write one of simple_http, upnp",
	} {
		if got := Source(name, nil, []string{"upnp", "simple_http"}); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := Source("endpoint", []string{"https://a.example"}, nil); !strings.Contains(got, "write `ip_source simple_http https://a.example`") {
		t.Errorf("got %s", got)
	}
}

// TestMembers: what is wrong has no meaning of its own.
func TestMembers(t *testing.T) {
	for word, want := range map[string]string{"provider": "; write `\"dns_provider\"", "domain": `; did you mean "domains"?`, "colour": "; write one of domains, ttl"} {
		if got := Member(word, []string{"ttl", "domains"}); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
}
