package upnp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

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
	r.describe = say(description(serviceTypes[1], "/control"))
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

func (r *fakeRouter) source(t *testing.T) *UPnP {
	t.Helper()
	location, err := parseDeviceURL(r.URL+"/description.xml", isLocalOrLAN)
	if err != nil {
		t.Fatal(err)
	}
	return &UPnP{logger: zap.NewNop(), endpoint: location}
}

func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func TestUPnPServices(t *testing.T) {
	for _, serviceType := range serviceTypes {
		t.Run(serviceType, func(t *testing.T) {
			router := newFakeRouter(t)
			router.describe = say(description(serviceType, "control"))
			router.answer = func(w http.ResponseWriter, req *http.Request) {
				if got, want := req.Header.Get("SOAPAction"), `"`+serviceType+`#GetExternalIPAddress"`; got != want {
					t.Errorf("got SOAP action %s, want %s", got, want)
				}
				fmt.Fprint(w, externalIPAnswer("93.184.216.34"))
			}
			ips, err := router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, "93.184.216.34", "")
		})
	}
}

func TestUPnPAnswers(t *testing.T) {
	for _, tc := range []struct{ name, answer, want, wantErr string }{
		{name: "an address", answer: externalIPAnswer("93.184.216.34"), want: "93.184.216.34"},
		{name: "a private address, which the app refuses", answer: externalIPAnswer("10.0.0.7"), want: "10.0.0.7"},
		{name: "none", answer: externalIPAnswer(""), wantErr: "the router itself is behind NAT"},
		{name: "zeros", answer: externalIPAnswer("0.0.0.0"), wantErr: "the router has no external address now"},
		{name: "IPv6", answer: externalIPAnswer("2606:4700::1"), wantErr: "not an IPv4 address"},
		{name: "IPv4 mapped", answer: externalIPAnswer("::ffff:93.184.216.34"), wantErr: "not an IPv4 address"},
		{name: "two in one", answer: externalIPAnswer("93.184.216.34 93.184.216.35"), wantErr: "not an IPv4 address"},
		{name: "a cut one", answer: externalIPAnswer("93.184.216"), wantErr: "not an IPv4 address"},
		{name: "two", answer: soapAnswer("<NewExternalIPAddress>93.184.216.34</NewExternalIPAddress>" +
			"<NewExternalIPAddress>93.184.216.35</NewExternalIPAddress>"), wantErr: "2 addresses instead of one"},
		{name: "nothing", answer: soapAnswer(""), wantErr: "0 addresses instead of one"},
		{name: "a page", answer: "<!doctype html><title>Log in</title>", wantErr: "decoding response body"},
		{name: "too much", answer: externalIPAnswer(strings.Repeat(" ", 10<<20) + "93.184.216.34"), wantErr: "too large"},
		{name: "a fault", answer: `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>` +
			`<faultcode>s:Client</faultcode><faultstring>` + strings.Repeat("UPnPError ", 1000) +
			`</faultstring></s:Fault></s:Body></s:Envelope>`, wantErr: "SOAP fault"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			router := newFakeRouter(t)
			router.answer = say(tc.answer)
			ips, err := router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error repeats what the router says, with %d characters", len(err.Error()))
			}
		})
	}
}

