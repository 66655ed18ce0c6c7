package netinterface

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func TestNetInterfaceChoosesAddress(t *testing.T) {
	stable := func(ip string, preferred uint32) netmon.Addr {
		return netmon.Addr{Addr: netip.MustParseAddr(ip), Preferred: preferred}
	}
	permanent := func(ip string) netmon.Addr {
		return netmon.Addr{Addr: netip.MustParseAddr(ip), Permanent: true, Preferred: netmon.Forever}
	}
	with := func(a netmon.Addr, set func(*netmon.Addr)) netmon.Addr {
		set(&a)
		return a
	}
	at := func(created uint32, a netmon.Addr) netmon.Addr {
		return with(a, func(a *netmon.Addr) { a.Created = created })
	}
	unrouted := func(a netmon.Addr) netmon.Addr { return with(a, func(a *netmon.Addr) { a.Unrouted = true }) }
	notULA := func(ip netip.Addr) bool { return !ip.IsPrivate() }

	for _, tc := range []struct {
		name    string
		addrs   []netmon.Addr
		known   string
		accepts func(netip.Addr) bool
		want    string
		wantErr string
	}{
		{
			name:  "the lowest of equals",
			addrs: []netmon.Addr{permanent("2606:4700::2"), permanent("2606:4700::1"), permanent("2606:4700::3")},
			want:  "2606:4700::1",
		},
		{
			name:  "permanent before dynamic",
			addrs: []netmon.Addr{stable("2606:4700::1", netmon.Forever), permanent("2606:4700::2")},
			want:  "2606:4700::2",
		},
		{
			name: "permanent with a preferred lifetime before one that is dynamic for ever",
			addrs: []netmon.Addr{
				stable("2606:4700::1", netmon.Forever),
				with(permanent("2606:4700::2"), func(a *netmon.Addr) { a.Preferred = 100 }),
			},
			want: "2606:4700::2",
		},
		{
			name:  "the longest preferred lifetime",
			addrs: []netmon.Addr{stable("2606:4700::1", 1799), stable("2606:4700::2", 1800)},
			want:  "2606:4700::2",
		},
		{
			name:  "an address that is published stays while it is valid",
			addrs: []netmon.Addr{stable("2606:4700::1", 10), stable("2606:4700::2", 1800), permanent("2606:4700::3")},
			known: "2606:4700::1",
			want:  "2606:4700::1",
		},
		{
			name: "an address that is published goes when it is deprecated",
			addrs: []netmon.Addr{
				with(stable("2606:4700::1", 0), func(a *netmon.Addr) { a.Deprecated = true }),
				stable("2606:4700::2", 1800),
			},
			known: "2606:4700::1",
			want:  "2606:4700::2",
		},
		{
			name:  "a renumbered network",
			addrs: []netmon.Addr{at(100, stable("2606:4700:1::1", 1700)), at(900, stable("2606:4700:2::1", 1800))},
			known: "2606:4700:1::1",
			want:  "2606:4700:2::1",
		},
		{
			name:  "a renumbered network, when the clock of the system wraps around",
			addrs: []netmon.Addr{at(1<<32-100, stable("2606:4700:1::1", 1700)), at(900, stable("2606:4700:2::1", 1800))},
			known: "2606:4700:1::1",
			want:  "2606:4700:2::1",
		},
		{
			name:  "a second router whose addresses live longer has been there before",
			addrs: []netmon.Addr{at(900, stable("2606:4700:1::1", 1700)), at(100, stable("2606:4700:2::1", 1800))},
			known: "2606:4700:1::1",
			want:  "2606:4700:1::1",
		},
		{
			name:  "a second router whose addresses live no longer",
			addrs: []netmon.Addr{at(100, stable("2606:4700:1::1", 1800)), at(900, stable("2606:4700:2::1", 1800))},
			known: "2606:4700:1::1",
			want:  "2606:4700:1::1",
		},
		{
			name: "a newer address of another kind",
			addrs: []netmon.Addr{
				at(100, stable("2606:4700:1::1", 1700)), at(900, stable("fd00::1", 1800)),
				at(901, with(stable("2606:4700:2::1", 1800), func(a *netmon.Addr) { a.Temporary = true })),
			},
			known: "2606:4700:1::1",
			want:  "2606:4700:1::1",
		},
		{
			name: "a newer address that may not be published",
			addrs: []netmon.Addr{
				at(100, stable("2606:4700:1::1", 1700)), at(900, permanent("2606:4700:bad::1")),
			},
			known:   "2606:4700:1::1",
			accepts: func(ip netip.Addr) bool { return ip != netip.MustParseAddr("2606:4700:bad::1") },
			want:    "2606:4700:1::1",
		},
		{
			name:  "a prefix that has no route any more",
			addrs: []netmon.Addr{unrouted(at(900, stable("2606:4700:1::1", 1800))), at(100, stable("2606:4700:2::1", 1700))},
			known: "2606:4700:1::1",
			want:  "2606:4700:2::1",
		},
		{
			name:  "a newer one without a route",
			addrs: []netmon.Addr{at(100, stable("2606:4700:1::1", 1700)), unrouted(at(900, stable("2606:4700:2::1", 1800)))},
			known: "2606:4700:1::1",
			want:  "2606:4700:1::1",
		},
		{
			name:  "no prefix has a route",
			addrs: []netmon.Addr{unrouted(at(100, stable("2606:4700:1::1", 1800))), unrouted(at(900, stable("2606:4700:2::1", 1700)))},
			known: "2606:4700:1::1",
			want:  "2606:4700:1::1",
		},
		{
			name:  "an address that is published goes when the interface has it no more",
			addrs: []netmon.Addr{stable("2606:4700::2", 1800)},
			known: "2606:4700::1",
			want:  "2606:4700::2",
		},
		{
			name:    "an address that may be published before a published one that may not",
			addrs:   []netmon.Addr{permanent("fd00::1"), stable("2606:4700::2", 10)},
			known:   "fd00::1",
			accepts: notULA,
			want:    "2606:4700::2",
		},
		{
			name:    "the best of those that may not be published where there is no other",
			addrs:   []netmon.Addr{stable("fd00::1", 10), permanent("fd00::2")},
			accepts: notULA,
			want:    "fd00::2",
		},
		{
			name: "no address that cannot be relied upon",
			addrs: []netmon.Addr{
				with(permanent("2606:4700::1"), func(a *netmon.Addr) { a.Temporary = true }),
				with(permanent("2606:4700::2"), func(a *netmon.Addr) { a.Deprecated = true }),
				with(permanent("2606:4700::3"), func(a *netmon.Addr) { a.Tentative = true }),
				with(permanent("2606:4700::4"), func(a *netmon.Addr) { a.Tentative, a.Duplicate = true, true }),
			},
			known: "2606:4700::1",
			wantErr: "interface wan0 has no usable ipv6 address: 2606:4700::1 is temporary, 2606:4700::2 is deprecated, " +
				"2606:4700::3 is tentative, 2606:4700::4 is in use by another host",
		},
		{
			name:    "link-local addresses are none",
			addrs:   []netmon.Addr{permanent("fe80::1")},
			wantErr: "interface wan0 has no ipv6 address",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &NetInterface{name: "wan0", addrs: func(string) ([]netmon.Addr, error) { return slices.Clone(tc.addrs), nil }}
			settings := ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6), Accepts: tc.accepts}
			if tc.known != "" {
				settings.Known = []netip.Addr{netip.MustParseAddr(tc.known)}
			}
			// The order in which the system lists addresses means nothing.
			for range 2 {
				ips, err := n.GetIPs(t.Context(), settings)
				sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
				slices.Reverse(tc.addrs)
				if tc.wantErr != "" {
					break
				}
			}
		})
	}
}

