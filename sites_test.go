package dynamicdns

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// httpApp returns the http app that Caddy makes of the sites of a Caddyfile,
// as a member of `apps`. It listens nowhere, for real sockets stall fake time.
func httpApp(t *testing.T, sites string) string {
	t.Helper()
	return nowhere(t, adapted(t, "{\n\tauto_https off\n}\n"+sites)["http"])
}

// nowhere takes the listeners out of the http app, and makes a member of
// `apps` of it.
func nowhere(t *testing.T, http json.RawMessage) string {
	t.Helper()
	var app map[string]any
	if err := json.Unmarshal(http, &app); err != nil {
		t.Fatal(err)
	}
	for _, server := range app["servers"].(map[string]any) {
		delete(server.(map[string]any), "listen")
	}
	b, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	return `"http": ` + string(b)
}

// realTime is for tests with real sockets, which cannot run in a bubble.
func realTime(t *testing.T) *lab {
	l := &lab{t: t, storage: t.TempDir()}
	current.Store(l)
	t.Cleanup(l.stop)
	return l
}

// adapted returns the apps of a Caddyfile.
func adapted(t *testing.T, input string) map[string]json.RawMessage {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), nil)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	return c.Apps
}

// holds returns the names with their addresses that the zones hold.
func holds(z *standin.Zones, zones ...string) []string {
	var got []string
	for _, zone := range zones {
		for _, rr := range z.Snapshot(zone) {
			got = append(got, strings.TrimSuffix(dnsname.Absolute(rr.Name, zone), ".")+" "+rr.Data)
		}
	}
	slices.Sort(got)
	return got
}

func wantHolds(t *testing.T, z *standin.Zones, zone string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := holds(z, zone); !slices.Equal(got, want) {
		t.Errorf("zone %s\n\thas   %q\n\twant  %q", zone, got, want)
	}
}

func at(addr string, fqdns ...string) []string {
	for i := range fqdns {
		fqdns[i] += " " + addr
	}
	return fqdns
}

const nestedSites = `
&(shared) {
	@named host named.example.com
	respond @named "shared"
}

example.com, www.example.com, WWW2.Example.com:8443 {
	respond "one"
}
http://plain.example.com {
	respond "two"
}
*.example.com {
	invoke shared
	@foo host foo.example.com
	handle @foo {
		@deep host deep.example.com elsewhere.example.org
		route @deep {
			respond "deep"
		}
		respond "foo"
	}
	@not {
		not host never.example.com
	}
	respond @not "wildcard"
}
http://{env.DYNAMIC_DNS_TEST_HOST} {
	respond "placeholder"
}
bücher.example.com {
	respond "international"
}
blog.example.com, a.blog.example.com, *.b.blog.example.com {
	respond "longest"
}
www.example.com:9443 {
	respond "www again"
}
outside.example.net, localhost, 192.0.2.1, :8080 {
	respond "elsewhere"
}
`

