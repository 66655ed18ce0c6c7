package dynamicdns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestLoadsWhatWasLoadedBefore: what people have in their configurations, and
// mholt/caddy-dynamicdns puts up with, means what they think it does.
func TestLoadsWhatWasLoadedBefore(t *testing.T) {
	t.Setenv("DYNAMIC_DNS_TEST_NAMES", "blog  www")
	t.Setenv("DYNAMIC_DNS_TEST_RANGES", "10.0.0.0/8 93.184.0.0/16")
	for name, test := range map[string]struct {
		config string
		want   string
	}{
		"an empty name":           {`"domains": {"example.com": [""]}`, "@"},
		"a null name":             {`"domains": {"example.com": ["www", null]}`, "@ www"},
		"no names":                {`"domains": {"example.com": []}`, "@"},
		"null for names":          {`"domains": {"example.com": null}`, "@"},
		"a name twice":            {`"domains": {"example.com": ["www", "WWW", "@", ""]}`, "@ www"},
		"a zone twice":            {`"domains": {"example.com": ["www"], "Example.COM.": ["a", "www"]}`, "a www"},
		"no durations":            {`"domains": {"example.com": ["www"]}, "ttl": 0, "check_interval": 0, "verify_interval": "0s"`, "www"},
		"sites of no zone":        {`"dynamic_domains": true`, ""},
		"sites alone":             {`"domains": {"example.com": null}, "dynamic_domains": true`, "site"},
		"sites and names":         {`"domains": {"example.com": ["@"]}, "dynamic_domains": true`, "@ site"},
		"placeholder for names":   {`"domains": {"example.com": ["@", "{env.DYNAMIC_DNS_TEST_NAMES}", "www"]}`, "@ blog www"},
		"placeholder for ranges":  {`"domains": {"example.com": ["www"]}, "include": ["{env.DYNAMIC_DNS_TEST_RANGES}"]`, "www"},
		"placeholder that rules":  {`"domains": {"example.com": ["www"]}, "exclude": ["{env.DYNAMIC_DNS_TEST_RANGES}"]`, ""},
		"placeholder for a host":  {`"domains": {"example.com": []}, "dynamic_domains": true, "except": ["site.{env.DYNAMIC_DNS_TEST_ZONE}"]`, ""},
		"placeholder for private": {`"domains": {"example.com": ["www"]}, "include": ["{env.DYNAMIC_DNS_TEST_PRIVATE}", "93.184.216.0/24"]`, "www"},
	} {
		t.Setenv("DYNAMIC_DNS_TEST_ZONE", "example.com")
		t.Setenv("DYNAMIC_DNS_TEST_PRIVATE", "private_ranges")
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				l.address(addr1)
				config := fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "watch": false, "dns_provider": {"name": %q}, %s}`, z.Register(), test.config)
				if err := l.tryLoad(config, httpApp(t, "site.example.com, elsewhere.example {\n respond 1\n}\n")); err != nil {
					t.Fatal(err)
				}
				l.wait(time.Minute)
				var got []string
				for _, name := range []string{"@", "a", "blog", "site", "www"} {
					if slices.Equal(z.Values(zoneName, name, "A"), []string{addr1}) {
						got = append(got, name)
					}
				}
				if strings.Join(got, " ") != test.want {
					t.Errorf("got records at %q, want %q", got, test.want)
				}
			})
		})
	}
}

// TestZoneInZone: of two zones of one provider the longer one has the name, for
// nobody sees what the other says of it.
func TestZoneInZone(t *testing.T) {
	const below = "blog.example.com."
	for name, test := range map[string]struct {
		// entry is a second group, if not empty.
		domains, entry string
		// want are the addresses that the shorter zone has at blog.
		want []string
	}{
		"one group":  {domains: `{"example.com": ["blog", "www"], "blog.example.com": ["@"]}`},
		"two groups": {domains: `{"blog.example.com": ["@"]}`, entry: `"domains": {"example.com": ["blog", "www"]}`},
		"one family": {domains: `{"example.com": ["blog", "www"]}`, entry: `"domains": {"blog.example.com": ["@"]}, "versions": {"ipv4": false}`, want: []string{addr1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName, below)
				l.address(addr1, addr6)
				l.load(fmt.Sprintf(`{"ip_sources": [{"source": "fake"}], "watch": false, "dns_provider": {"name": %q}, "domains": %s, "providers": [%s]}`,
					z.Register(), test.domains, map[bool]string{false: "", true: "{" + test.entry + "}"}[test.entry != ""]))
				l.wait(time.Minute)
				if got := slices.Concat(z.Values(zoneName, "blog", "A"), z.Values(zoneName, "blog", "AAAA")); !slices.Equal(got, test.want) {
					t.Errorf("the shorter zone has %q, want %q", got, test.want)
				}
				if got := slices.Concat(z.Values(below, "@", "AAAA"), z.Values(zoneName, "www", "A")); !slices.Equal(got, []string{addr6, addr1}) {
					t.Errorf("got %q at the names that nothing is wrong with", got)
				}
				lines := l.logged("warn", "a name is in two zones of the provider")
				if len(lines) != 1 || lines[0]["name"] != "blog.example.com" || !strings.HasSuffix(fmt.Sprint(lines[0]["left_out"]), `domains under zone "example.com"`) {
					t.Errorf("got warnings %v, want one that says which zone is left out", lines)
				}
			})
		})
	}
}

// TestGlobalProvider: without a provider of its own, a group has that of
// Caddy's global option `dns`.
func TestGlobalProvider(t *testing.T) {
	t.Setenv("DYNAMIC_DNS_TEST_TOKEN", standin.Token)
	bubble(t, func(l *lab) {
		global, own := standin.New(standin.Character{}, zoneName), standin.New(standin.Character{}, "example.org.")
		l.address(addr1)
		const sources = `"ip_sources": [{"source": "fake"}], "watch": false`
		config := fmt.Sprintf(`{%s, "domains": {"example.com": ["www"]}, "providers": [
			{"dns_provider": {"name": %q}, "domains": {"example.org": ["@"]}},
			{"domains": {"example.com": ["mail"]}}
		]}`, sources, own.Register())
		if err := l.tryLoad(config); err == nil || !strings.Contains(err.Error(), "dns_provider: no DNS provider is configured, and the global option dns names none") {
			t.Errorf("got error %v without a global provider", err)
		}
		tls := fmt.Sprintf(`"tls": {"dns": {"name": %q, "token": "{env.DYNAMIC_DNS_TEST_TOKEN}"}}`, global.Register())
		if err := l.tryLoad(config, tls); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		got := slices.Concat(global.Values(zoneName, "www", "A"), global.Values(zoneName, "mail", "A"), own.Values("example.org.", "@", "A"))
		if !slices.Equal(got, []string{addr1, addr1, addr1}) {
			t.Errorf("got records %q", got)
		}
		if strings.Contains(l.wholeLog(), standin.Token) {
			t.Error("the token is in the log")
		}
	})
}