func TestNetInterfaceFamilies(t *testing.T) {
	ipv4 := netmon.Addr{Addr: netip.MustParseAddr("203.0.113.7"), Permanent: true, Preferred: netmon.Forever}
	ipv6 := netmon.Addr{Addr: netip.MustParseAddr("2606:4700::1"), Permanent: true, Preferred: netmon.Forever}

	for _, tc := range []struct {
		name     string
		source   string
		versions ipsources.IPVersions
		routes   map[ipaddr.Family]string
		links    map[string][]netmon.Addr
		want     string
		wantErr  string
	}{
		{
			name:   "each family from its own default route",
			routes: map[ipaddr.Family]string{ipaddr.V4: "wan0", ipaddr.V6: "tun0"},
			links:  map[string][]netmon.Addr{"wan0": {ipv4}, "tun0": {ipv6}},
			want:   "203.0.113.7 2606:4700::1",
		},
		{
			name:   "a machine without IPv6",
			routes: map[ipaddr.Family]string{ipaddr.V4: "wan0"},
			links:  map[string][]netmon.Addr{"wan0": {ipv4}},
			want:   "203.0.113.7",
		},
		{
			name:   "a named interface without IPv6",
			source: "wan0",
			links:  map[string][]netmon.Addr{"wan0": {ipv4}},
			want:   "203.0.113.7",
		},
		{
			name:     "only what is asked for",
			source:   "wan0",
			versions: sourcetest.Only(ipaddr.V4),
			links:    map[string][]netmon.Addr{"wan0": {ipv4, ipv6}},
			want:     "203.0.113.7",
		},
		{
			name:   "one family's defect does not hide the other",
			source: "wan0",
			links: map[string][]netmon.Addr{"wan0": {
				ipv4, {Addr: ipv6.Addr, Preferred: 0},
			}},
			want:    "203.0.113.7",
			wantErr: "interface wan0 has no usable ipv6 address: 2606:4700::1 is deprecated",
		},
		{
			name:    "offline",
			wantErr: "there is no default route for ipv4\nthere is no default route for ipv6",
		},
		{
			name:    "an interface that does not exist",
			source:  "ppp0",
			wantErr: "reading the addresses of interface ppp0: no such interface",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &NetInterface{
				name:         tc.source,
				defaultRoute: func(f ipaddr.Family) (string, error) { return tc.routes[f], nil },
				addrs: func(name string) ([]netmon.Addr, error) {
					addrs, ok := tc.links[name]
					if !ok {
						return nil, errors.New("no such interface")
					}
					return slices.Clone(addrs), nil
				},
			}
			ips, err := n.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: tc.versions})
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
		})
	}
}

