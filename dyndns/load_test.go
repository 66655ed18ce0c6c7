package dyndns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestRefusedAtLoad: each mistake is told with what to write instead, and
// without what may be a password.
func TestRefusedAtLoad(t *testing.T) {
	t.Setenv("DYNDNS_TEST_PLAIN", "s3cret")
	module := standin.New(standin.Character{}, origin).Register()
	user := func(more string) string {
		return fmt.Sprintf(`"users": [{"name": "home", "password": %q, %s}]`, hash, more)
	}
	good := user(`"hosts": ["home.example.com"]`)
	provider := fmt.Sprintf(`"dns_provider": {"name": %q}`, module)
	zones := `"zones": ["example.com"]`
	own := fmt.Sprintf(`, "dynamic_dns": {%s, "domains": {"example.com": ["home", "a.dyn"]}, "ip_sources": [{"source": "static", "ips": [%q]}]}`, provider, addr1)
	for name, test := range map[string]struct {
		handlers []string
		apps     string
		want     string
	}{
		"no provider":      {[]string{zones + "," + good}, "", "no DNS provider is configured; write one, such as `provider cloudflare"},
		"no users":         {[]string{provider + "," + zones}, "", "there are no users"},
		"null user":        {[]string{provider + "," + zones + `, "users": [null]`}, "", "users[0] is null"},
		"zone twice":       {[]string{provider + `, "zones": ["example.com", "EXAMPLE.com."],` + good}, "", `"EXAMPLE.com." is listed twice`},
		"outside":          {[]string{provider + "," + zones + "," + user(`"hosts": ["home.example.net"]`)}, "", `user "home": the host "home.example.net" is in none of the zones example.com`},
		"parent outside":   {[]string{provider + "," + zones + "," + user(`"hosts": ["*.example.net"]`)}, "", `the host "*.example.net" is in none of the zones`},
		"no hosts":         {[]string{provider + "," + zones + "," + user(`"hosts": []`)}, "", "there are no hosts that the user may update"},
		"plain password":   {[]string{provider + "," + zones + `, "users": [{"name": "home", "password": "s3cret", "hosts": ["home.example.com"]}]`}, "", `user "home": this is no hash of a password`},
		"plain in env":     {[]string{provider + "," + zones + `, "users": [{"name": "home", "password": "{env.DYNDNS_TEST_PLAIN}", "hosts": ["home.example.com"]}]`}, "", `user "home": this is no hash of a password`},
		"unknown variable": {[]string{provider + "," + zones + `, "users": [{"name": "home", "password": "{s3cret}", "hosts": ["home.example.com"]}]`}, "", "the password has a placeholder that is empty or unknown"},
		"ttl":              {[]string{provider + "," + zones + `, "ttl": 1000,` + good}, "", "ttl 1µs is too short"},
		"prefix length":    {[]string{provider + "," + zones + `, "prefix_length": 300,` + good}, "", "prefix_length: "},
		"private ranges":   {[]string{provider + "," + zones + `, "include": ["private_ranges"],` + good}, "", "this word is for the Caddyfile"},
		"from":             {[]string{provider + "," + zones + "," + user(`"hosts": ["home.example.com"], "from": ["home"]`)}, "", "from: "},
		"device":           {[]string{provider + "," + zones + "," + user(`"devices": {"nas.example.com": []}`)}, "", `device "nas.example.com": there is no host ID`},
		"two TTLs":         {[]string{provider + "," + zones + "," + good, provider + "," + zones + `, "ttl": 120000000000,` + good}, "", `the host "home.example.com" is served by two dyndns handlers`},
		"exact and below":  {[]string{provider + "," + zones + "," + good, provider + "," + zones + `, "ttl": 120000000000,` + strings.Replace(user(`"hosts": ["*.example.com"]`), `"home"`, `"other"`, 1)}, "", `the host "home.example.com" is served by two dyndns handlers`},
		"managed":          {[]string{zones + "," + good}, own, `the host "home.example.com" is managed twice`},
		"managed device":   {[]string{zones + "," + good}, fmt.Sprintf(`, "dynamic_dns": {%s, "domains": {"example.com": ["router"]}, "devices": {"example.com": {"home": ["::1"]}}, "ip_sources": [{"source": "static", "ips": [%q]}]}`, provider, addr1), `the host "home.example.com" is managed twice`},
		"managed below":    {[]string{zones + "," + user(`"hosts": ["*.dyn.example.com"]`)}, own, `the host "a.dyn.example.com" is managed twice`},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{storage: t.TempDir(), apps: test.apps}
			current = b
			for i, h := range test.handlers {
				test.handlers[i] = "{" + h + "}"
			}
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON([]byte(b.json(test.handlers, "")), &config); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(&config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v\nwant one with %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats the password: %v", err)
			}
		})
	}
}

