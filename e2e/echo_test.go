//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// newHomeWithISP is a home whose WAN interface leads to echo services.
func newHomeWithISP(t *testing.T, zone string, services ...string) (*home, []*lab.Echo) {
	t.Helper()
	home := &home{t: t, ns: lab.NewNS(t)}
	isp := lab.NewNS(t)
	lab.Link(home.ns, "wan0", isp, "isp0")
	isp.IP("route add default dev isp0")
	var echoes []*lab.Echo
	for _, addr := range services {
		isp.AddAddr("isp0", addr+"/32")
		echoes = append(echoes, lab.StartEcho(t, isp, addr+":443"))
	}
	home.ns.IP("addr add "+first4+"/32 dev wan0", "route add default dev wan0")
	home.bind = lab.StartBIND(t, home.ns, zone)
	return home, echoes
}

// followEchoes makes the app ask the services, and only now and then.
func (h *home) followEchoes(app object, echoes ...*lab.Echo) {
	var endpoints []string
	for _, e := range echoes {
		endpoints = append(endpoints, e.URL)
	}
	app["ip_sources"] = []object{{"source": "simple_http", "endpoints": endpoints}}
}

func TestEchoedAddressIsFollowed(t *testing.T) {
	t.Parallel()
	h, echoes := newHomeWithISP(t, "example.test", "198.41.0.4")
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.followEchoes(app, echoes...)
	h.start(app, lab.Trust(echoes...))
	h.expect(soon, "www.example.test", "A", first4)

	// Losing its only address loses an interface its routes.
	h.ns.IP("addr del "+first4+"/32 dev wan0", "addr add "+second4+"/32 dev wan0", "route add default dev wan0")
	h.expect(soon, "www.example.test", "A", second4)
}

func TestChangeBehindTheRouterIsNoticed(t *testing.T) {
	t.Parallel()
	h, echoes := newHomeWithISP(t, "example.test", "198.41.0.4", "198.41.0.5", "198.41.0.6")
	for _, e := range echoes {
		e.Answer(first4)
	}
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.followEchoes(app, echoes...)
	app["check_interval"] = "1s"
	h.start(app, lab.Trust(echoes...))
	h.expect(soon, "www.example.test", "A", first4)

	// One service that lies moves nothing, however often it is asked.
	const lie = "151.101.1.69"
	echoes[0].Answer(lie)
	asked := echoes[0].Asked()
	lab.Eventually(t, 2*soon, "the lying service is asked again and again", func() bool { return echoes[0].Asked() >= asked+4 })
	h.expect(soon, "www.example.test", "A", first4)

	for _, e := range echoes[1:] {
		e.Answer(second4)
	}
	h.expect(soon, "www.example.test", "A", second4)
	if strings.Contains(h.bind.Log(), lie) {
		t.Error("the lie was published")
	}
}
