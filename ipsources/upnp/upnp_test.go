package upnp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const wanIP = "urn:schemas-upnp-org:service:WANIPConnection:1"

var localhost = netip.MustParseAddr("127.0.0.1")

// description returns the XML of a device with one service.
func description(serviceType, controlURL string) string {
	return `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>` + serviceType + `</serviceType><controlURL>` + controlURL + `</controlURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>`
}

func soapAnswer(content string) string {
	return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` +
		`<u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">` + content +
		`</u:GetExternalIPAddressResponse></s:Body></s:Envelope>`
}

func externalIPAnswer(ip string) string {
	return soapAnswer("<NewExternalIPAddress>" + ip + "</NewExternalIPAddress>")
}

// fakeRouter serves a device description and answers to SOAP requests. It is
// at a loopback address, so it can only be configured, not found.
type fakeRouter struct {
	*httptest.Server
	describe, answer http.HandlerFunc

	described, asked atomic.Int32
	elsewhere        atomic.Int32
}

func newFakeRouter(t *testing.T) *fakeRouter {
	r := new(fakeRouter)
	r.describe = say(description(wanIP, "/control"))
	r.answer = say(externalIPAnswer("93.184.216.34"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /description.xml", func(w http.ResponseWriter, req *http.Request) {
		r.described.Add(1)
		r.describe(w, req)
	})
	mux.HandleFunc("POST /control", func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		r.answer(w, req)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { r.elsewhere.Add(1) })
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *fakeRouter) location(t *testing.T) *url.URL {
	t.Helper()
	location, err := url.Parse(r.URL + "/description.xml")
	if err != nil {
		t.Fatal(err)
	}
	return location
}

// source returns one that has the router configured.
func (r *fakeRouter) source(t *testing.T) *UPnP {
	t.Helper()
	return &UPnP{logger: zap.NewNop(), endpoint: r.location(t), onLink: netip.Addr.IsLoopback, finding: make(chan struct{}, 1)}
}

// searching returns a source for which the router is the default gateway, and
// these answer the search.
func (r *fakeRouter) searching(answers ...ssdpAnswer) *UPnP {
	return &UPnP{
		logger: zap.NewNop(), finding: make(chan struct{}, 1),
		gateway: func() (netip.Addr, error) { return localhost, nil },
		search: func(ctx context.Context, _ netip.Addr) <-chan ssdpAnswer {
			c := make(chan ssdpAnswer)
			go func() {
				defer close(c)
				for _, a := range answers {
					select {
					case c <- a:
					case <-ctx.Done():
						return
					}
				}
			}()
			return c
		},
	}
}

func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

// TestUPnPSearch: only the default gateway is believed, however fast others
// are.
func TestUPnPSearch(t *testing.T) {
	router := newFakeRouter(t)
	rogue := newFakeRouter(t)
	rogue.answer = say(externalIPAnswer("6.6.6.6"))
	at := router.location(t).String()
	// A rogue is somewhere else, and its URL leads to it or to the router.
	stranger := netip.MustParseAddr("192.168.1.66")
	strange := ssdpAnswer{"http://192.168.1.66/d.xml", stranger}
	var many []ssdpAnswer
	for i := range 1000 {
		many = append(many, ssdpAnswer{fmt.Sprintf("http://192.168.1.66/%d", i), stranger})
	}
	for _, tc := range []struct {
		name          string
		answers       []ssdpAnswer
		want, wantErr string
	}{
		{name: "nobody", wantErr: "the default gateway 127.0.0.1 does not answer; UPnP may have to be switched on there"},
		{name: "a rogue alone", answers: []ssdpAnswer{strange}, wantErr: `192.168.1.66 has answered instead, which is not believed; if it is your router, write its device URL: upnp "http://192.168.1.66/d.xml"`},
		{name: "a rogue with the router's URL", answers: []ssdpAnswer{{at, stranger}}, wantErr: "does not answer"},
		{name: "the router with another one's URL", answers: []ssdpAnswer{{"http://192.168.1.66/d.xml", localhost}}, wantErr: "location of another host"},
		{name: "the router with a name", answers: []ssdpAnswer{{"http://router.lan/d.xml", localhost}}, wantErr: "location of another host"},
		{name: "thousands", answers: many, wantErr: "does not answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ips, err := router.searching(tc.answers...).GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
		})
	}
	if router.described.Load()+rogue.described.Load() != 0 {
		t.Error("asked for a description")
	}
}

