//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// fritzBox answers as a FRITZ!Box does, at 192.168.178.1.
type fritzBox struct {
	mu           sync.Mutex
	ipv4, prefix string
}

func (b *fritzBox) set(ipv4, prefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ipv4, b.prefix = ipv4, prefix
}

func (b *fritzBox) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const service = "urn:schemas-upnp-org:service:WANIPConnection:1"
	_, action, _ := strings.Cut(strings.Trim(req.Header.Get("SOAPAction"), `"`), "#")
	values := map[string]string{
		"GetExternalIPAddress": "<NewExternalIPAddress>" + b.ipv4 + "</NewExternalIPAddress>",
		"X_AVM_DE_GetIPv6Prefix": "<NewIPv6Prefix>" + b.prefix + "</NewIPv6Prefix><NewPrefixLength>56</NewPrefixLength>" +
			"<NewValidLifetime>7000</NewValidLifetime><NewPreferedLifetime>3400</NewPreferedLifetime>",
	}[action]
	if values == "" || req.URL.Path != "/igdupnp/control/WANIPConn1" {
		http.NotFound(w, req)
		return
	}
	fmt.Fprintf(w, `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<u:%sResponse xmlns:u="%s">%s</u:%[1]sResponse>
</s:Body></s:Envelope>`, action, service, values)
}

// TestFritzBoxKnowsThePrefix: behind a FRITZ!Box, a machine without IPv6 keeps
// the records of the others in the network.
func TestFritzBoxKnowsThePrefix(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("lo", "192.168.178.1/32")
	box := new(fritzBox)
	box.set(first4, "2606:2800:220:100::")
	ln := h.ns.Listen("192.168.178.1:49000")
	server := &http.Server{Handler: box}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })

	app := h.app(map[string][]string{"example.test": {"www"}})
	delete(app, "versions")
	app["ip_sources"] = []object{{"source": "fritzbox", "host": "192.168.178.1"}}
	app["devices"] = object{"example.test": object{"nas": []string{"::15"}, "tv": []string{"::16"}}}
	h.start(app)
	expect := func(ipv4, prefix string) {
		t.Helper()
		h.expect(soon, "www.example.test", "A", ipv4)
		h.expect(soon, "nas.example.test", "AAAA", prefix+"::15")
		h.expect(soon, "tv.example.test", "AAAA", prefix+"::16")
	}
	expect(first4, "2606:2800:220:100")

	box.set(second4, "2606:2800:220:200::/56")
	if status, answer := h.caddy.Admin(http.MethodPost, "/dynamic_dns/check", nil); status != http.StatusOK {
		t.Fatalf("check: %d %s", status, answer)
	}
	expect(second4, "2606:2800:220:200")
	if got := h.bind.Dig("www.example.test", "AAAA"); len(got) != 0 {
		t.Errorf("www has the AAAA records %q", got)
	}

	// Under carrier-grade NAT there is nothing to publish, and the log says so.
	box.set("100.64.1.2", "2606:2800:220:200::")
	h.caddy.Admin(http.MethodPost, "/dynamic_dns/check", nil)
	h.expectLog(soon, `"level":"warn"`, "100.64.1.2", "shares IPv4 addresses between customers")
	expect(second4, "2606:2800:220:200")
}
