package igd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
)

const wanIP = "urn:schemas-upnp-org:service:WANIPConnection:1"

func envelope(body string) string {
	return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` + body + `</s:Body></s:Envelope>`
}

func response(values string) string {
	return envelope(`<u:GetExternalIPAddressResponse xmlns:u="` + wanIP + `">` + values + `</u:GetExternalIPAddressResponse>`)
}

func addressed(ip string) string {
	return response("<NewExternalIPAddress>" + ip + "</NewExternalIPAddress>")
}

func loopback(ip netip.Addr) bool { return ip.IsLoopback() }

func serve(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.JoinPath("control")
}

func TestExternalIPv4(t *testing.T) {
	const fault = `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>` +
		`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>%s</errorDescription></UPnPError></detail></s:Fault>`
	for _, tc := range []struct {
		name, answer  string
		status        int
		want, wantErr string
	}{
		{name: "an address", answer: addressed("93.184.216.34"), want: "93.184.216.34"},
		{name: "one among spaces", answer: addressed("\n 93.184.216.34 "), want: "93.184.216.34"},
		{name: "in Latin-1", answer: strings.Replace(addressed("93.184.216.34"), `"1.0"`, `"1.0" encoding="iso-8859-1"`, 1), want: "93.184.216.34"},
		{name: "a private one, which the app refuses", answer: addressed("10.0.0.7"), want: "10.0.0.7"},
		{name: "none", answer: addressed(""), wantErr: "the router itself is behind NAT"},
		{name: "zeros", answer: addressed("0.0.0.0"), wantErr: "the router has no public address now"},
		{name: "IPv6", answer: addressed("2606:4700::1"), wantErr: "not an IPv4 address"},
		{name: "IPv4 mapped", answer: addressed("::ffff:93.184.216.34"), wantErr: "not an IPv4 address"},
		{name: "two in one", answer: addressed("93.184.216.34 93.184.216.35"), wantErr: "not an IPv4 address"},
		{name: "a cut one", answer: addressed("93.184.216"), wantErr: "not an IPv4 address"},
		{name: "two", answer: response("<NewExternalIPAddress>93.184.216.34</NewExternalIPAddress><NewExternalIPAddress>93.184.216.35</NewExternalIPAddress>"), wantErr: "twice"},
		{name: "two responses", answer: strings.Replace(addressed("93.184.216.34"), "<s:Body>", "<s:Body><u:GetExternalIPAddressResponse/>", 1), wantErr: "not one to GetExternalIPAddress"},
		{name: "nothing", answer: response(""), wantErr: "no NewExternalIPAddress"},
		{name: "the answer to another call", answer: envelope("<u:GetStatusInfoResponse xmlns:u='" + wanIP + "'/>"), wantErr: "not one to GetExternalIPAddress"},
		{name: "empty", answer: "", wantErr: "no SOAP"},
		{name: "a page", answer: "<!doctype html><title>Log in</title>", wantErr: "no SOAP"},
		{name: "an address alone", answer: "93.184.216.34", wantErr: "no SOAP"},
		{name: "an entity of its own", answer: `<!DOCTYPE x [<!ENTITY a "93.184.216.34">]>` + addressed("&a;"), wantErr: "no SOAP"},
		{name: "too deep", answer: strings.Repeat("<a>", 5000), wantErr: "no SOAP"},
		{name: "too much", answer: addressed(strings.Repeat(" ", 1<<20) + "93.184.216.34"), wantErr: "longer than 16384 bytes"},
		{name: "a fault", status: 500, answer: envelope(fmt.Sprintf(fault, 401, "Invalid Action")), wantErr: `UPnP error 401, "Invalid Action"`},
		{name: "a fault that talks", status: 500, answer: envelope(fmt.Sprintf(fault, 501, strings.Repeat("pardon\n", 1000))), wantErr: "UPnP error 501"},
		{name: "a fault with an address", answer: strings.Replace(addressed("93.184.216.34"), "<s:Body>", "<s:Body>"+fmt.Sprintf(fault, 501, ""), 1), wantErr: "UPnP error 501"},
		{name: "an address with status 500", status: 500, answer: addressed("93.184.216.34"), wantErr: "HTTP status 500"},
		{name: "an address with status 401", status: 401, answer: addressed("93.184.216.34"), wantErr: "HTTP status 401"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			control := serve(t, func(w http.ResponseWriter, req *http.Request) {
				if got := req.Header.Get("SOAPAction"); got != `"`+wanIP+`#GetExternalIPAddress"` {
					t.Errorf("SOAP action %s", got)
				}
				if tc.status != 0 {
					w.WriteHeader(tc.status)
				}
				fmt.Fprint(w, tc.answer)
			})
			ip, err := ExternalIPv4(t.Context(), Client(loopback), control, wanIP)
			sourcetest.CheckErr(t, "error", err, tc.wantErr)
			if err == nil && ip.String() != tc.want {
				t.Errorf("got %s, want %s", ip, tc.want)
			}
			if err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Errorf("the error repeats what the router says: %q", err)
			}
		})
	}
}

// TestClient: names and redirects lead nowhere else, and nothing is read for
// ever.
func TestClient(t *testing.T) {
	asked := 0
	control := serve(t, func(w http.ResponseWriter, req *http.Request) {
		asked++
		switch req.URL.Path {
		case "/control":
			http.Redirect(w, req, "/elsewhere", http.StatusTemporaryRedirect)
		case "/endless":
			for line := strings.Repeat(" ", 1000); ; {
				if _, err := fmt.Fprint(w, line); err != nil {
					return
				}
			}
		}
	})
	_, err := Call(t.Context(), Client(loopback), control, wanIP, "GetExternalIPAddress")
	sourcetest.CheckErr(t, "redirected", err, "redirects to")
	if asked != 1 {
		t.Error("the redirect was followed")
	}

	named := *control
	named.Host = "localhost:" + control.Port()
	_, err = Call(t.Context(), Client(func(netip.Addr) bool { return false }), &named, wanIP, "GetExternalIPAddress")
	sourcetest.CheckErr(t, "a name for an address that is not allowed", err, "is not an address at which the router may be asked")
	if asked != 1 {
		t.Error("the device was asked nevertheless")
	}

	endless := *control
	endless.Path = "/endless"
	began := time.Now()
	_, err = Call(t.Context(), Client(loopback), &endless, wanIP, "GetExternalIPAddress")
	sourcetest.CheckErr(t, "without end", err, "longer than")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzParseAnswer: what is not an answer is an error, and no error is long.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(addressed("93.184.216.34")))
	f.Add([]byte(envelope("<s:Fault><faultstring>UPnPError</faultstring></s:Fault>")))
	f.Fuzz(func(t *testing.T, answer []byte) {
		values, err := parseAnswer(answer, "GetExternalIPAddress")
		if (err == nil) != (values != nil) {
			t.Fatalf("values %q and error %v", values, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if ip, err := parseExternalIPv4(values["NewExternalIPAddress"]); err == nil && !ip.Is4() {
			t.Errorf("understood as %s", ip)
		}
	})
}
