package dynamicdns

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	real "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/cloudflare"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/rfc2136"
)

// UnmarshalCaddyfile lets Caddyfiles name the source.
func (*fakeSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

const threeProviders = `
{
	auto_https off
	dynamic_dns {
		check_interval 1s
		watch off
		ip_source fake
		dynamic_domains
		except intern.example.com
		provider cloudflare token-one {
			domains {
				example.com mail
			}
		}
		provider cloudflare {env.DYNAMIC_DNS_TEST_TOKEN} {
			domains {
				example.net @ *.dyn
				example.org TWO
			}
		}
	}
	dynamic_dns {
		provider rfc2136 {
			key_name KEYNAME
			key_alg KEYALG
			key KEY
			server SERVER
		}
		domains {
			lab.example.com
			example.test ns1 @
		}
		versions ipv4
	}
	dynamic_dns {
		provider rfc2136 {
			key_name KEYNAME
			key_alg KEYALG
			key KEY
			server SERVER
		}
		domains {
			example.org BIND
		}
		dynamic_domains off
		versions ipv4
	}
}

example.com, www.example.com {
	respond 1
}
*.example.com {
	@a host a.example.com
	handle @a {
		respond a
	}
	@b host b.example.com x.lab.example.com
	route @b {
		@deep host deep.b.example.com
		handle @deep {
			respond deep
		}
		respond b
	}
}
intern.example.com {
	respond 3
}
mail.example.com {
	respond 4
}
lab.example.com {
	respond 5
}
*.lab.example.com {
	respond 6
}
www.example.net {
	respond 7
}
www.example.net:8443 {
	respond 8
}
http://example.net {
	respond 9
}
example.test, www.example.test, *.www.example.test {
	respond 10
}
shop.example.org {
	respond 11
}
unrelated.example {
	respond 12
}
`

// TestThreeProviders: two accounts at Cloudflare and a BIND, fed from twelve
// sites, get the records that are theirs and no other.
func TestThreeProviders(t *testing.T) {
	bind := real.StartBIND(t, nil, "lab.example.com", "example.org", "example.test")
	api := cloudflare.New()
	api.AddZone("example.com", "token-one")
	api.AddZone("example.net", "token-two")
	api.AddZone("example.org", "token-two")
	// The first account has a zone of its own that nobody asked for.
	api.AddZone("lab.example.com", "token-one")
	api.Install(t)
	api.Add("example.com", cloudflare.Record{Type: "A", Name: "other", Content: "192.0.2.9"})
	api.Add("example.com", cloudflare.Record{Type: "MX", Name: "@", Content: "mail.example.com", Priority: 10})
	api.Add("example.com", cloudflare.Record{Type: "A", Name: "www", Content: "192.0.2.8", Proxied: true, Comment: "mine"})
	bind.NSUpdate("update add other.example.test 60 A 192.0.2.9")
	bind.NSUpdate("update add lab.example.com 60 TXT mine")

	t.Setenv("DYNAMIC_DNS_TEST_TOKEN", "token-two")
	l := realTime(t)
	load := func(two, bindNames string) {
		t.Helper()
		input := strings.NewReplacer("KEYNAME", bind.KeyName, "KEYALG", bind.KeyAlg, "SERVER", bind.Addr,
			"TWO", two, "BIND", bindNames, "KEY", bind.Key).Replace(threeProviders)
		apps := adapted(t, input)
		if err := l.tryLoad(string(apps["dynamic_dns"]), nowhere(t, apps["http"])); err != nil {
			t.Fatal(err)
		}
	}

	cf := func(zone string) func() []string {
		return func() []string {
			var got []string
			for _, r := range api.Records(zone, "", "") {
				got = append(got, r.Name+" "+r.Type+" "+r.Content)
			}
			return got
		}
	}
	named := func(zone string) func() []string {
		return func() []string {
			var got []string
			for _, line := range bind.Zone(zone) {
				f := strings.Fields(line)
				if f[3] != "NS" {
					got = append(got, strings.TrimSuffix(f[0], ".")+" "+f[3]+" "+strings.Join(f[4:], " "))
				}
			}
			return got
		}
	}
	both := func(v4 string, names ...string) []string {
		var all []string
		for _, name := range names {
			all = append(all, name+" A "+v4, name+" AAAA "+addr6)
		}
		return all
	}
	only := func(v4 string, names ...string) []string {
		var all []string
		for _, name := range names {
			all = append(all, name+" A "+v4)
		}
		return all
	}
	expect := func(v4 string, atOrg, bindOrg []string) {
		t.Helper()
		for _, z := range []struct {
			what string
			has  func() []string
			want []string
		}{
			{"example.com at Cloudflare", cf("example.com"), append(
				both(v4, "example.com", "www.example.com", "*.example.com", "a.example.com", "b.example.com", "deep.b.example.com", "mail.example.com"),
				"other.example.com A 192.0.2.9", "example.com MX mail.example.com")},
			{"lab.example.com at Cloudflare", cf("lab.example.com"), nil},
			{"example.net at Cloudflare", cf("example.net"), both(v4, "example.net", "*.dyn.example.net", "www.example.net")},
			{"example.org at Cloudflare", cf("example.org"), atOrg},
			{"lab.example.com at BIND", named("lab.example.com"), append(
				only(v4, "lab.example.com", "*.lab.example.com", "x.lab.example.com"), "ns1.lab.example.com A 127.0.0.1", `lab.example.com TXT "mine"`)},
			{"example.test at BIND", named("example.test"), append(
				only(v4, "example.test", "www.example.test", "*.www.example.test", "ns1.example.test"), "other.example.test A 192.0.2.9")},
			{"example.org at BIND", named("example.org"), append(bindOrg, "ns1.example.org A 127.0.0.1")},
		} {
			real.EventuallyEqual(t, 20*time.Second, z.what, z.has, z.want...)
		}
	}

	l.address(addr1, addr6)
	load("www old", "new")
	expect(addr1, both(addr1, "www.example.org", "old.example.org", "shop.example.org"), only(addr1, "new.example.org"))
	if r := api.Records("example.com", "www.example.com", "A")[0]; !r.Proxied || r.Comment != "mine" {
		t.Errorf("an update made of the record %+v", r)
	}

	// "www" moves: it stays as it was where it was, and no longer follows there.
	l.address(addr2, addr6)
	load("old", "new www")
	moved := slices.Concat(both(addr1, "www.example.org"), both(addr2, "old.example.org", "shop.example.org"))
	expect(addr2, moved, only(addr2, "new.example.org", "www.example.org"))
	l.address(addr3, addr6)
	moved = slices.Concat(both(addr1, "www.example.org"), both(addr3, "old.example.org", "shop.example.org"))
	expect(addr3, moved, only(addr3, "new.example.org", "www.example.org"))

	if lines := l.logged("warn", ""); len(lines) > 0 {
		t.Errorf("trouble in the log: %v", lines)
	}
	for _, secret := range []string{bind.Key, "token-one", "token-two"} {
		if strings.Contains(l.wholeLog(), secret) {
			t.Error("a secret is in the log")
		}
	}
}
