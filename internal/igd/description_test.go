package igd

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
)

// service returns the XML of a service.
func service(serviceType, control, events string) string {
	return "<service><serviceType>" + serviceType + "</serviceType><controlURL>" + control + "</controlURL><eventSubURL>" + events + "</eventSubURL></service>"
}

// description returns the XML of a gateway with the services.
func description(base string, services ...string) string {
	return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">` + base +
		`<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>` +
		`<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3f</controlURL></service></serviceList>` +
		`<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>` +
		`<serviceList>` + strings.Join(services, "") + `</serviceList></device></deviceList></device></deviceList></device></root>`
}

func TestParseDescription(t *testing.T) {
	location := &url.URL{Scheme: "http", Host: "192.168.1.1:5000", Path: "/igd/rootDesc.xml"}
	two, ppp := wanServices[0], wanServices[2]
	for _, tc := range []struct{ name, body, want, wantErr string }{
		{name: "absolute", body: description("", service(wanIP, "http://192.168.1.1:49000/c", "http://192.168.1.1:49000/e")), want: "http://192.168.1.1:49000/c http://192.168.1.1:49000/e"},
		{name: "relative", body: description("", service(wanIP, "c", "/e")), want: "http://192.168.1.1:5000/igd/c http://192.168.1.1:5000/e"},
		{name: "among spaces", body: description("", service("\n "+wanIP+" ", " /c ", " /e\n")), want: "http://192.168.1.1:5000/c http://192.168.1.1:5000/e"},
		{name: "relative to a base", body: description("<URLBase>http://192.168.1.1:8080/x/</URLBase>", service(wanIP, "c", "e")), want: "http://192.168.1.1:8080/x/c http://192.168.1.1:8080/x/e"},
		{name: "a base elsewhere", body: description("<URLBase>http://192.0.2.1:80/</URLBase>", service(wanIP, "/c", "/e")), want: "http://192.168.1.1:5000/c http://192.168.1.1:5000/e"},
		{name: "in order of preference", body: description("", service(ppp, "/p", ""), service(wanIP, "/1", ""), service(two, "/2", "")), want: "http://192.168.1.1:5000/2 - http://192.168.1.1:5000/1 - http://192.168.1.1:5000/p -"},
		{name: "events elsewhere", body: description("", service(wanIP, "/c", "http://192.0.2.1/e")), want: "http://192.168.1.1:5000/c -"},
		{name: "events at the metadata address", body: description("", service(wanIP, "/c", "//169.254.169.254/e")), want: "http://192.168.1.1:5000/c -"},
		{name: "one service elsewhere", body: description("", service(wanIP, "http://192.0.2.1/c", "/e"), service(ppp, "/p", "")), want: "http://192.168.1.1:5000/p -"},
		{name: "elsewhere", body: description("", service(wanIP, "http://192.0.2.1/c", "/e")), wantErr: "not at the host"},
		{name: "elsewhere in the LAN", body: description("", service(wanIP, "http://192.168.1.2/c", "/e")), wantErr: "not at the host"},
		{name: "loopback", body: description("", service(wanIP, "http://127.0.0.1:2019/config/", "/e")), wantErr: "not at the host"},
		{name: "elsewhere without scheme", body: description("", service(wanIP, "//192.0.2.1/c", "/e")), wantErr: "not at the host"},
		{name: "a name", body: description("", service(wanIP, "http://router.lan/c", "/e")), wantErr: "not at the host"},
		{name: "another scheme", body: description("", service(wanIP, "https://192.168.1.1/c", "/e")), wantErr: "not at the host"},
		{name: "a file", body: description("", service(wanIP, "file:///etc/passwd", "/e")), wantErr: "not at the host"},
		{name: "with a password", body: description("", service(wanIP, "http://a:b@192.168.1.1/c", "/e")), wantErr: "not at the host"},
		{name: "a long one", body: description("", service(wanIP, "http://"+strings.Repeat("x", 9999), "/e")), wantErr: "not at the host"},
		{name: "no connection", body: description(""), wantErr: "no WANIPConnection"},
		{name: "a page", body: "<!doctype html><title>Log in</title>", wantErr: "no device description"},
		{name: "another document", body: "<feed/>", wantErr: "no device description"},
		{name: "cut", body: description("", service(wanIP, "/c", "/e"))[:300], wantErr: "no device description"},
		{name: "empty", wantErr: "no device description"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			services, err := parseDescription([]byte(tc.body), location)
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			var got []string
			for _, s := range services {
				got = append(got, s.Control.String())
				if s.Events == nil {
					got = append(got, "-")
				} else {
					got = append(got, s.Events.String())
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	many, err := parseDescription([]byte(description("", strings.Repeat(service(wanIP, "/c", ""), 1000))), location)
	if err != nil || len(many) != maxServices {
		t.Errorf("%d services, error %v", len(many), err)
	}
}

func TestDescribe(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  http.HandlerFunc
		wantErr string
	}{
		{name: "a description", answer: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, description("", service(wanIP, "/c", "/e")))
		}},
		{name: "redirected", answer: func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/elsewhere", http.StatusFound) }, wantErr: "redirects to"},
		{name: "missing", answer: http.NotFound, wantErr: "HTTP status 404"},
		{name: "without end", answer: func(w http.ResponseWriter, _ *http.Request) {
			for line := strings.Repeat("<a>", 1000); ; {
				if _, err := fmt.Fprint(w, line); err != nil {
					return
				}
			}
		}, wantErr: "too large"},
		{name: "a long header", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, wantErr: "exceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Describe(t.Context(), Client(loopback), serve(t, tc.answer))
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err == nil && (d.Peer != netip.MustParseAddr("127.0.0.1") || len(d.Services) != 1) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// FuzzParseDescription: no description leads to another host.
func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(description("", service(wanIP, "/c", "/e"))))
	f.Add([]byte(description("<URLBase>http://192.168.1.1:8080/</URLBase>", service(wanIP, "c", "e"))))
	f.Fuzz(func(t *testing.T, body []byte) {
		location := &url.URL{Scheme: "http", Host: "192.168.1.1:5000", Path: "/rootDesc.xml"}
		services, err := parseDescription(body, location)
		if (err == nil) != (len(services) > 0) || len(services) > maxServices {
			t.Fatalf("%d services with error %v", len(services), err)
		}
		for _, s := range services {
			for _, u := range []*url.URL{s.Control, s.Events} {
				if u == nil {
					continue
				}
				req, err := http.NewRequest(http.MethodPost, u.String(), nil)
				if err != nil {
					continue // is not sent, then
				}
				if req.URL.Scheme != "http" || req.URL.Hostname() != "192.168.1.1" || req.URL.User != nil {
					t.Errorf("leads to %s", u)
				}
			}
		}
	})
}