func TestUPnPWithoutGateway(t *testing.T) {
	router := newFakeRouter(t)
	u := router.searching()
	u.gateway = func() (netip.Addr, error) { return netip.Addr{}, nil }
	_, err := u.GetIPs(t.Context(), ipsources.IPSettings{})
	if _, ok := errors.AsType[*ipsources.NoFamilyError](err); !ok {
		t.Errorf("got error %v", err)
	}
	u.gateway = func() (netip.Addr, error) { return netip.Addr{}, errors.ErrUnsupported }
	_, err = u.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "routes that cannot be read", err, "write the device URL, like upnp http://192.168.1.1:5000/rootDesc.xml")
}

// TestUPnPNewGateway: who was the default gateway is not asked any more.
func TestUPnPNewGateway(t *testing.T) {
	router := newFakeRouter(t)
	u := router.searching()
	u.found = &foundRouter{gateway: localhost}
	u.gateway = func() (netip.Addr, error) { return netip.MustParseAddr("192.168.1.1"), nil }
	_, err := u.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "error", err, "the default gateway 192.168.1.1 does not answer")
}

func TestUPnPRedirected(t *testing.T) {
	router := newFakeRouter(t)
	redirect := func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/elsewhere", http.StatusFound) }
	answer := router.answer
	router.answer = redirect
	ips, err := router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, ips, err, "", "redirects")
	router.describe, router.answer = redirect, answer
	ips, err = router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, ips, err, "", "redirects")
	if router.elsewhere.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

// TestUPnPConfirms: the known address outranks one that was not said three
// times.
func TestUPnPConfirms(t *testing.T) {
	router := newFakeRouter(t)
	source := router.source(t)
	settings := ipsources.IPSettings{Known: []netip.Addr{netip.MustParseAddr("93.184.216.34")}}
	says := func(answers ...string) {
		router.answer = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, externalIPAnswer(answers[0]))
			if len(answers) > 1 {
				answers = answers[1:]
			}
		}
	}
	for _, tc := range []struct {
		says          []string
		want, wantErr string
		asked         int32
	}{
		{[]string{"93.184.216.34"}, "93.184.216.34", "", 1},
		{[]string{"93.184.216.35"}, "93.184.216.35", "", 3},
		{[]string{"93.184.216.35", "93.184.216.35", "93.184.216.34"}, "93.184.216.34", "", 3},
		{[]string{"93.184.216.35", "93.184.216.36", "93.184.216.35", "93.184.216.36", "93.184.216.35", "93.184.216.36"}, "", "does not stay with an answer", 6},
		{[]string{"93.184.216.35", ""}, "", "no public address now", 2},
	} {
		says(tc.says...)
		router.asked.Store(0)
		ips, err := source.GetIPs(t.Context(), settings)
		sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
		if got := router.asked.Load(); got != tc.asked {
			t.Errorf("%q: asked %d times, want %d", tc.says, got, tc.asked)
		}
	}
}

func TestUPnPRespectsContext(t *testing.T) {
	router := newFakeRouter(t)
	source := router.source(t)
	if _, err := source.GetIPs(t.Context(), ipsources.IPSettings{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	router.answer = func(_ http.ResponseWriter, req *http.Request) {
		// A server that has not read the body does not notice that the client is gone.
		_, _ = io.Copy(io.Discard, req.Body)
		cancel()
		<-req.Context().Done()
	}
	began := time.Now()
	_, err := source.GetIPs(ctx, ipsources.IPSettings{})
	sourcetest.CheckErr(t, "error", err, "context canceled")
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v after the context was done", took)
	}
	if router.described.Load() != 1 {
		t.Error("the router is forgotten though it did not fail")
	}
}

func TestUPnPRemembersRouter(t *testing.T) {
	router := newFakeRouter(t)
	source := router.source(t)
	get := func(want, wantErr string) {
		t.Helper()
		ips, err := source.GetIPs(t.Context(), ipsources.IPSettings{})
		sourcetest.CheckIPs(t, ips, err, want, wantErr)
	}
	count := func(described, asked int32) {
		t.Helper()
		if d, a := router.described.Load(), router.asked.Load(); d != described || a != asked {
			t.Errorf("described %d times and asked %d times, want %d and %d", d, a, described, asked)
		}
	}
	get("93.184.216.34", "")
	get("93.184.216.34", "")
	count(1, 2)

	answer := router.answer
	router.answer = say(externalIPAnswer("0.0.0.0"))
	get("", "no public address now")
	count(1, 3)
	router.answer = answer
	get("93.184.216.34", "")
	count(1, 4)

	// After an update the router has its service at another place.
	router.answer = func(w http.ResponseWriter, req *http.Request) {
		router.answer = answer
		http.NotFound(w, req)
	}
	get("93.184.216.34", "")
	count(2, 6)

	ips, err := source.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(ipaddr.V6)})
	sourcetest.CheckIPs(t, ips, err, "", "")
	count(2, 6)
}