func TestDynamicDomains(t *testing.T) {
	t.Setenv("DYNAMIC_DNS_TEST_HOST", "Env.example.com")
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName, "blog.example.com.")
		l.address(addr1)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
			"dns_provider": {"name": %q},
			"domains": {"example.com": ["www", "mail"], "blog.example.com": []},
			"except": ["www2.example.com"]
		}`, z.Register())
		if err := l.tryLoad(app, httpApp(t, nestedSites)); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z, zoneName, at(addr1, "example.com", "www.example.com", "mail.example.com", "plain.example.com",
			"*.example.com", "foo.example.com", "deep.example.com", "named.example.com", "env.example.com",
			"xn--bcher-kva.example.com")...)
		wantHolds(t, z, "blog.example.com.", at(addr1, "blog.example.com", "a.blog.example.com", "*.b.blog.example.com")...)

		lines := l.logged("debug", "hosts in no zone")
		want := []any{"elsewhere.example.org", "localhost", "outside.example.net"}
		if len(lines) != 1 || !slices.Equal(lines[0]["hosts"].([]any), want) {
			t.Errorf("got %v, want one line with %v", lines, want)
		}
		if lines := l.logged("info", "hosts"); len(lines) != 0 {
			t.Errorf("hosts that are not managed look like trouble: %v", lines)
		}
	})
}

// TestDynamicDomainsPerBlock: the longest of all zones has the host, in
// whichever block it is listed, and each block decides by its own settings.
func TestDynamicDomainsPerBlock(t *testing.T) {
	bubble(t, func(l *lab) {
		z1 := standin.New(standin.Character{}, zoneName, "explicit.example.com.")
		z2 := standin.New(standin.Character{}, "sub.example.com.", "example.org.")
		l.address(addr1, addr6)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false,
			"providers": [
				{"dns_provider": {"name": %[1]q}, "dynamic_domains": true, "domains": {"example.com": ["explicit"]},
				 "except": ["one.example.com"], "versions": {"ipv6": false}},
				{"dns_provider": {"name": %[2]q}, "dynamic_domains": true, "domains": {"sub.example.com": []}, "versions": {"ipv4": false}},
				{"dns_provider": {"name": %[1]q}, "domains": {"explicit.example.com": ["only"]}, "versions": {"ipv6": false}},
				{"dns_provider": {"name": %[2]q}, "domains": {"example.org": ["@"]}, "versions": {"ipv6": false}}
			]
		}`, z1.Register(), z2.Register())
		if err := l.tryLoad(app, httpApp(t, `
			one.example.com, two.example.com, one.sub.example.com, sub.example.com {
				respond "1"
			}
			explicit.example.com, only.explicit.example.com, more.explicit.example.com, more.example.org {
				respond "2"
			}
		`)); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z1, zoneName, at(addr1, "explicit.example.com", "two.example.com")...)
		wantHolds(t, z1, "explicit.example.com.", at(addr1, "only.explicit.example.com")...)
		wantHolds(t, z2, "sub.example.com.", at(addr6, "one.sub.example.com", "sub.example.com")...)
		wantHolds(t, z2, "example.org.", at(addr1, "example.org")...)
		lines := l.logged("debug", "hosts in no zone")
		want := []any{"explicit.example.com", "more.example.org", "more.explicit.example.com", "only.explicit.example.com"}
		if len(lines) != 1 || !slices.Equal(lines[0]["hosts"].([]any), want) {
			t.Errorf("got %v, want one line with %v", lines, want)
		}
	})
}

// TestDynamicDomainsFamiliesApart: one zone may be in two blocks, each for a
// family of its own, and a name that is written in one is taken by the other.
func TestDynamicDomainsFamiliesApart(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		name := z.Register()
		l.address(addr1, addr6)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
			"dns_provider": {"name": %q}, "domains": {"example.com": ["www"]}, "versions": {"ipv6": false},
			"providers": [{"domains": {"example.com": []}, "versions": {"ipv4": false}, "except": ["blog.example.com"]}]
		}`, name)
		if err := l.tryLoad(app, httpApp(t, "www.example.com, blog.example.com {\n respond 1\n}\n")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z, zoneName, "www.example.com "+addr1, "www.example.com "+addr6, "blog.example.com "+addr1)
		if overlaps := z.Overlaps(); len(overlaps) > 0 {
			t.Errorf("calls overlap: %v", overlaps)
		}
	})
}

// TestDynamicDomainsOtherFamily: a host whose name is written down elsewhere
// for one family is taken from the sites for the other.
func TestDynamicDomainsOtherFamily(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		name := z.Register()
		l.address(addr1, addr6)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
			"dns_provider": {"name": %q}, "domains": {"example.com": []},
			"providers": [{"domains": {"example.com": ["www"]}, "versions": {"ipv6": false}, "dynamic_domains": false,
				"ip_sources": [{"source": "static", "ips": [%q]}]}]
		}`, name, addr2)
		if err := l.tryLoad(app, httpApp(t, "www.example.com, blog.example.com {\n respond 1\n}\n")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		wantHolds(t, z, zoneName, "www.example.com "+addr2, "www.example.com "+addr6, "blog.example.com "+addr1, "blog.example.com "+addr6)
	})
}

