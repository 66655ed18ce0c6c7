package natpmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/natpmp"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	router4, router6 = "192.168.1.1", "fe80::1%eth0"
	first4, second4  = "93.184.216.34", "93.184.216.35"
	first6           = "2606:4700::7"
)

// world is what the source asks.
type world struct {
	gateways   map[ipaddr.Family]string
	gatewayErr error
	local6     string
	says4      []string // used up in turn; the last one stays
	says6      string
	err4, err6 error
	asked4     []string
	asked6     int
}

func (w *world) source() *NATPMP {
	return &NATPMP{
		logger: zap.NewNop(),
		gateway: func(f ipaddr.Family) (addr netip.Addr, err error) {
			if s := w.gateways[f]; s != "" {
				addr = netip.MustParseAddr(s)
			}
			return addr, w.gatewayErr
		},
		local6: func([]netip.Addr) (addr netip.Addr) {
			if w.local6 != "" {
				addr = netip.MustParseAddr(w.local6)
			}
			return addr
		},
		external4: func(_ context.Context, router netip.Addr) (netip.Addr, error) {
			w.asked4 = append(w.asked4, router.String())
			if w.err4 != nil {
				return netip.Addr{}, w.err4
			}
			s := w.says4[0]
			if len(w.says4) > 1 {
				w.says4 = w.says4[1:]
			}
			return netip.MustParseAddr(s), nil
		},
		external6: func(context.Context, netip.Addr, netip.Addr) (netip.Addr, error) {
			w.asked6++
			if w.err6 != nil {
				return netip.Addr{}, w.err6
			}
			return netip.MustParseAddr(w.says6), nil
		},
	}
}

var (
	both  = map[ipaddr.Family]string{ipaddr.V4: router4, ipaddr.V6: router6}
	only4 = map[ipaddr.Family]string{ipaddr.V4: router4}
)

func TestGetIPs(t *testing.T) {
	silent := fmt.Errorf("the router %w", natpmp.ErrSilent)
	for _, tc := range []struct {
		name, configured string
		world            world
		families         ipsources.IPVersions
		known            string
		want, wantErr    string
		asked4           string
		asked6           int
		noFamily, soon   bool
	}{
		{name: "both", world: world{gateways: both, says4: []string{first4}, local6: first6, says6: first6}, want: first4 + " " + first6, asked4: router4, asked6: 1},
		{name: "IPv4 alone", families: sourcetest.Only(ipaddr.V4), world: world{gateways: both, says4: []string{first4}}, want: first4, asked4: router4},
		{name: "IPv6 alone", families: sourcetest.Only(ipaddr.V6), world: world{gateways: both, local6: first6, says6: first6}, want: first6, asked6: 1},
		{name: "IPv6 without PCP", families: sourcetest.Only(ipaddr.V6), world: world{gateways: both, local6: first6, err6: silent}, asked6: 1},
		{name: "IPv6 without address", families: sourcetest.Only(ipaddr.V6), world: world{gateways: both}},
		{name: "no IPv6 gateway", world: world{gateways: only4, says4: []string{first4}}, want: first4, asked4: router4},
		{name: "no gateway at all", wantErr: "no default gateway over IPv4", noFamily: true},
		{name: "routes that cannot be read", world: world{gatewayErr: errors.New("unsupported")}, wantErr: "write it like natpmp 192.168.1.1: unsupported"},
		{name: "IPv4 fails", world: world{gateways: both, err4: silent, local6: first6, says6: first6}, want: first6, wantErr: "does not answer", asked4: router4, asked6: 1},
		{name: "configured", configured: "192.168.0.1", world: world{gateways: both, says4: []string{first4}}, want: first4, asked4: "192.168.0.1"},
		{name: "configured over IPv6", configured: router6, world: world{local6: first6, says6: first6}, want: first6, asked6: 1},
		{name: "configured over IPv6, without PCP", configured: router6, world: world{local6: first6, err6: silent}, wantErr: "does not answer", asked6: 1},
		{name: "known", known: first4, world: world{gateways: only4, says4: []string{first4}}, want: first4, asked4: router4},
		{name: "a newcomer is confirmed", known: first4, world: world{gateways: only4, says4: []string{second4}}, want: second4, asked4: router4 + " " + router4 + " " + router4},
		{name: "the known one outranks", known: first4, world: world{gateways: only4, says4: []string{second4, first4}}, want: first4, asked4: router4 + " " + router4},
		{name: "wavering", known: first4, world: world{gateways: only4, says4: []string{second4, "93.184.216.36", second4, "93.184.216.36", second4, "93.184.216.36"}},
			wantErr: "does not stay with an answer", asked4: strings.TrimSpace(strings.Repeat(router4+" ", 6)), soon: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := tc.world.source()
			if tc.configured != "" {
				n.configured = netip.MustParseAddr(tc.configured)
			}
			settings := ipsources.IPSettings{IPVersions: tc.families, Accepts: func(addr netip.Addr) bool { return ipaddr.SpecialPurpose(addr) == "" }}
			if tc.known != "" {
				settings.Known = append(settings.Known, netip.MustParseAddr(tc.known))
			}
			ips, err := n.GetIPs(t.Context(), settings)
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
			if got := strings.Join(tc.world.asked4, " "); got != tc.asked4 || tc.world.asked6 != tc.asked6 {
				t.Errorf("asked %q over IPv4 and %d times over IPv6, want %q and %d", got, tc.world.asked6, tc.asked4, tc.asked6)
			}
			if _, ok := errors.AsType[*ipsources.NoFamilyError](err); ok != tc.noFamily {
				t.Errorf("the family is missing: %v", ok)
			}
			if _, ok := errors.AsType[*ipsources.SoonError](err); ok != tc.soon {
				t.Errorf("wants to be asked again soon: %v", ok)
			}
		})
	}
}

