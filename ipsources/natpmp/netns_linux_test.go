package natpmp

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// own6 is the client's.
const own6 = "2606:4700:77::2"

// TestNATPMPInNamespace asks a real router, whose namespace it is told.
func TestNATPMPInNamespace(t *testing.T) {
	router, inside := lab.Inside()
	if !inside {
		router := lab.StartRouter(t, first4)
		client := lab.NewNS(t)
		router.Join(client, "lan", 2)
		client.IP("addr add "+own6+"/64 dev lan nodad", "route add default via "+lab.RouterLAN6+" dev lan")
		client.Rerun(t, router.NS.Name)
		return
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	source := new(NATPMP)
	if err := source.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	settings := ipsources.IPSettings{
		IPVersions: sourcetest.Only(ipaddr.V4),
		Accepts:    func(addr netip.Addr) bool { return ipaddr.SpecialPurpose(addr) == "" },
	}
	get := func() (string, error) {
		ips, err := source.GetIPs(t.Context(), settings)
		if len(ips) != 1 {
			return "", err
		}
		settings.Known = ips
		return ips[0].String(), err
	}
	lab.Eventually(t, 20*time.Second, "the router answers", func() bool {
		got, _ := get()
		return got == first4
	})

	// This router speaks PCP over IPv6, too.
	ips, err := source.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
	sourcetest.CheckIPs(t, ips, err, own6, "")

	var heard atomic.Int32
	goroutines := runtime.NumGoroutine()
	listening, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Notify(listening, func() { heard.Add(1) })
	}()
	// The socket opens a moment later.
	now := first4
	change := func(to string) {
		lab.IP(t, "addr del "+now+"/32 dev wan0\naddr add "+to+"/32 dev wan0\n", "-n", router)
		now = to
	}
	for i := 0; heard.Load() == 0 && i < 20; i++ {
		change([]string{second4, first4}[i%2])
		began := time.Now()
		for heard.Load() == 0 && time.Since(began) < time.Second {
			time.Sleep(time.Millisecond)
		}
		t.Logf("heard %d announcements within %v of the change", heard.Load(), time.Since(began))
		lab.Eventually(t, 20*time.Second, "the new address", func() bool {
			got, err := get()
			return got == now && err == nil
		})
	}
	if heard.Load() == 0 {
		t.Error("no announcement was heard")
	}
	stop()
	<-done
	lab.Eventually(t, 20*time.Second, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })

	change("10.64.0.2")
	lab.Eventually(t, 20*time.Second, "double NAT", func() bool {
		got, err := get()
		return got == "" && err != nil && strings.Contains(err.Error(), "with the address 10.64.0.2 (double NAT)")
	})
}