func TestNetInterfaceProvision(t *testing.T) {
	t.Setenv("WAN_INTERFACE", "wan0")
	n := &NetInterface{Name: "{env.WAN_INTERFACE}"}
	if err := n.Provision(caddy.Context{}); err != nil || n.name != "wan0" {
		t.Errorf("got name %q, error %v; want wan0", n.name, err)
	}
	n = &NetInterface{Name: "{env.NO_SUCH_VARIABLE}"}
	if err := n.Provision(caddy.Context{}); err == nil {
		t.Error("a placeholder without a value is accepted")
	}
	n = &NetInterface{Name: "no-such-link"}
	if err := n.Provision(caddy.Context{}); err != nil {
		t.Errorf("an interface that does not exist is an error at load: %v", err)
	}
	if _, err := n.GetIPs(t.Context(), ipsources.IPSettings{}); err == nil || !strings.Contains(err.Error(), "no-such-link") {
		t.Errorf("got error %v at the check; want one that names the interface", err)
	}
}

func TestNetInterfaceForetell(t *testing.T) {
	n := &NetInterface{
		name: "wg0",
		addrs: func(string) ([]netmon.Addr, error) {
			var addrs []netmon.Addr
			for _, s := range []string{"10.8.0.2", "fe80::1", "169.254.1.1", "fd00::2"} {
				addrs = append(addrs, netmon.Addr{Addr: netip.MustParseAddr(s)})
			}
			return addrs, nil
		},
		defaultRoute: func(f ipaddr.Family) (string, error) {
			if f == ipaddr.V6 {
				return "", errors.New("no route")
			}
			return "eth0", nil
		},
	}
	for name, want := range map[string]string{
		"wg0":        "[10.8.0.2/32 fd00::2/128]",
		"":           "[10.8.0.2/32]",
		"tailscale0": "[100.64.0.0/10 fd7a:115c:a1e0::/48]",
	} {
		n.name = name
		if got := fmt.Sprint(n.Foretell()); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	n.name = "gone"
	n.addrs = func(string) ([]netmon.Addr, error) { return nil, errors.New("no such interface") }
	if got := n.Foretell(); got != nil {
		t.Errorf("got %v of an interface that does not exist", got)
	}
	if err := (&NetInterface{Name: "wan0,wan1"}).Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), "takes one name") {
		t.Errorf("two names in one: got error %v", err)
	}
}

func TestNetInterfaceCaddyfile(t *testing.T) {
	for _, tc := range []struct{ input, want, wantErr string }{
		{input: "interface"},
		{input: "interface wan0", want: "wan0"},
		{input: `interface ""`, wantErr: "the interface name is empty"},
		{input: "interface wan0 wan1", wantErr: `unexpected argument "wan1"`},
		{input: "interface wan0 {\n\tprefer temporary\n}", wantErr: `unrecognized subdirective "prefer"`},
	} {
		t.Run(tc.input, func(t *testing.T) {
			n := new(NetInterface)
			err := n.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err == nil && n.Name != tc.want {
				t.Errorf("got name %q, want %q", n.Name, tc.want)
			}
		})
	}
}

func TestNetInterfacePrefix(t *testing.T) {
	for _, tc := range []struct {
		addr string
		want netip.Prefix
	}{
		{"2606:4700::1/64", netip.MustParsePrefix("2606:4700::/64")},
		{"2606:4700:0:ff::1/56", netip.MustParsePrefix("2606:4700::/56")},
		// DHCPv6 gives an address and no prefix.
		{"2606:4700::1/128", netip.Prefix{}},
		{"203.0.113.7/24", netip.Prefix{}},
		{"fe80::1/64", netip.Prefix{}},
	} {
		addr := netip.MustParsePrefix(tc.addr)
		n := &NetInterface{name: "lan0", addrs: func(string) ([]netmon.Addr, error) {
			return []netmon.Addr{{Addr: addr.Addr(), Bits: addr.Bits(), Permanent: true, Preferred: netmon.Forever}}, nil
		}}
		prefix, err := n.Prefix(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
		if prefix != tc.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", tc.addr, prefix, err, tc.want)
		}
	}
}