func TestUPnPHostileDescriptions(t *testing.T) {
	// redirect leads to a place that would be fine, were it not for the rule.
	redirect := func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/elsewhere", http.StatusFound) }
	for _, tc := range []struct {
		name             string
		describe, answer http.HandlerFunc
		wantErr          string
	}{
		{name: "redirected", describe: redirect, wantErr: "redirects"},
		{name: "a service that redirects", answer: redirect, wantErr: "redirects"},
		{name: "control at another host", describe: say(description(serviceTypes[1], "http://192.0.2.1/control")), wantErr: "not at the host"},
		{name: "control at another host without scheme", describe: say(description(serviceTypes[1], "//192.0.2.1/control")), wantErr: "not at the host"},
		{name: "control by another scheme", describe: say(description(serviceTypes[1], "https://127.0.0.1/control")), wantErr: "not at the host"},
		{name: "without a service", describe: say(description("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/control")), wantErr: "no WANIPConnection"},
		{name: "without end", describe: func(w http.ResponseWriter, _ *http.Request) {
			for line := strings.Repeat("<a>", 1000); ; {
				if _, err := fmt.Fprint(w, line); err != nil {
					return
				}
			}
		}, wantErr: "too large"},
		{name: "a page", describe: say("<!doctype html><title>Log in</title>"), wantErr: "invalid XML"},
		{name: "missing", describe: http.NotFound, wantErr: "HTTP status 404"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			router := newFakeRouter(t)
			if tc.describe != nil {
				router.describe = tc.describe
			}
			if tc.answer != nil {
				router.answer = tc.answer
			}
			ips, err := router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, "", tc.wantErr)
			if router.elsewhere.Load() != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestUPnPIgnoresForeignURLBase(t *testing.T) {
	router := newFakeRouter(t)
	router.describe = say(strings.Replace(description(serviceTypes[1], "/control"),
		"<device>", "<URLBase>http://192.0.2.1:80/</URLBase><device>", 1))
	ips, err := router.source(t).GetIPs(t.Context(), ipsources.IPSettings{})
	sourcetest.CheckIPs(t, ips, err, "93.184.216.34", "")
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
	get("", "no external address now")
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

func TestUPnPDeniesOtherAddresses(t *testing.T) {
	router := newFakeRouter(t)
	location, _ := url.Parse(router.URL + "/description.xml")
	// A name that resolves to an address that is not in a local network.
	_, _, err := openGateway(t.Context(), location, isLAN)
	sourcetest.CheckErr(t, "error", err, "127.0.0.1 is not an address that the router may be asked at")
	if router.described.Load() != 0 {
		t.Error("the router was asked nevertheless")
	}
}

func TestUPnPAnswerLocation(t *testing.T) {
	for _, tc := range []struct{ location, from, wantErr string }{
		{location: "http://192.168.1.1:5000/rootDesc.xml", from: "192.168.1.1"},
		{location: "http://169.254.3.4/d", from: "169.254.3.4"},
		{location: "http://192.168.1.2:5000/rootDesc.xml", from: "192.168.1.1", wantErr: "location of another host"},
		{location: "http://router.lan/rootDesc.xml", from: "192.168.1.1", wantErr: "location of another host"},
		{location: "http://93.184.216.34/d", from: "93.184.216.34", wantErr: "not in a local network"},
		{location: "http://127.0.0.1:2019/config/", from: "127.0.0.1", wantErr: "not in a local network"},
		{location: "http://127.0.0.1:2019/config/", from: "192.168.1.1", wantErr: "not an address that a router has"},
		{location: "https://192.168.1.1/d", from: "192.168.1.1", wantErr: "not an http URL"},
		{location: "http://a:b@192.168.1.1/d", from: "192.168.1.1", wantErr: "user name"},
		{location: "file:///etc/passwd", from: "192.168.1.1", wantErr: "not an http URL"},
		{location: "http://192.168.1.1:x/", from: "192.168.1.1", wantErr: "invalid port"},
	} {
		_, err := ssdpAnswer{tc.location, netip.MustParseAddr(tc.from)}.checkedLocation()
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
		{input: "upnp http://93.184.216.34/", wantErr: "93.184.216.34 is not an address that a router has in the local network"},
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

// FuzzParseDescription makes sure that no description leads to another host.
func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(description(serviceTypes[0], "/control")))
	f.Fuzz(func(t *testing.T, body []byte) {
		location := &url.URL{Scheme: "http", Host: "192.168.1.1:5000", Path: "/rootDesc.xml"}
		services, err := parseDescription(body, location)
		if (err == nil) != (len(services) > 0) || len(services) > maxServices {
			t.Fatalf("%d services with error %v", len(services), err)
		}
		for _, s := range services {
			req, err := http.NewRequest(http.MethodPost, s.control.String(), nil)
			if err != nil {
				continue // is not sent, then
			}
			if req.URL.Scheme != "http" || req.URL.Hostname() != "192.168.1.1" || req.URL.User != nil {
				t.Errorf("control URL %s", s.control)
			}
		}
	})
}

// FuzzParseSSDP makes sure that no answer leads to another host than its own.
func FuzzParseSSDP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		answer, ok := parseSSDP(packet, netip.MustParseAddr("192.168.1.1"))
		if !ok {
			return
		}
		location, err := answer.checkedLocation()
		if err == nil && (location.Scheme != "http" || location.Hostname() != "192.168.1.1") {
			t.Errorf("location %s", location)
		}
	})
}

// FuzzParseExternalIP makes sure that only IPv4 addresses are understood.
func FuzzParseExternalIP(f *testing.F) {
	f.Add("93.184.216.34")
	f.Fuzz(func(t *testing.T, s string) {
		if ip, err := parseExternalIP(s); err == nil && (!ip.Is4() || ip.String() != s) {
			t.Errorf("%q is understood as %s", s, ip)
		}
	})
}
