package dyndns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestWithdraw: a host that no user has any more stays in DNS, unless
// `withdraw` is set; then what its client has told is taken away, and nothing
// else.
func TestWithdraw(t *testing.T) {
	for name, test := range map[string]struct {
		option string
		want   []string
	}{
		"off": {"", []string{"93.184.216.34", "93.184.216.99"}},
		"on":  {`"withdraw": true,`, []string{"93.184.216.99"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				b.load(b.config(test.option))
				b.update("hostname=home.example.com&myip=93.184.216.34", "200 good 93.184.216.34")
				b.z.Put(origin, record("home", "A", "93.184.216.99"))
				without := func(option string) string {
					return strings.Replace(b.config(option), `"home.example.com", `, "", 1)
				}
				b.load(without(test.option))
				time.Sleep(time.Minute)
				b.expect(origin, "home", "A", test.want...)
				// What somebody adds by hand later is not ours.
				b.z.Put(origin, record("home", "A", "93.184.216.98"))
				b.load(without(test.option + fmt.Sprintf(`"ttl": %d,`, 2*time.Minute)))
				time.Sleep(2 * time.Hour)
				b.expect(origin, "home", "A", append([]string{}, append(test.want[:len(test.want)-1:len(test.want)-1], "93.184.216.98", "93.184.216.99")...)...)
			})
		})
	}
}

// TestWithdrawAfterRestart: what is on record is withdrawn also where the user
// left while Caddy did not run.
func TestWithdrawAfterRestart(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip=93.184.216.34", "200 good 93.184.216.34")
		b.stop()
		b.load(strings.Replace(b.config(`"withdraw": true,`), `"home.example.com", `, "", 1))
		time.Sleep(time.Minute)
		b.expect(origin, "home", "A")
	})
}

// TestWithdrawFoundAfterRestart: the same where no zone is written, and nobody
// looks for that of the host any more; what tells of it may be of no use.
func TestWithdrawFoundAfterRestart(t *testing.T) {
	inDNS(t, "example.com.", "example.net.")
	for name, character := range map[string]standin.Character{"reads": {}, "blind": {NoGet: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, character, func(b *bench) {
				b.load(b.zoneless(""))
				b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
				time.Sleep(time.Minute)
				b.stop()
				time.Sleep(time.Minute)
				only := func(option string) string {
					return strings.NewReplacer(`"home.example.com", `, "", `"other.example.com", "*.dyn.example.com"`, `"other.example.net"`, `"nas.example.com"`, `"nas.example.net"`).Replace(b.zoneless(option))
				}
				b.load(only(""))
				time.Sleep(time.Hour)
				b.expect(origin, "home", "A", addr1)
				b.stop()
				time.Sleep(time.Minute)
				b.load(only(`"withdraw": true,`))
				time.Sleep(time.Minute)
				b.expect(origin, "home", "A")
				calls := b.z.Count(standin.Delete, "") + b.z.Count(standin.Set, "")
				b.stop()
				time.Sleep(time.Minute)
				b.load(only(`"withdraw": true,`))
				time.Sleep(3 * time.Hour)
				if n := b.z.Count(standin.Delete, "") + b.z.Count(standin.Set, "") - calls; n != 0 {
					t.Errorf("%d more writes", n)
				}
			})
		})
	}
}

// TestWithdrawNotFromAnother: a host that this machine's own addresses are
// published for by now is left to dynamic_dns.
func TestWithdrawNotFromAnother(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(`"withdraw": true,`))
		b.update("hostname=home.example.com&myip=93.184.216.34", "200 good 93.184.216.34")
		b.apps = fmt.Sprintf(`, "dynamic_dns": {"dns_provider": {"name": %q}, "domains": {"example.com": ["home"]}, "watch": false,
			"versions": {"ipv6": false}, "ip_sources": [{"source": "static", "ips": ["93.184.216.34"]}]}`, b.module)
		b.load(strings.Replace(b.config(`"withdraw": true,`), `"home.example.com", `, "", 1))
		time.Sleep(3 * time.Hour)
		b.expect(origin, "home", "A", "93.184.216.34")
	})
}

// TestWithdrawLeavesClients: a name that dynamic_dns has published, and that
// clients update by now, holds what these have told, be it the same address.
func TestWithdrawLeavesClients(t *testing.T) {
	for name, token := range map[string]string{"one account": "", "another token": `, "token": "other"`} {
		t.Run(name, func(t *testing.T) {
			bubble(t, standin.Character{}, func(b *bench) {
				own := func(names string) string {
					return fmt.Sprintf(`, "dynamic_dns": {"withdraw": true, "dns_provider": {"name": %q%s}, "domains": {"example.com": [%s]}, "watch": false,
						"versions": {"ipv6": false}, "ip_sources": [{"source": "static", "ips": ["93.184.216.34"]}]}`, b.module, token, names)
				}
				without := strings.Replace(b.config(""), `"home.example.com", `, "", 1)
				b.load(b.config(""))
				b.update("hostname=home.example.com&myip=93.184.216.34", "200 good 93.184.216.34")
				b.load(without)
				time.Sleep(time.Minute)
				b.z.Drop(origin, "home", "A")
				b.apps = own(`"www", "home", "gone"`)
				b.load(without)
				time.Sleep(time.Minute)
				b.expect(origin, "home", "A", "93.184.216.34")
				b.expect(origin, "gone", "A", "93.184.216.34")
				b.apps = own(`"www"`)
				b.load(b.config(""))
				time.Sleep(3 * time.Hour)
				b.expect(origin, "home", "A", "93.184.216.34")
				b.expect(origin, "gone", "A")
			})
		})
	}
}

func TestWithdrawNeedsDeletes(t *testing.T) {
	bubble(t, standin.Character{NoDelete: true}, func(b *bench) {
		if err := b.tryLoad([]string{b.config(`"withdraw": true,`)}, ""); err == nil || !strings.Contains(err.Error(), "cannot delete records") {
			t.Errorf("got error %v", err)
		}
	})
}
