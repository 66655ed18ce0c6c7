package simplehttp

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/internal/remote"
)

// TestInterface asks through each of two uplinks, of which the system's routes
// take the first. The service, which both lead to, sees another address each
// time.
func TestInterface(t *testing.T) {
	if _, inside := lab.Inside(); !inside {
		home, isp := lab.NewNS(t), lab.NewNS(t)
		for i := 1; i <= 2; i++ {
			lab.Link(home, fmt.Sprintf("wan%d", i), isp, fmt.Sprintf("isp%d", i))
			home.IP(fmt.Sprintf("addr add 93.184.%d.34/24 dev wan%d", 215+i, i), fmt.Sprintf("route add default via 93.184.%d.1 dev wan%d metric %d00", 215+i, i, i))
			isp.IP(fmt.Sprintf("addr add 93.184.%d.1/24 dev isp%d", 215+i, i))
			home.IP(fmt.Sprintf("addr add 2606:4700:%d::34/64 dev wan%d nodad", i, i), fmt.Sprintf("route add default via 2606:4700:%d::1 dev wan%d metric %d00", i, i, i))
			isp.IP(fmt.Sprintf("addr add 2606:4700:%d::1/64 dev isp%d nodad", i, i))
		}
		isp.IP("addr add 198.41.0.4/32 dev isp1", "addr add 2001:503:ba3e::2:30/128 dev isp1 nodad")
		for _, addr := range []string{"198.41.0.4:80", "[2001:503:ba3e::2:30]:80"} {
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host, _, _ := net.SplitHostPort(r.RemoteAddr)
				io.WriteString(w, host)
			})}
			go server.Serve(isp.Listen(addr))
			t.Cleanup(func() { server.Close() })
		}
		home.Rerun(t, "nothing")
		return
	}
	ask := func(name string, f ipaddr.Family) ([]netip.Addr, error) {
		s := SimpleHTTP{Endpoints: []string{"http://198.41.0.4", "http://[2001:503:ba3e::2:30]"}, Options: remote.Options{Interface: name, Quorum: 1}}
		if err := s.Provision(caddy.Context{Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		return s.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(f)})
	}
	for name, want := range map[string][ipaddr.Families]string{
		"":     {"93.184.216.34", "2606:4700:1::34"},
		"wan1": {"93.184.216.34", "2606:4700:1::34"},
		"wan2": {"93.184.217.34", "2606:4700:2::34"},
	} {
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			got, err := ask(name, f)
			sourcetest.CheckIPs(t, got, err, want[f], "")
		}
	}
	_, err := ask("tun0", ipaddr.V4)
	sourcetest.CheckErr(t, "missing", err, "IPv4: the interface tun0 does not exist (yet)")

	// The way that the system would take is gone, and the other one stays.
	lab.IP(t, "link set wan1 down\n")
	got, err := ask("wan2", ipaddr.V4)
	sourcetest.CheckIPs(t, got, err, "93.184.217.34", "")
}
