package dynamicdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

func init() { caddy.RegisterModule(new(boxSource)) }

// boxSource is an IP source that knows a prefix and no address.
type boxSource struct{}

// box is what all of them know.
var box struct {
	mu     sync.Mutex
	prefix netip.Prefix
	err    error
}

func boxKnows(prefix string, err error) {
	box.mu.Lock()
	defer box.mu.Unlock()
	box.prefix, box.err = netip.Prefix{}, err
	if err == nil {
		box.prefix = netip.MustParsePrefix(prefix)
	}
}

func (*boxSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns.ip_sources.box", New: func() caddy.Module { return new(boxSource) }}
}

func (*boxSource) GetIPs(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
	return nil, nil
}

func (*boxSource) Prefix(context.Context, ipsources.IPSettings) (netip.Prefix, error) {
	box.mu.Lock()
	defer box.mu.Unlock()
	return box.prefix, box.err
}

// devicesConfig is a configuration with devices and further members.
func devicesConfig(provider, devices, more string) string {
	return fmt.Sprintf(`{
		"ip_sources": [{"source": "fake"}],
		"dns_provider": {"name": %q, "token": %q},
		"devices": {"example.com": %s},
		"watch": false%s
	}`, provider, standin.Token, devices, more)
}

// published returns the AAAA records of the zone, as "name address" each.
func published(z *standin.Zones) string {
	var all []string
	for _, rr := range z.Snapshot(zoneName) {
		if rr.Type == "AAAA" {
			all = append(all, rr.Name+" "+rr.Data)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestDevicesFollow: whatever the prefix comes from, a new one reaches all
// machines and this one in a single write.
func TestDevicesFollow(t *testing.T) {
	const (
		devices = `{"nas": ["::15", "00:1b:21:3c:4d:5e"], "tv": ["::16"]}`
		www     = `, "domains": {"example.com": ["www"]}`
	)
	for _, tc := range []struct {
		name, devices, more string
		change              func(l *lab, n int)
		want                string // with % for the number of the prefix
	}{
		{
			name: "address", devices: devices, more: www,
			change: func(l *lab, n int) { l.address(addr1, fmt.Sprintf("2606:2800:220:%d::1", n)) },
			want:   "nas 2606:2800:220:%:21b:21ff:fe3c:4d5e, nas 2606:2800:220:%::15, tv 2606:2800:220:%::16, www 2606:2800:220:%::1",
		},
		{
			name: "devices alone", devices: devices,
			change: func(l *lab, n int) { l.address(addr1, fmt.Sprintf("2606:2800:220:%d::1", n)) },
			want:   "nas 2606:2800:220:%:21b:21ff:fe3c:4d5e, nas 2606:2800:220:%::15, tv 2606:2800:220:%::16",
		},
		{
			name: "subnets", devices: `{"nas": ["0:0:0:2::15"], "tv": ["::16"]}`, more: `, "prefix_length": 56` + www,
			change: func(l *lab, n int) { l.address(addr1, fmt.Sprintf("2606:2800:220:%dff::1", n)) },
			want:   "nas 2606:2800:220:%02::15, tv 2606:2800:220:%00::16, www 2606:2800:220:%ff::1",
		},
		{
			name: "two addresses in two networks", devices: `{"tv": ["::16"]}`,
			change: func(l *lab, n int) {
				l.address(fmt.Sprintf("2606:2800:220:%d::1", n), fmt.Sprintf("2606:2800:220:%d::2", n), fmt.Sprintf("2606:2800:221:%d::1", n))
			},
			want: "tv 2606:2800:220:%::16, tv 2606:2800:221:%::16",
		},
		{
			name: "a prefix that a source knows", devices: devices, more: www + `, "ip_sources": [{"source": "box"}, {"source": "fake"}]`,
			change: func(l *lab, n int) {
				l.address(addr1, fmt.Sprintf("2606:4700::%d", n))
				boxKnows(fmt.Sprintf("2606:2800:220:%d00::/56", n), nil)
			},
			want: "nas 2606:2800:220:%00:21b:21ff:fe3c:4d5e, nas 2606:2800:220:%00::15, tv 2606:2800:220:%00::16, www 2606:4700::%",
		},
		{
			name: "a prefix that is longer than the ID leaves", devices: `{"nas": ["0:0:0:2::15"]}`, more: `, "prefix_length": 56, "ip_sources": [{"source": "box"}]`,
			change: func(_ *lab, n int) { boxKnows(fmt.Sprintf("2606:2800:220:%dff::/64", n), nil) },
			want:   "nas 2606:2800:220:%02::15",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				tc.change(l, 1)
				config := strings.Replace(devicesConfig(z.Register(), tc.devices, tc.more), `"ip_sources": [{"source": "fake"}],`, "", strings.Count(tc.more, "ip_sources"))
				if !strings.Contains(config, "ip_sources") {
					l.t.Fatal("no sources")
				}
				l.load(config)
				for n := 1; n < 5; n++ {
					tc.change(l, n)
					z.Forget()
					l.wait(6 * time.Minute)
					if got, want := published(z), strings.ReplaceAll(tc.want, "%", fmt.Sprint(n)); got != want {
						l.t.Fatalf("published %s, want %s", got, want)
					}
					if writes := z.Count("", "") - z.Count(standin.Get, ""); n > 1 && writes != 1 {
						t.Errorf("%d calls to write: %v", writes, z.Calls())
					}
				}
				if problems := l.logged("warn", ""); len(problems) > 0 {
					t.Errorf("logged %v", problems)
				}
			})
		})
	}
}

