package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
)

func hostsOf(t testing.TB, names ...string) *Hosts {
	h, err := ParseHosts(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is how a client sees an error.
func answer(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	var e *reply.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no answer", err)
	}
	if e.RetryAfter != 0 {
		return fmt.Sprintf("%d %s after %s", e.Status, e.Word, e.RetryAfter)
	}
	return fmt.Sprintf("%d %s", e.Status, e.Word)
}

// TestHosts: who may update what.
func TestHosts(t *testing.T) {
	for _, tc := range []struct {
		hosts    string
		yes, not string
	}{
		{hosts: `home.example.com`, yes: `home.example.com`, not: `a.home.example.com example.com *.home.example.com other.example.com`},
		{hosts: `Home.Example.com.`, yes: `home.example.com`},
		{hosts: `büro.example.com`, yes: `xn--bro-hoa.example.com`},
		{hosts: `*.example.com`, yes: `a.example.com b.example.com`, not: `example.com a.b.example.com *.example.com aexample.com`},
		{hosts: `"*.example.com"`, yes: `*.example.com`, not: `a.example.com example.com *.a.example.com`},
		{hosts: `*.example.com "*.example.com"`, yes: `a.example.com *.example.com`, not: `example.com *.a.example.com`},
		{hosts: `"home.example.com"`, yes: `home.example.com`},
		{hosts: ``, not: `home.example.com`},
	} {
		h := hostsOf(t, strings.Fields(tc.hosts)...)
		for _, host := range strings.Fields(tc.yes) {
			if !h.Has(host) {
				t.Errorf("%s: not %s", tc.hosts, host)
			}
		}
		for _, host := range strings.Fields(tc.not) {
			if h.Has(host) {
				t.Errorf("%s: %s", tc.hosts, host)
			}
		}
	}
}

func TestHostsTeach(t *testing.T) {
	for name, want := range map[string]string{
		"":                     "a host is empty",
		`""`:                   "a host is empty",
		"home":                 `host "home" is no full name; write it with its zone, such as "home.example.com"`,
		"*":                    "is no full name",
		"a.*.example.com":      "wildcard in the wrong place",
		"https://example.com/": `is a URL; write "example.com"`,
		"192.0.2.1":            "is an IP address",
		`"home.example.com`:    "has the character '\"'",
	} {
		if _, err := ParseHosts([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// TestAuthorize: which hosts a request is for, all or none.
func TestAuthorize(t *testing.T) {
	for _, tc := range []struct{ user, hosts, named, want string }{
		{"u", "a.example.com b.example.com", "b.example.com a.example.com", "b.example.com a.example.com"},
		{"u", "a.example.com b.example.com", "a.example.com", "a.example.com"},
		{"u", "*.example.com", "a.example.com b.example.com", "a.example.com b.example.com"},

		// One of many is not the user's, or nobody's.
		{"u", "a.example.com", "a.example.com b.example.com", "404 nohost"},
		{"u", "a.example.com", "b.example.com", "404 nohost"},
		{"u", "*.example.com", "a.b.example.com", "404 nohost"},
		{"u", "*.example.com", "example.com", "404 nohost"},

		// None is named.
		{"u", "a.example.com", "", "a.example.com"},
		{"b.example.com", "a.example.com b.example.com", "", "b.example.com"},
		{"b.example.com", "*.example.com", "", "b.example.com"},
		{"c.example.com", "a.example.com b.example.com", "", "400 notfqdn"},
		{"c.example.com", "a.example.com", "", "a.example.com"},
		{"u", "a.example.com b.example.com", "", "400 notfqdn"},
		{"u", "*.example.com", "", "400 notfqdn"},
		{"u", "a.example.com *.b.example.com", "", "400 notfqdn"},
		{"u", `"*.example.com"`, "", "*.example.com"},
	} {
		u := &User{Name: tc.user, Hosts: hostsOf(t, strings.Fields(tc.hosts)...)}
		hosts, err := u.Authorize(strings.Fields(tc.named))
		got := strings.Join(hosts, " ")
		if err != nil {
			got = answer(t, err)
		}
		if got != tc.want {
			t.Errorf("%s with %s asks for %q: got %s, want %s", tc.user, tc.hosts, tc.named, got, tc.want)
		}
	}
}

func TestUsersTeach(t *testing.T) {
	for want, users := range map[string][]*User{
		"there are no users":       nil,
		"a user has no name":       {{}},
		`user "a" is there twice`:  {{Name: "a"}, {Name: "b"}, {Name: "a"}},
		`user "a:b" cannot log in`: {{Name: "a:b", Hash: counted("secret", new(int))}},
	} {
		if _, err := NewUsers(users); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestTrusted: a user without a password is whom the web server has
// authenticated, and nobody else.
func TestTrusted(t *testing.T) {
	users, err := NewUsers([]*User{
		{Name: "open", Hosts: hostsOf(t, "a.example.com"), From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Name: "closed", Hash: counted("secret", new(int)), Hosts: hostsOf(t, "b.example.com")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ id, from, want string }{
		{"open", "192.0.2.1", "ok"},
		{"open", "::ffff:192.0.2.1", "ok"},
		{"open", "198.51.100.1", "401 badauth"},
		{"closed", "192.0.2.1", "401 badauth"},
		{"nobody", "192.0.2.1", "401 badauth"},
		{"", "192.0.2.1", "401 badauth"},
	} {
		_, err := users.Trusted(tc.id, netip.MustParseAddr(tc.from))
		if got := answer(t, err); got != tc.want {
			t.Errorf("%q from %s: got %s, want %s", tc.id, tc.from, got, tc.want)
		}
	}
}
