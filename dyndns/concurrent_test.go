package dyndns

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestAtOnce: clients, those who look, checks and reloads come at once, while
// zones are being found and shared. All are answered, and DNS holds what was told
// last.
func TestAtOnce(t *testing.T) {
	for _, apps := range []string{"", `, "dynamic_dns": {"cluster": {"name": "b"}}`} {
		inDNS(t, "example.com.", "example.net.")
		bubble(t, standin.Character{Latency: 50 * time.Millisecond}, func(b *bench) {
			b.apps = apps
			b.load(b.zoneless(""))
			over := make(chan struct{})
			var running sync.WaitGroup
			each := func(seed uint64, do func(random *rand.Rand)) {
				random := rand.New(rand.NewPCG(seed, 0))
				running.Go(func() {
					for {
						select {
						case <-over:
							return
						case <-time.After(time.Duration(random.IntN(int(2 * time.Second)))):
							do(random)
						}
					}
				})
			}
			other := func(r *http.Request) { r.SetBasicAuth("other", password) }
			for seed := range uint64(3) {
				each(seed, func(random *rand.Rand) {
					hosts, as := "home.example.com,www.example.net", (func(*http.Request))(nil)
					if random.IntN(2) == 0 {
						hosts, as = fmt.Sprintf("other.example.com,%d.dyn.example.com", random.IntN(3)), other
					}
					got := b.do(as, fmt.Sprintf("/?hostname=%s&myip=93.184.216.%d", hosts, random.IntN(250)+1)).String()
					if !strings.HasPrefix(got, "200 ") && !strings.HasPrefix(got, "503 ") {
						t.Errorf("answered %q", got)
					}
				})
			}
			each(3, func(*rand.Rand) { b.status().Health() })
			each(4, func(*rand.Rand) { b.scrape() })
			each(5, func(*rand.Rand) { b.admin(http.MethodPost, "check") })
			for n := range 10 {
				time.Sleep(5 * time.Second)
				b.load(b.zoneless(fmt.Sprintf(`"ttl": %d,`, time.Duration(n+60)*time.Second)))
			}
			close(over)
			running.Wait()
			time.Sleep(10 * time.Minute)
			b.update("hostname=home.example.com&myip="+addr3, "200 good "+addr3)
			b.expect(origin, "home", "A", addr3)
		})
	}
}
