//go:build linux

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// While an interface flaps, nobody outside is asked more often than 12 times a
// minute, and soon after the last change what is true is in DNS.
func TestStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	h, echoes := newHomeWithISP(t, "example.test", "198.41.0.4")
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.followEchoes(app, echoes...)
	h.start(app, lab.Trust(echoes...))
	h.expect(soon, "www.example.test", "A", first4)

	before, begin := echoes[0].Asked(), time.Now()
	flaps := 0
	for time.Since(begin) < 20*time.Second {
		addr := fmt.Sprintf("151.101.1.%d/32", flaps%200+1)
		h.ns.IP("addr add "+addr+" dev wan0", "addr del "+addr+" dev wan0")
		flaps++
	}
	minutes := 1 + int(time.Since(begin)/time.Minute)
	h.ns.IP("addr del "+first4+"/32 dev wan0", "addr add "+second4+"/32 dev wan0", "route add default dev wan0")
	end := time.Now()
	asked := echoes[0].Asked() - before
	h.expect(3*soon, "www.example.test", "A", second4)
	t.Logf("asked %d times while an address came and went %d times in %v; the truth was in DNS %v after that",
		asked, flaps, end.Sub(begin).Round(time.Second), time.Since(end).Round(100*time.Millisecond))
	if asked > 12*minutes {
		t.Errorf("asked %d times", asked)
	}
	if asked == 0 {
		t.Error("the storm was not noticed")
	}
}