// TestRefusedWithLine: what shows only when all is loaded is told with file and
// line, too.
func TestRefusedWithLine(t *testing.T) {
	t.Setenv("DYNDNS_TEST_ZONE", "example.com")
	const user = "\n\t\tuser home " + tokenHash + " {\n\t\t\thosts "
	for name, test := range map[string]struct{ global, hosts, want string }{
		"managed":       {"home", "other.example.com home.example.com", `managed twice: by the dynamic_dns app, which publishes this machine's addresses, and by the users here; leave it in one of them, at Caddyfile:13`},
		"managed below": {"a.dyn", "*.dyn.example.com", "leave it in one of them, at Caddyfile:13"},
		"in no zone":    {"www", "home.example.net\n\t\t}\n\t\tzone {env.DYNDNS_TEST_ZONE}\n\t\tuser other " + tokenHash + " {\n\t\t\thosts home.example.com", `the host "home.example.net" is in none of the zones example.com; add its zone, or correct the name, at Caddyfile:13`},
	} {
		t.Run(name, func(t *testing.T) {
			text := "{\n\tadmin off\n\tdynamic_dns {\n\t\tprovider cloudflare " + strings.Repeat("x", 40) + "\n\t\tdomains {\n\t\t\texample.com " + test.global + "\n\t\t}\n\t}\n}\n:80 {\n\tdyndns {" +
				user + test.hosts + "\n\t\t}\n\t}\n}\n"
			adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v\nwant one with %s", err, test.want)
			}
		})
	}
}

const tokenHash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestGlobalProvider: the provider may be that of Caddy's global option dns.
func TestGlobalProvider(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.apps = fmt.Sprintf(`, "tls": {"dns": {"name": %q}}`, b.module)
		b.load(strings.Replace(b.config(""), fmt.Sprintf(`"dns_provider": {"name": %q},`, b.module), "", 1))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
	})
}

// TestSitesApart: a host that dynamic_domains takes from a site is no client's.
func TestSitesApart(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.apps = fmt.Sprintf(`, "http": {"servers": {"x": {"automatic_https": {"disable": true}, "routes": [{"match": [{"host": ["home.example.com"]}]}]}}},
			"dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": []}, "dynamic_domains": true, "watch": false, "ip_sources": [{"source": "static", "ips": [%q]}]}`, b.module, addr1)
		want := `the host "home.example.com" is managed twice: dynamic_domains takes it from a site`
		if err := b.tryLoad([]string{b.config("")}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v\nwant one with %s", err, want)
		}
	})
}

// TestClusterAlone: `cluster` needs no names beside a DDNS server, and is refused
// where there is nothing to share at all.
func TestClusterAlone(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		app := func(more string) { b.apps = `, "dynamic_dns": {"cluster": {"name": "b"}` + more + `}` }
		app("")
		b.load(b.config(""))
		// The first one to use a storage waits for others.
		time.Sleep(time.Minute)
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		s := b.status()
		if s.InSync == nil || !*s.InSync || s.Cluster == nil || s.Zones[0].Writer != "b" {
			t.Errorf("status: %+v", s)
		}
		for more, want := range map[string]string{
			`, "ttl": "5m"`: "no domains are configured",
			"":              "cluster: there is nothing to share: no domains are configured, and no site has the handler dyndns",
		} {
			app(more)
			handlers := []string{b.config("")}
			if more == "" {
				handlers = nil
			}
			if err := b.tryLoad(handlers, ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", more, err)
			}
			b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
		}
		app("")
		b.load(b.config(`"ttl": 120000000000,`))
		b.update("hostname=home.example.com&myip="+addr2, "200 good "+addr2)
	})
}
