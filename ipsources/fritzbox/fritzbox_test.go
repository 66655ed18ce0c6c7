package fritzbox

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	external4 = "GetExternalIPAddress"
	external6 = "X_AVM_DE_GetExternalIPv6Address"
	prefix6   = "X_AVM_DE_GetIPv6Prefix"
)

// standin answers as a FRITZ!Box does.
type standin struct {
	mu    sync.Mutex
	asked map[string]int
	// says are the values of the answers to an action, of which the last one
	// is repeated.
	says map[string][]string
	// does takes a request instead, if it is not nil.
	does http.HandlerFunc
}

// values writes the values of an answer, whose names and texts take turns.
func values(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "<%s>%s</%[1]s>\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

func says4(addr string) string { return values("NewExternalIPAddress", addr) }

func says6(addr, length, valid, preferred string) string {
	return values("NewExternalIPv6Address", addr, "NewPrefixLength", length, "NewValidLifetime", valid, "NewPreferedLifetime", preferred)
}

func saysPrefix(prefix, length, valid, preferred string) string {
	return values("NewIPv6Prefix", prefix, "NewPrefixLength", length, "NewValidLifetime", valid, "NewPreferedLifetime", preferred)
}

func (s *standin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if s.does != nil {
		s.does(w, req)
		return
	}
	service, action, _ := strings.Cut(strings.Trim(req.Header.Get("SOAPAction"), `"`), "#")
	if req.Method != http.MethodPost || req.URL.Path != "/igdupnp/control/WANIPConn1" || service != serviceType || xml.Unmarshal(body, new(any)) != nil {
		http.NotFound(w, req)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	said, ok := s.says[action]
	w.Header().Set("Content-Type", `text/xml; charset="utf-8"`)
	w.Header().Set("Server", "FRITZ!Box 7590 UPnP/1.0 AVM FRITZ!Box 7590 154.08.03")
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, envelope(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>`+
			`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>401</errorCode><errorDescription>Invalid Action</errorDescription></UPnPError></detail></s:Fault>`))
		return
	}
	n := s.asked[action]
	s.asked[action]++
	fmt.Fprint(w, envelope(fmt.Sprintf(`<u:%sResponse xmlns:u="%s">`+"\n%s</u:%[1]sResponse>", action, serviceType, said[min(n, len(said)-1)])))
}

func envelope(body string) string {
	return `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body>` + body + `</s:Body>
</s:Envelope>
`
}

func (s *standin) say(action string, says ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[action], s.asked[action] = says, 0
}

func (s *standin) times(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[action]
}

// newSource makes a source whose box is the stand-in.
func newSource(t *testing.T) (*FritzBox, *standin) {
	t.Helper()
	s := &standin{asked: make(map[string]int), says: make(map[string][]string)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	f := new(FritzBox)
	if err := f.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	f.box.port = at.Port()
	f.box.near = func(addr netip.Addr) bool { return addr == at.Addr() }
	f.box.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "fritz.box" {
			return nil, fmt.Errorf("no such host %s", host)
		}
		return []netip.Addr{netip.MustParseAddr("2606:4700::1"), at.Addr()}, nil
	}
	return f, s
}

func TestAddresses(t *testing.T) {
	const no6 = "the FRITZ!Box has no IPv6 address now"
	for _, tc := range []struct {
		name, v4, v6  string
		own           bool
		want, wantErr string
	}{
		{name: "IPv4 alone", v4: says4("93.184.216.34"), v6: says6("2606:4700::1", "64", "7000", "3400"), want: "93.184.216.34"},
		{name: "both", own: true, v4: says4("93.184.216.34"), v6: says6("2606:4700::1", "64", "7000", "3400"), want: "93.184.216.34 2606:4700::1"},
		{name: "no IPv6", own: true, v4: says4("93.184.216.34"), v6: says6("", "0", "0", "0"), want: "93.184.216.34", wantErr: no6},
		{name: "no IPv6 as zeros", own: true, v4: says4("93.184.216.34"), v6: says6("::", "0", "0", "0"), want: "93.184.216.34", wantErr: no6},
		{name: "deprecated IPv6", own: true, v4: says4("93.184.216.34"), v6: says6("2606:4700::1", "64", "7000", "0"), want: "93.184.216.34", wantErr: no6},
		{name: "offline", v4: says4(""), wantErr: "asking the FRITZ!Box at 127.0.0.1: the router has no public address now"},
		{name: "offline, zeros", v4: says4("0.0.0.0"), wantErr: "the router has no public address now"},
		{name: "IPv4 for IPv6", own: true, v4: says4("93.184.216.34"), v6: says6("93.184.216.34", "64", "1", "1"), want: "93.184.216.34", wantErr: "is not an IPv6 address"},
		{name: "a mapped address", own: true, v4: says4("93.184.216.34"), v6: says6("::ffff:93.184.216.34", "64", "1", "1"), want: "93.184.216.34", wantErr: "is not an IPv6 address"},
		{name: "an address with a zone", own: true, v4: says4("93.184.216.34"), v6: says6("fe80::1%lan", "64", "1", "1"), want: "93.184.216.34", wantErr: "is not an IPv6 address"},
		{name: "an address with words", own: true, v4: says4("93.184.216.34"), v6: says6(strings.Repeat("2606:4700::1 ", 100), "64", "1", "1"), want: "93.184.216.34", wantErr: "is not an IPv6 address"},
		{name: "no value", own: true, v4: says4("93.184.216.34"), v6: values("NewSomething", "2606:4700::1"), want: "93.184.216.34", wantErr: "has no NewExternalIPv6Address"},
		{name: "IPv6 for IPv4", v4: says4("2606:4700::1"), wantErr: "not an IPv4 address"},
		{name: "an old box", own: true, v4: says4("93.184.216.34"), want: "93.184.216.34", wantErr: `UPnP error 401, "Invalid Action"`},
		{name: "silent about all", wantErr: `see that it has "Transmit status information over UPnP" on`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, box := newSource(t)
			f.OwnIPv6 = tc.own
			if tc.v4 != "" {
				box.say(external4, tc.v4)
			}
			if tc.v6 != "" {
				box.say(external6, tc.v6)
			}
			ips, err := f.GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
			if !tc.own && box.times(external6) > 0 {
				t.Error("asked for an IPv6 address that nobody wants")
			}
		})
	}
}

// TestOneFamily: the box is asked for what is wanted, and no more.
func TestOneFamily(t *testing.T) {
	f, box := newSource(t)
	f.OwnIPv6 = true
	box.say(external4, says4("93.184.216.34"))
	box.say(external6, says6("2606:4700::1", "64", "7000", "3400"))
	for family, want := range map[ipaddr.Family]string{ipaddr.V4: "93.184.216.34", ipaddr.V6: "2606:4700::1"} {
		ips, err := f.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(family)})
		sourcetest.CheckIPs(t, ips, err, want, "")
	}
	if box.times(external4) != 1 || box.times(external6) != 1 {
		t.Errorf("asked %v times", box.asked)
	}
	f.OwnIPv6 = false
	ips, err := f.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
	sourcetest.CheckIPs(t, ips, err, "", "")
}

func TestPrefix(t *testing.T) {
	const none = "the FRITZ!Box has no IPv6 prefix now"
	for _, tc := range []struct{ name, says, want, wantErr string }{
		{name: "the length beside it", says: saysPrefix("2606:4700:0:ff00::", "56", "7000", "3400"), want: "2606:4700:0:ff00::/56"},
		{name: "the length in both places", says: saysPrefix("2606:4700:0:ff00::/56", "56", "7000", "3400"), want: "2606:4700:0:ff00::/56"},
		{name: "the length behind it", says: saysPrefix("2606:4700:0:ff00::/56", "0", "7000", "3400"), want: "2606:4700:0:ff00::/56"},
		{name: "the length behind it alone", says: values("NewIPv6Prefix", "2606:4700:0:ff00::/62"), want: "2606:4700:0:ff00::/62"},
		{name: "no length", says: saysPrefix("2606:4700:0:ff00::", "0", "7000", "3400"), want: "2606:4700:0:ff00::/64"},
		{name: "bits below it", says: saysPrefix("2606:4700:0:ffab::1", "56", "7000", "3400"), want: "2606:4700:0:ff00::/56"},
		{name: "for ever", says: saysPrefix("2606:4700:0:ff00::", "56", "4294967295", "4294967295"), want: "2606:4700:0:ff00::/56"},
		{name: "no IPv6", says: saysPrefix("", "0", "0", "0"), wantErr: none},
		{name: "no IPv6 as zeros", says: saysPrefix("::", "0", "0", "0"), wantErr: none},
		{name: "no IPv6 with a length", says: saysPrefix("::/0", "0", "0", "0"), wantErr: none},
		{name: "deprecated", says: saysPrefix("2606:4700:0:ff00::", "56", "7000", "0"), wantErr: none},
		{name: "over", says: saysPrefix("2606:4700:0:ff00::", "56", "0", "0"), wantErr: none},
		{name: "two lengths", says: saysPrefix("2606:4700:0:ff00::/56", "62", "7000", "3400"), wantErr: "has the prefix"},
		{name: "a length of all", says: saysPrefix("2606:4700:0:ff00::1", "128", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "a length beyond", says: saysPrefix("2606:4700:0:ff00::", "129", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "a length below", says: saysPrefix("2606:4700:0:ff00::", "-1", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "a length in words", says: saysPrefix("2606:4700:0:ff00::", strings.Repeat("x", 1000), "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "an empty length behind it", says: saysPrefix("2606:4700:0:ff00::/", "0", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "IPv4", says: saysPrefix("93.184.216.0", "24", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "a mapped one", says: saysPrefix("::ffff:93.184.216.0", "120", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "a zone", says: saysPrefix("fe80::%lan", "64", "7000", "3400"), wantErr: "is not an IPv6 prefix"},
		{name: "no value", says: values("NewPrefixLength", "56"), wantErr: "has no NewIPv6Prefix"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, box := newSource(t)
			box.say(prefix6, tc.says)
			prefix, err := f.Prefix(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
			sourcetest.CheckErr(t, "Prefix", err, tc.wantErr)
			if err == nil && prefix.String() != tc.want {
				t.Errorf("got %s, want %s", prefix, tc.want)
			}
			if absent, ok := errors.AsType[*ipsources.NoFamilyError](err); ok != (tc.wantErr == none) {
				t.Errorf("no IPv6: %v", absent)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestConfirmed: a newcomer is believed when the box has said it three times.
func TestConfirmed(t *testing.T) {
	const before, after = "2606:4700:0:ee00::", "2606:4700:0:ff00::"
	f, box := newSource(t)
	f.OwnIPv6 = true
	known := []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:4700::1"), netip.MustParseAddr(before)}
	settings := ipsources.IPSettings{Known: known}
	old := saysPrefix(before, "56", "7000", "3400")
	newer := saysPrefix(after, "56", "7000", "3400")
	for _, tc := range []struct {
		says  []string
		want  string
		asked int
	}{
		{[]string{old}, before, 1},
		{[]string{newer}, after, 3},
		{[]string{newer, old}, before, 2},
		{[]string{newer, newer, old}, before, 3},
	} {
		box.say(prefix6, tc.says...)
		prefix, err := f.Prefix(t.Context(), settings)
		if err != nil || prefix.Addr().String() != tc.want || box.times(prefix6) != tc.asked {
			t.Errorf("got %s, %v after %d questions, want %s after %d", prefix, err, box.times(prefix6), tc.want, tc.asked)
		}
	}
	box.say(external4, says4("93.184.216.35"))
	box.say(external6, says6("2606:4700::1", "64", "7000", "3400"))
	ips, err := f.GetIPs(t.Context(), settings)
	sourcetest.CheckIPs(t, ips, err, "93.184.216.35 2606:4700::1", "")
	if box.times(external4) != 3 || box.times(external6) != 1 {
		t.Errorf("asked %v times", box.asked)
	}
	box.say(prefix6, newer, saysPrefix("2606:4700:0:dd00::", "56", "7000", "3400"), newer, saysPrefix("2606:4700:0:cc00::", "56", "7000", "3400"), newer, saysPrefix("2606:4700:0:bb00::", "56", "7000", "3400"))
	_, err = f.Prefix(t.Context(), settings)
	if soon, ok := errors.AsType[*ipsources.SoonError](err); !ok || soon.After != waverSoon {
		t.Errorf("got error %v of a box that wavers", err)
	}
}

// TestWhereTheBoxIs: whoever has the name on the internet is not asked.
func TestWhereTheBoxIs(t *testing.T) {
	f, box := newSource(t)
	box.say(external4, says4("93.184.216.34"))
	lookup := func(addrs ...string) {
		f.box.lookup = func(context.Context, string) (all []netip.Addr, err error) {
			for _, addr := range addrs {
				all = append(all, netip.MustParseAddr(addr))
			}
			return all, nil
		}
	}
	for want, addrs := range map[string][]string{
		"fritz.box leads to 45.76.93.104, which is not in a network that this machine is directly connected to; write the box's private address, like fritzbox 192.168.178.1": {"45.76.93.104"},
		"fritz.box leads to 45.76.93.104 and 2606:4700::1, which": {"2606:4700::1", "45.76.93.104"},
		"fritz.box leads to no address":                           nil,
		"":                                                        {"45.76.93.104", "::ffff:127.0.0.1"},
	} {
		lookup(addrs...)
		_, err := f.GetIPs(t.Context(), ipsources.IPSettings{})
		sourcetest.CheckErr(t, strings.Join(addrs, " "), err, want)
	}

	// The real check, for what is near and no router.
	lookup("127.0.0.1", "::1", "169.254.169.254", "fe80::1")
	real, err := newBox("")
	if err != nil {
		t.Fatal(err)
	}
	f.box.near = real.near
	_, err = f.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "loopback and link-local", err, "which is not in a network that this machine is directly connected to")

	f.box.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
	_, err = f.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "no such host", err, "looking for the FRITZ!Box: no such host")
}

// TestHostileBox: what a box does beside answering has no effect.
func TestHostileBox(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect is followed") }))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		does http.HandlerFunc
		want string
	}{
		"redirects elsewhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "redirects to"},
		"wants a login": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Digest realm="HTTPS Access"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, `HTTP status 401; see that it has "Transmit status information over UPnP" on`},
		"answers without end": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "longer than 16384 bytes"},
		"is a web page": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<!doctype html><html lang=de><title>FRITZ!Box</title>")
		}, "no SOAP"},
		"answers another question": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, envelope(`<u:GetStatusInfoResponse xmlns:u="`+serviceType+`"/>`))
		}, "not one to"},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		}, "asking the FRITZ!Box at 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			f, box := newSource(t)
			box.does = tc.does
			f.OwnIPv6 = true
			for _, family := range []ipaddr.Family{ipaddr.V4, ipaddr.V6} {
				ips, err := f.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(family)})
				sourcetest.CheckIPs(t, ips, err, "", tc.want)
			}
			_, err := f.Prefix(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckErr(t, "Prefix", err, tc.want)
		})
	}
}

// TestSilentBox: a box that takes the question and does not answer costs the
// time that is set, and the context ends it.
func TestSilentBox(t *testing.T) {
	f, box := newSource(t)
	box.does = func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := f.GetIPs(ctx, ipsources.IPSettings{})
	sourcetest.CheckErr(t, "GetIPs", err, "deadline exceeded")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestExplains(t *testing.T) {
	for addr, want := range map[string]string{
		"100.64.1.2":  "shares IPv4 addresses between customers, so there is none to publish; leave IPv4 out with `versions ipv6`",
		"192.168.1.2": "behind another router (double NAT)",
		"10.1.2.3":    "behind another router (double NAT)",
		"fd00::1":     "has no IPv6 address of the internet",
	} {
		if got := new(FritzBox).ExplainRefusal(netip.MustParseAddr(addr)); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	for _, tc := range []struct {
		in      string
		want    FritzBox
		wantErr string
	}{
		{in: "fritzbox"},
		{in: "fritzbox fritz.repeater", want: FritzBox{Host: "fritz.repeater"}},
		{in: "fritzbox 192.168.178.1 {\n own_ipv6\n}", want: FritzBox{Host: "192.168.178.1", OwnIPv6: true}},
		{in: "fritzbox fd00::1", want: FritzBox{Host: "fd00::1"}},
		{in: "fritzbox {env.BOX}", want: FritzBox{Host: "{env.BOX}"}},
		{in: "fritzbox a b", wantErr: `unexpected argument "b": fritzbox takes one host`},
		{in: `fritzbox ""`, wantErr: "the host is empty; leave it out to ask fritz.box"},
		{in: "fritzbox http://fritz.box", wantErr: "is a URL; write the host alone, like fritzbox fritz.box"},
		{in: "fritzbox fritz.box:49000", wantErr: "has a port"},
		{in: "fritzbox 93.184.216.34", wantErr: "is not a private address"},
		{in: "fritzbox 127.0.0.1", wantErr: "is not a private address"},
		{in: "fritzbox 169.254.169.254", wantErr: "is not a private address"},
		{in: "fritzbox 2606:4700::1", wantErr: "is not a private address"},
		{in: `fritzbox "fritz box"`, wantErr: "is no host name; write it like fritzbox fritz.box"},
		{in: "fritzbox {\n own_ipv4\n}", wantErr: `unrecognized subdirective "own_ipv4"; fritzbox has the option own_ipv6`},
		{in: "fritzbox {\n own_ipv6 on\n}", wantErr: "own_ipv6 stands alone"},
	} {
		var f FritzBox
		err := f.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.in))
		sourcetest.CheckErr(t, tc.in, err, tc.wantErr)
		if err == nil && (f.Host != tc.want.Host || f.OwnIPv6 != tc.want.OwnIPv6) {
			t.Errorf("%s: got %+v", tc.in, f)
		}
		if err != nil && !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s: no file and line in %v", tc.in, err)
		}
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("BOX", "192.168.178.1")
	t.Setenv("PUBLIC", "93.184.216.34")
	for host, want := range map[string]string{
		"":               "",
		"{env.BOX}":      "",
		"{env.PUBLIC}":   "93.184.216.34 is not a private address",
		"{env.NO_SUCH}":  "the environment variable NO_SUCH is not set",
		"https://a.box/": "is a URL",
	} {
		f := FritzBox{Host: host}
		err := f.Provision(caddy.Context{})
		sourcetest.CheckErr(t, host, err, want)
		if host == "{env.BOX}" && f.box.addr != netip.MustParseAddr("192.168.178.1") {
			t.Errorf("the placeholder became %s", f.box.addr)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2606:4700:0:ff00::/56", "2606:4700::1", "", "::", "/", "::/0", "1.2.3.4/8", "fe80::%a/64", "::ffff:1.2.3.4"} {
		f.Add(s, "56", "7000", "3400")
		f.Add(s, "", "", "")
	}
	f.Fuzz(func(t *testing.T, text, length, valid, preferred string) {
		answer := map[string]string{
			"NewIPv6Prefix": text, "NewExternalIPv6Address": text, "NewPrefixLength": length,
			"NewValidLifetime": valid, "NewPreferedLifetime": preferred,
		}
		if prefix, err := parsePrefix(answer); err == nil && (prefix != prefix.Masked() || !prefix.Addr().Is6() || ipaddr.CheckPrefixLength(prefix.Bits()) != nil || prefix.Addr().Is4In6()) {
			t.Errorf("%q: prefix %s", answer, prefix)
		}
		if addr, err := parseIPv6(answer); err == nil && (!addr.Is6() || addr.Is4In6() || addr.Zone() != "") {
			t.Errorf("%q: address %s", answer, addr)
		}
	})
}