// TestSilentRouter: a router without PCP is not asked at every check.
func TestSilentRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{gateways: map[ipaddr.Family]string{ipaddr.V6: router6}, local6: first6, err6: natpmp.ErrSilent, says6: first6}
		n := w.source()
		get := func(want string, asked int) {
			t.Helper()
			ips, err := n.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
			sourcetest.CheckIPs(t, ips, err, want, "")
			if w.asked6 != asked {
				t.Errorf("asked %d times, want %d", w.asked6, asked)
			}
		}
		get("", 1)
		w.err6 = nil
		get("", 1)
		w.gateways[ipaddr.V6] = "fe80::2%eth0"
		get(first6, 2)
		w.gateways[ipaddr.V6] = router6
		time.Sleep(silence)
		get(first6, 3)

		// One that has answered before just starts again.
		w.err6 = natpmp.ErrSilent
		for range 3 {
			_, err := n.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
			sourcetest.CheckErr(t, "a router that restarts", err, "does not answer")
		}
		w.err6 = nil
		get(first6, 7)
	})
}

func TestChoose6(t *testing.T) {
	addr := func(s string) netmon.Addr {
		return netmon.Addr{Addr: netip.MustParseAddr(s), Preferred: netmon.Forever}
	}
	temporary, deprecated := addr("2606:4700::8"), addr("2606:4700::9")
	temporary.Temporary, deprecated.Deprecated = true, true
	unfit := []netmon.Addr{addr("93.184.216.34"), addr("fe80::7"), temporary, deprecated}
	for _, tc := range []struct {
		addrs []netmon.Addr
		known string
		want  string
	}{
		{addrs: unfit},
		{addrs: append(unfit, addr("2606:4700::7"), addr("2606:4700::a")), want: "2606:4700::7"},
		{addrs: append(unfit, addr("2606:4700::7"), addr("2606:4700::a")), known: "2606:4700::a", want: "2606:4700::a"},
		{addrs: append(unfit, addr("fd00::7"), addr("2606:4700::7")), want: "2606:4700::7"},
		{addrs: append(unfit, addr("fd00::7")), want: "fd00::7"},
	} {
		var known []netip.Addr
		if tc.known != "" {
			known = append(known, netip.MustParseAddr(tc.known))
		}
		if got := choose6(tc.addrs, known); got.IsValid() != (tc.want != "") || tc.want != "" && got.String() != tc.want {
			t.Errorf("of %v: got %v, want %q", tc.addrs, got, tc.want)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	for _, tc := range []struct{ input, want, wantErr string }{
		{input: "natpmp"},
		{input: "natpmp 192.168.1.1", want: "192.168.1.1"},
		{input: "natpmp fe80::1%eth0", want: "fe80::1%eth0"},
		{input: "natpmp {env.ROUTER}", want: "{env.ROUTER}"},
		{input: `natpmp ""`, wantErr: "the gateway is empty"},
		{input: "natpmp router.lan", wantErr: "is not an IP address; write it like natpmp 192.168.1.1"},
		{input: "natpmp 192.168.1.1:5351", wantErr: "is not an IP address"},
		{input: "natpmp 127.0.0.1", wantErr: "not an address that a router has"},
		{input: "natpmp 224.0.0.1", wantErr: "not an address that a router has"},
		{input: "natpmp fe80::1", wantErr: "write it like natpmp fe80::1%eth0"},
		{input: "natpmp 192.168.1.1 192.168.1.2", wantErr: `unexpected argument "192.168.1.2"`},
		{input: "natpmp {\n\ttimeout 5s\n}", wantErr: `unrecognized subdirective "timeout"`},
	} {
		t.Run(tc.input, func(t *testing.T) {
			n := new(NATPMP)
			err := n.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err == nil && n.Gateway != tc.want {
				t.Errorf("got gateway %q, want %q", n.Gateway, tc.want)
			}
		})
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("NATPMP_ROUTER", "192.168.1.1")
	t.Setenv("NATPMP_NAME", "router.lan")
	for _, tc := range []struct{ gateway, want, wantErr string }{
		{gateway: "{env.NATPMP_ROUTER}", want: "192.168.1.1"},
		{gateway: "{env.NATPMP_NAME}", wantErr: "is not an IP address"},
		{gateway: "{env.NATPMP_MISSING}", wantErr: "gateway: "},
	} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		n := &NATPMP{Gateway: tc.gateway}
		err := n.Provision(ctx)
		cancel()
		sourcetest.CheckErr(t, tc.gateway, err, tc.wantErr)
		if err == nil && n.configured.String() != tc.want {
			t.Errorf("%s: got %s", tc.gateway, n.configured)
		}
	}
}
