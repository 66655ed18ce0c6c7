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

func TestWithdrawNeedsDeletes(t *testing.T) {
	bubble(t, standin.Character{NoDelete: true}, func(b *bench) {
		if err := b.tryLoad([]string{b.config(`"withdraw": true,`)}, ""); err == nil || !strings.Contains(err.Error(), "cannot delete records") {
			t.Errorf("got error %v", err)
		}
	})
}