// TestFailedReloadLosesNoSite: it says nothing of hosts that go on being
// managed, and the reload that follows does.
func TestFailedReloadLosesNoSite(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
			"dns_provider": {"name": %q}, "domains": {"example.com": []}
		}`, z.Register())
		l.address(addr1)
		both, one := httpApp(t, "a.example.com, b.example.com {\n respond 1\n}\n"), httpApp(t, "a.example.com {\n respond 1\n}\n")
		if err := l.tryLoad(app, both); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		for range 10 {
			if err := l.tryLoad(app, one, `"dynamic_dns_test_failing": {}`); err == nil {
				t.Fatal("the failing app started")
			}
			l.wait(time.Second)
		}
		if lines := l.logged("info", "their DNS records stay"); len(lines) > 0 {
			t.Errorf("said of a configuration that does not run: %v", lines)
		}
		if err := l.tryLoad(app, one); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Second)
		if lines := l.logged("info", "their DNS records stay"); len(lines) != 1 {
			t.Errorf("said %d times that b is gone", len(lines))
		}
	})
}

func TestSitesFollowReloads(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		app := fmt.Sprintf(`{
			"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
			"dns_provider": {"name": %q}, "domains": {"example.com": ["kept"]}
		}`, z.Register())
		load := func(hosts string) {
			t.Helper()
			if err := l.tryLoad(app, httpApp(t, hosts+" {\n respond 1\n}\n")); err != nil {
				t.Fatal(err)
			}
			l.wait(time.Minute)
		}
		gone := func() []any {
			var hosts []any
			for _, line := range l.logged("debug", "their DNS records stay") {
				if line["level"] != "info" {
					t.Errorf("said at level %s", line["level"])
				}
				hosts = append(hosts, line["hosts"].([]any)...)
			}
			return hosts
		}

		l.address(addr1)
		load("a.example.com, b.example.com, kept.example.com")
		wantHolds(t, z, zoneName, at(addr1, "a.example.com", "b.example.com", "kept.example.com")...)
		load("a.example.com, c.example.com")
		wantHolds(t, z, zoneName, at(addr1, "a.example.com", "b.example.com", "c.example.com", "kept.example.com")...)
		if got := gone(); !slices.Equal(got, []any{"b.example.com"}) {
			t.Errorf("said to be gone: %v", got)
		}

		l.address(addr2)
		l.wait(2 * time.Hour)
		for range 3 {
			load("a.example.com, c.example.com")
		}
		wantHolds(t, z, zoneName, append(at(addr2, "a.example.com", "c.example.com", "kept.example.com"), "b.example.com "+addr1)...)
		if got := gone(); !slices.Equal(got, []any{"b.example.com"}) {
			t.Errorf("said to be gone, and more than once: %v", got)
		}

		load("b.example.com")
		wantHolds(t, z, zoneName, at(addr2, "a.example.com", "b.example.com", "c.example.com", "kept.example.com")...)
		if err := l.tryLoad(app); err != nil {
			t.Fatal(err)
		}
		l.wait(0)
		if got := gone(); !slices.Equal(got, []any{"b.example.com", "a.example.com", "c.example.com", "b.example.com"}) {
			t.Errorf("said to be gone: %v", got)
		}
		for _, c := range z.Changes() {
			if c.Method != "" && len(c.Added) == 0 {
				t.Errorf("%s deleted %v", c.Method, c.Removed)
			}
		}
	})
}

// TestRedirectsAreNoSites runs a Caddy with real listeners, for only then
// automatic HTTPS adds its server of redirects: its catch-all host matchers
// must neither be read as sites nor hide any.
func TestRedirectsAreNoSites(t *testing.T) {
	l := realTime(t)
	z := standin.New(standin.Character{}, zoneName)
	l.address(addr1)
	app := fmt.Sprintf(`{
		"ip_sources": [{"source": "fake"}], "watch": false, "dynamic_domains": true,
		"dns_provider": {"name": %q}, "domains": {"example.com": []}
	}`, z.Register())
	apps := adapted(t, fmt.Sprintf("{\n http_port %d\n https_port %d\n default_bind 127.0.0.1\n auto_https disable_certs\n}\n", freePort(t), freePort(t))+
		"www.example.com, a.example.com {\n respond 1\n}\n")
	if err := l.tryLoad(app, `"http": `+string(apps["http"])); err != nil {
		t.Fatal(err)
	}
	http, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		t.Fatal(err)
	}
	if servers := httpServers(http); !slices.Contains(servers, autoHTTPSServer) {
		t.Fatalf("there are no redirects to be confused by: %v", servers)
	}
	want := at(addr1, "a.example.com", "www.example.com")
	for deadline := time.Now().Add(10 * time.Second); !slices.Equal(holds(z, zoneName), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want %v", holds(z, zoneName), want)
		}
	}
}

func httpServers(app any) []string {
	return slices.Sorted(maps.Keys(app.(*caddyhttp.App).Servers))
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