// TestUPnPOffLink: a device URL leads into a network that this machine is
// connected to, whatever its name resolves to.
func TestUPnPOffLink(t *testing.T) {
	router := newFakeRouter(t)
	source := router.source(t)
	source.endpoint.Host = "localhost:" + source.endpoint.Port()
	source.onLink = netmon.OnLink
	_, err := source.GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckErr(t, "error", err, "is not an address at which the router may be asked")
	if router.described.Load() != 0 {
		t.Error("the router was asked nevertheless")
	}
}

func TestUPnPAnswerLocation(t *testing.T) {
	for _, tc := range []struct{ location, from, wantErr string }{
		{location: "http://192.168.1.1:5000/rootDesc.xml", from: "192.168.1.1"},
		{location: "http://93.184.216.33/d", from: "93.184.216.33"},
		{location: "http://192.168.1.2:5000/rootDesc.xml", from: "192.168.1.1", wantErr: "location of another host"},
		{location: "http://router.lan/rootDesc.xml", from: "192.168.1.1", wantErr: "location of another host"},
		{location: "http://127.0.0.1:2019/config/", from: "127.0.0.1", wantErr: "not an address that a router has"},
		{location: "http://127.0.0.1:2019/config/", from: "192.168.1.1", wantErr: "not an address that a router has"},
		{location: "http://169.254.169.254/latest/", from: "192.168.1.1", wantErr: "not an address that a router has"},
		{location: "https://192.168.1.1/d", from: "192.168.1.1", wantErr: "not an http URL"},
		{location: "http://a:b@192.168.1.1/d", from: "192.168.1.1", wantErr: "user name"},
		{location: "file:///etc/passwd", from: "192.168.1.1", wantErr: "not an http URL"},
		{location: "http://192.168.1.1:x/", from: "192.168.1.1", wantErr: "invalid port"},
	} {
		_, err := ssdpAnswer{tc.location, netip.MustParseAddr(tc.from)}.checked()
		sourcetest.CheckErr(t, "error", err, tc.wantErr)
	}
}

func TestUPnPCaddyfile(t *testing.T) {
	for _, tc := range []struct{ input, want, wantErr string }{
		{input: "upnp"},
		{input: "upnp http://192.168.1.1:5000/rootDesc.xml", want: "http://192.168.1.1:5000/rootDesc.xml"},
		{input: "upnp http://fritz.box:49000/igddesc.xml", want: "http://fritz.box:49000/igddesc.xml"},
		{input: "upnp {env.ROUTER}", want: "{env.ROUTER}"},
		{input: `upnp ""`, wantErr: "the device URL is empty"},
		{input: "upnp 192.168.1.1", wantErr: "is not an http URL; write it like"},
		{input: "upnp https://192.168.1.1/", wantErr: "is not an http URL"},
		{input: "upnp http://127.0.0.1:2019/", wantErr: "127.0.0.1 is not an address that a router has in the local network"},
		{input: "upnp http://169.254.169.254/", wantErr: "169.254.169.254 is not an address that a router has in the local network"},
		{input: "upnp http://192.168.1.1/ http://192.168.1.2/", wantErr: `unexpected argument "http://192.168.1.2/"`},
		{input: "upnp {\n\ttimeout 5s\n}", wantErr: `unrecognized subdirective "timeout"`},
	} {
		t.Run(tc.input, func(t *testing.T) {
			u := new(UPnP)
			err := u.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err == nil && u.Endpoint != tc.want {
				t.Errorf("got endpoint %q, want %q", u.Endpoint, tc.want)
			}
		})
	}
}

// FuzzParseSSDP makes sure that no answer leads to another host than its own.
func FuzzParseSSDP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		answer, ok := parseSSDP(packet, netip.MustParseAddr("192.168.1.1"))
		if !ok {
			return
		}
		location, err := answer.checked()
		if err == nil && (location.Scheme != "http" || location.Hostname() != "192.168.1.1") {
			t.Errorf("location %s", location)
		}
	})
}
