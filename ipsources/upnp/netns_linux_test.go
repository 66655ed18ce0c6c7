package upnp

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// TestUPnPInNamespace asks a real router, whose namespace it is told, while a
// rogue answers faster.
func TestUPnPInNamespace(t *testing.T) {
	router, inside := lab.Inside()
	if !inside {
		for version, options := range map[string][]string{"IGD 2": nil, "IGD 1": {"force_igd_desc_v1=yes"}} {
			t.Run(version, func(t *testing.T) {
				router := lab.StartRouter(t, "93.184.216.34", options...)
				rogue := lab.StartRogue(t, router)
				client := lab.NewNS(t)
				router.Join(client, "lan", 2)
				client.Rerun(t, router.NS.Name)
				if rogue.Answered() == 0 {
					t.Error("the rogue was not searched, so it proves nothing")
				}
			})
		}
		return
	}
	settings := ipsources.IPSettings{Accepts: func(ip netip.Addr) bool { return !ip.IsPrivate() }}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	source := new(UPnP)
	if err := source.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	get := func() (string, error) {
		ips, err := source.GetIPs(t.Context(), settings)
		if len(ips) != 1 {
			return "", err
		}
		if ips[0].String() == lab.RogueAddr {
			t.Fatal("the rogue is believed")
		}
		settings.Known = ips
		return ips[0].String(), err
	}

	lab.Eventually(t, 20*time.Second, "the router is found", func() bool {
		began := time.Now()
		got, err := get()
		t.Logf("got %q, error %v after %v", got, err, time.Since(began))
		return got == "93.184.216.34"
	})
	began := time.Now()
	if got, err := get(); got != "93.184.216.34" || err != nil {
		t.Errorf("got %q, error %v from the router that was found", got, err)
	}
	t.Logf("asked again, it answered after %v", time.Since(began))

	goroutines := runtime.NumGoroutine()
	notified := make(chan struct{}, 100)
	listening, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Notify(listening, func() { notified <- struct{}{} })
	}()
	now := "93.184.216.34"
	change := func(to string) {
		lab.IP(t, "addr del "+now+"/32 dev wan0\naddr add "+to+"/32 dev wan0\n", "-n", router)
		now = to
	}
	// The subscription is there a moment later.
	heard := false
	for i := 0; i < 20 && !heard; i++ {
		began := time.Now()
		change([]string{"93.184.216.99", "93.184.216.34"}[i%2])
		select {
		case <-notified:
			heard = true
			t.Logf("notified %v after the change", time.Since(began))
		case <-time.After(time.Second):
		}
		lab.Eventually(t, 20*time.Second, "the new external address", func() bool {
			got, err := get()
			return got == now && err == nil
		})
	}
	if !heard {
		t.Error("the router has notified of nothing")
	}
	stop()
	<-done
	lab.Eventually(t, 20*time.Second, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })

	change("10.64.0.2")
	lab.Eventually(t, 20*time.Second, "double NAT", func() bool {
		_, err := get()
		return errors.Is(err, igd.ErrNoAddress) && strings.Contains(err.Error(), "the router itself is behind NAT")
	})
}