// TestDevicesOfTwoGroups share a question to the sources.
func TestDevicesOfTwoGroups(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		name := z.Register()
		l.address(addr1, addr6)
		l.load(devicesConfig(name, `{"nas": ["::15"]}`,
			`, "providers": [{"domains": {"example.com": ["www"]}}, {"devices": {"example.com": {"tv": ["0:0:0:1::16"]}}, "prefix_length": 48}]`))
		l.wait(time.Second)
		if got, want := published(z), "nas 2606:2800:220:1::15, tv 2606:2800:220:1::16, www "+addr6; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if n := l.timesAsked(); n != 2 {
			t.Errorf("%d questions for two families", n)
		}
	})
}

// TestDevicesNeedNoAddress: machines whose prefix is known lack nothing.
func TestDevicesNeedNoAddress(t *testing.T) {
	for name, source := range map[string]string{
		"static": `{"source": "static", "ips": ["2001:db8:1:2::/64"]}`,
		"known":  `{"source": "box"}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				boxKnows("2606:2800:220::/48", nil)
				z := standin.New(standin.Character{}, zoneName)
				l.load(strings.Replace(devicesConfig(z.Register(), `{"tv": ["::16"]}`, ""), `{"source": "fake"}`, source, 1))
				l.wait(time.Hour)
				want := map[string]string{"static": "tv 2001:db8:1:2::16", "known": "tv 2606:2800:220::16"}[name]
				if got := published(z); got != want {
					t.Errorf("published %s, want %s", got, want)
				}
				if problems := l.logged("warn", ""); len(problems) > 0 {
					t.Errorf("logged %v", problems)
				}
				if code, body := l.ask(http.MethodGet, "health"); code != http.StatusOK {
					t.Errorf("health: %s", body)
				}
			})
		})
	}
}

// TestPrefixWithoutIPv6: a machine that has no IPv6 itself is well, and keeps the
// records of those in its network that have.
func TestPrefixWithoutIPv6(t *testing.T) {
	bubble(t, func(l *lab) {
		boxKnows("2606:2800:220::/48", nil)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := devicesConfig(z.Register(), `{"tv": ["::16"]}`, `, "domains": {"example.com": ["www"]}`)
		config = strings.Replace(config, `{"source": "fake"}`, `{"source": "box"}, {"source": "fake"}`, 1)
		l.load(config)
		l.wait(time.Hour)
		expect := func(healthy int, loss string) {
			t.Helper()
			if got, want := published(z), "tv 2606:2800:220::16"; got != want {
				t.Errorf("published %s, want %s", got, want)
			}
			if code, body := l.ask(http.MethodGet, "health"); code != healthy || !strings.Contains(body, loss) {
				t.Errorf("health: %d %s", code, body)
			}
		}
		expect(http.StatusOK, "")
		if problems := l.logged("warn", ""); len(problems) > 0 {
			t.Errorf("logged %v", problems)
		}
		boxKnows("", errors.New("the box is off"))
		l.wait(time.Hour)
		expect(http.StatusServiceUnavailable, "the box is off")
		if lines := l.logged("warn", "IPv6 prefix unknown; leaving the records of devices as they are"); len(lines) != 1 {
			t.Errorf("logged %v", l.logged("warn", ""))
		}
		boxKnows("2606:2800:220::/48", nil)
		l.wait(time.Hour)
		expect(http.StatusOK, "")
	})
}

// TestStaticPrefixIsNoAddress: names of this machine are not taken for one of
// the prefix, and the status says what to do.
func TestStaticPrefixIsNoAddress(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		config := devicesConfig(z.Register(), `{"tv": ["::16"]}`, `, "domains": {"example.com": ["www"]}`)
		l.load(strings.Replace(config, `{"source": "fake"}`, `{"source": "static", "ips": ["2001:db8:1:2::/64", "93.184.216.34"]}`, 1))
		l.wait(time.Hour)
		if got, want := published(z), "tv 2001:db8:1:2::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		_, body := l.ask(http.MethodGet, "status")
		if want := "the prefix 2001:db8:1:2::/64 is for devices; write this machine's own IPv6 address too"; !strings.Contains(body, want) {
			t.Errorf("no word of %q in %s", want, body)
		}
	})
}

func TestDevicesWhosePrefixIsLost(t *testing.T) {
	bubble(t, func(l *lab) {
		boxKnows("2606:2800:220::/48", nil)
		z := standin.New(standin.Character{}, zoneName)
		l.load(strings.Replace(devicesConfig(z.Register(), `{"tv": ["::16"]}`, ""), "fake", "box", 1))
		l.wait(time.Hour)
		boxKnows("", errors.New("the box is off"))
		l.wait(24 * time.Hour)
		if got, want := published(z), "tv 2606:2800:220::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if lines := l.logged("warn", "the box is off"); len(lines) == 0 {
			t.Error("nothing is logged")
		}
		_, body := l.ask(http.MethodGet, "status")
		var shown status.Status
		decodeJSON(t, body, &shown)
		if shown.InSync != nil || !strings.HasPrefix(shown.Reason, "no IPv6 prefix has been found for ") {
			t.Errorf("in sync: %v: %s", shown.InSync, shown.Reason)
		}
		if code, body := l.ask(http.MethodGet, "health"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the box is off") {
			t.Errorf("health: %d %s", code, body)
		}
	})
}

// TestDevicesPassTheFilter: what may not be published of a device stays as it
// is, and status and log say why.
func TestDevicesPassTheFilter(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		name := z.Register()
		l.load(devicesConfig(name, `{"nas": ["::15"], "tv": ["::16", "::17"]}`, `, "exclude": ["2606:2800:220:1::15/128", "2606:2800:220:1::17/128"]`))
		l.wait(time.Hour)
		if got, want := published(z), "tv 2606:2800:220:1::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		const reason = "2606:2800:220:1::15 may not be published: excluded by 2606:2800:220:1::15/128"
		if lines := l.logged("warn", reason); len(lines) != 1 || lines[0]["name"] != "nas" {
			t.Errorf("logged %v", lines)
		}
		for _, what := range []string{"status", "plan"} {
			z.Put(zoneName, record("nas", "AAAA", "2606:2800:220:1::15"))
			l.ask(http.MethodPost, "check")
			if _, body := l.ask(http.MethodGet, what); !strings.Contains(body, reason) {
				t.Errorf("%s says no word of the reason: %s", what, body)
			}
		}
		l.address(addr1, "fd00::1")
		l.wait(time.Hour)
		if got := published(z); strings.Contains(got, "fd00") {
			t.Errorf("published %s", got)
		}
	})
}

// TestPrefixIsShorterThanWritten: where the provider delegates less than the
// prefix_length says, what is beside the prefix is other people's network.
func TestPrefixIsShorterThanWritten(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		boxKnows("2606:2800:220:1120::/59", nil)
		l.load(fmt.Sprintf(`{
			"ip_sources": [{"source": "box"}], "dns_provider": {"name": %q}, "prefix_length": 56, "watch": false,
			"devices": {"example.com": {"nas": ["0:0:0:2::15"], "tv": ["0:0:0:22::16"]}}
		}`, z.Register()))
		l.wait(time.Hour)
		if got, want := published(z), "tv 2606:2800:220:1122::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		const reason = "2606:2800:220:1102::15 is not in the prefix 2606:2800:220:1120::/59 that this network has; write prefix_length 59 or more"
		if lines := l.logged("warn", reason); len(lines) != 1 || lines[0]["name"] != "nas" {
			t.Errorf("logged %v", lines)
		}
		boxKnows("2606:2800:220:1200::/56", nil)
		l.wait(time.Hour)
		if got, want := published(z), "nas 2606:2800:220:1202::15, tv 2606:2800:220:1222::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// TestFirstDeviceOfAReload is not kept waiting for the next check.
func TestFirstDeviceOfAReload(t *testing.T) {
	bubble(t, func(l *lab) {
		boxKnows("2606:2800:221::/48", nil)
		z := standin.New(standin.Character{}, zoneName)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		config = strings.Replace(config, `{"source": "fake"}`, `{"source": "box"}, {"source": "fake"}`, 1)
		l.address(addr1, addr6)
		l.load(config)
		l.wait(time.Minute)
		config = strings.Replace(config, "{", `{"devices": {"example.com": {"tv": ["::16"]}},`, 1)
		l.load(config)
		l.wait(time.Second)
		if got, want := published(z), "tv 2606:2800:221::16, www "+addr6; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		asked, calls := l.timesAsked(), z.Count("", "")
		for range 10 {
			l.load(config)
			l.wait(time.Second)
		}
		if l.timesAsked() != asked || z.Count("", "") != calls {
			t.Errorf("reloads cost %d questions and %d calls", l.timesAsked()-asked, z.Count("", "")-calls)
		}
	})
}

// TestDeviceIsASite: a site's host that is a device's name has the machine's
// AAAA record, and this one's A record.
func TestDeviceIsASite(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		config := devicesConfig(z.Register(), `{"tv": ["::16"]}`, `, "domains": {"example.com": []}, "dynamic_domains": true`)
		if err := l.tryLoad(config, httpApp(t, "tv.example.com, www.example.com {\n\trespond ok\n}\n")); err != nil {
			t.Fatal(err)
		}
		l.wait(time.Minute)
		if got, want := published(z), "tv 2606:2800:220:1::16, www "+addr6; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if got := z.Values(zoneName, "tv", "A"); !slices.Equal(got, []string{addr1}) {
			t.Errorf("tv has the A records %v", got)
		}
	})
}

func TestDevicesRefusedAtLoad(t *testing.T) {
	t.Setenv("WRONG_ID", "::")
	provider := standin.New(standin.Character{}, zoneName).Register()
	for _, tc := range []struct{ devices, more, want string }{
		{`{"nas": []}`, ``, `devices["example.com"]["nas"]: there is no host id; write`},
		{`{}`, ``, `devices["example.com"]: the zone has no devices; write a name`},
		{`{"nas": ["::"]}`, ``, `["nas"]: host id "::": this is zero`},
		{`{"nas": ["{env.WRONG_ID}"]}`, ``, `["nas"]: {env.WRONG_ID}: host id "::": this is zero`},
		{`{"nas": ["{env.NO_SUCH_ID}"]}`, ``, `["nas"]: the environment variable NO_SUCH_ID is not set`},
		{`{"nas": ["0:0:0:2::15"]}`, ``, `write a prefix_length of 62 or less, or an ID such as ::15`},
		{`{"nas": ["::21b:21ff:fe3c:4d5e", "00:1b:21:3c:4d:5e"]}`, ``, `this is ::21b:21ff:fe3c:4d5e, which is given already; leave one of them out`},
		{`{"nas": ["::15"], "NAS": ["::16"]}`, ``, `the device "nas" of the zone "example.com" is listed twice`},
		{`{"nas.example.com": ["::15"]}`, ``, `names are relative to their zone: write "nas"`},
		{`{"nas": ["::15"]}`, `, "prefix_length": 128`, `prefix_length: 128 is no length of an IPv6 prefix that machines share; write one from 1 to 127`},
		{`{"nas": ["::15"]}`, `, "prefix_length": -1`, `prefix_length: -1 is no length`},
		{`{"nas": ["::15"]}`, `, "prefix_length": "64"`, `prefix_length: this is a string; write a whole number`},
		{`{"nas": ["::15"]}`, `, "versions": {"ipv6": false}`, `devices have AAAA records alone, and IPv6 is off; write`},
		{`{"nas": ["::15"]}`, `, "domains": {"example.com": ["nas"]}`, `the name "nas.example.com" is managed twice: in domains under zone "example.com" and in devices under zone "example.com"`},
		{`{"nas": ["::15"]}`, `, "providers": [{"domains": {"example.com": ["nas"]}, "versions": {"ipv4": false}}]`, `in providers[0].domains under zone "example.com" and in devices under zone "example.com"`},
		{`{"nas": ["::15"]}`, `, "providers": [{"devices": {"example.com": {"nas": ["::15"]}}}]`, `in devices under zone "example.com" and in providers[0].devices under zone "example.com"`},
		{`{"nas": ["::15"]}`, `, "providers": [{"domains": {"example.com": ["www"]}, "prefix_length": 56}]`, `providers[0].prefix_length: this is for devices, of which there are none`},
		{`{"nas.a": ["::15"]}`, `, "providers": [{"devices": {"a.example.com": {"nas": ["::15"]}}}]`, `"nas.a.example.com" is managed twice`},
	} {
		bubble(t, func(l *lab) {
			err := l.tryLoad(devicesConfig(provider, tc.devices, tc.more))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s%s: got error %v, want one with %q", tc.devices, tc.more, err, tc.want)
			}
		})
	}
	bubble(t, func(l *lab) {
		err := l.tryLoad(strings.Replace(appConfig(provider, `{"example.com": ["www"]}`), "{", `{"prefix_length": 56,`, 1))
		if want := "prefix_length: this is for devices, of which there are none; write `devices` too, or leave prefix_length out"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	})
	const blocks = `{
	dynamic_dns {
		provider cf_fake
		domains {
			example.com www nas
		}
	}
	dynamic_dns {
		devices {
			example.com nas ::15
		}
	}
}`
	bubble(t, func(l *lab) {
		err := l.tryLoad(string(adapted(t, blocks)["dynamic_dns"]))
		if want := `the name "nas.example.com" is managed twice: in the zone "example.com" at Caddyfile:5 and in the zone "example.com" at Caddyfile:10; leave it in one of them`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	})
	// Where the families differ, one name may be both.
	bubble(t, func(l *lab) {
		l.load(devicesConfig(provider, `{"nas": ["::15"]}`, `, "providers": [{"domains": {"example.com": ["nas"]}, "versions": {"ipv6": false}}]`))
	})
}

// TestDevicesInPlan: a dry run knows of devices.
func TestDevicesInPlan(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		l.load(devicesConfig(z.Register(), `{"nas": ["::15"]}`, `, "domains": {"example.com": ["www"]}`))
		l.wait(time.Minute)
		z.Put(zoneName, record("nas", "AAAA", "2606:2800:220:1::99"))
		_, body := l.ask(http.MethodGet, "plan")
		var shown status.Plan
		if err := json.Unmarshal([]byte(body), &shown); err != nil {
			t.Fatal(err)
		}
		if len(shown.Zones) != 1 || len(shown.Zones[0].Changes) != 1 || shown.Zones[0].Changes[0].To.String() != "2606:2800:220:1::15" {
			t.Errorf("plan: %s", body)
		}
	})
}

// TestDevicesInCluster: instances in one network agree on its machines.
func TestDevicesInCluster(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1, addr6)
		l.load(devicesConfig(z.Register(), `{"nas": ["::15"], "tv": ["::16"]}`, `, "cluster": {"name": "b"}`))
		l.wait(time.Minute)
		if got, want := published(z), "nas 2606:2800:220:1::15, tv 2606:2800:220:1::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		l.address(addr1, "2606:2800:220:2::1")
		z.Forget()
		l.wait(6 * time.Minute)
		if got, want := published(z), "nas 2606:2800:220:2::15, tv 2606:2800:220:2::16"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if writes := z.Count("", "") - z.Count(standin.Get, ""); writes != 1 {
			t.Errorf("%d calls to write: %v", writes, z.Calls())
		}
	})
}
