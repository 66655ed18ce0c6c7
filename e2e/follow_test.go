//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

func TestInterfaceAddressIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	h.ns.AddAddr("wan0", first6+"/128")
	h.bind.NSUpdate(
		"update add example.test. 300 MX 10 mail.example.test.",
		"update add www.example.test. 300 TXT \"a text beside the address\"",
		"update add mail.example.test. 300 A 93.184.216.99",
		"update add www.example.test. 300 A 93.184.216.98",
		"update add www.example.test. 300 A 93.184.216.97",
	)
	h.run("Caddyfile", fmt.Sprintf(`{
	dynamic_dns {
		provider rfc2136 {
			key_name %s
			key_alg %s
			key {env.TSIG_KEY}
			server %s
		}
		domains {
			example.test @ www *.dyn
		}
		ip_source interface wan0
		check_interval 1h
		ttl 2m
	}
}
`, h.bind.KeyName, h.bind.KeyAlg, h.bind.Addr))
	names := []string{"example.test", "www.example.test", "anything.dyn.example.test"}
	for _, name := range names {
		h.expect(soon, name, "A", first4)
		h.expect(soon, name, "AAAA", first6)
	}

	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	h.ns.ReplaceAddr("wan0", first6+"/128", second6+"/128")
	for _, name := range names {
		h.expect(soon, name, "A", second4)
		h.expect(soon, name, "AAAA", second6)
	}

	want := []string{
		"example.test. 300 IN MX 10 mail.example.test.",
		"example.test. 60 IN NS ns1.example.test.",
		"mail.example.test. 300 IN A 93.184.216.99",
		"ns1.example.test. 60 IN A 127.0.0.1",
		`www.example.test. 300 IN TXT "a text beside the address"`,
	}
	for _, name := range []string{"example.test.", "www.example.test.", "*.dyn.example.test."} {
		want = append(want, name+" 120 IN A "+second4, name+" 120 IN AAAA "+second6)
	}
	got := h.bind.Zone("example.test")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the zone holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStartsBeforeTheNetwork(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.IP("link del wan0")
	h.start(h.app(map[string][]string{"example.test": {"www"}}))
	h.expectLog(soon, "wan0")
	lab.Link(h.ns, "wan0", h.ns, "wan0p")
	h.ns.AddAddr("wan0", first4+"/32")
	h.expect(soon, "www.example.test", "A", first4)
}

func TestPrivateAddressIsRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", "192.168.77.2/32")
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.start(app)
	h.expectLog(soon, `"level":"warn"`, "192.168.77.2")
	if got := h.bind.Updates(); got != 0 {
		t.Errorf("%d updates", got)
	}
	app["include"] = []string{"192.168.0.0/16"}
	h.caddy.Load(config(app))
	h.expect(soon, "www.example.test", "A", "192.168.77.2")
}

func TestSeveralAddressesAreOneRRset(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	app := h.app(map[string][]string{"example.test": {"www"}})
	app["ip_sources"] = []object{{"source": "static", "ips": []string{first4, second4}}}
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4, second4)
	app["ip_sources"] = []object{{"source": "static", "ips": []string{second4, third4}}}
	h.caddy.Load(config(app))
	h.expect(soon, "www.example.test", "A", second4, third4)
}

func TestBINDStoppedDuringAChange(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	h.start(h.app(map[string][]string{"example.test": {"www"}}))
	h.expect(soon, "www.example.test", "A", first4)

	h.bind.Stop()
	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	h.expectLog(soon, `"level":"error"`, "example.test")
	h.bind.Start()
	h.expect(backoff, "www.example.test", "A", second4)
}

func TestChangeByHandIsRepaired(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	app := h.app(map[string][]string{"example.test": {"www", "gone"}})
	app["verify_interval"] = "1m"
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4)
	h.expect(soon, "gone.example.test", "A", first4)

	h.bind.NSUpdate("update delete www.example.test. A", "update add www.example.test. 60 A "+third4,
		"update delete gone.example.test. A")
	h.expect(soon, "www.example.test", "A", third4)
	h.expect(90*time.Second, "www.example.test", "A", first4)
	h.expect(soon, "gone.example.test", "A", first4)
	h.expectLog(soon, "drift", `"zone":"example.test"`, `"name":"www"`, third4)
}

func TestUpdateOnlyNeverCreates(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	h.bind.NSUpdate("update add www.example.test. 60 A " + third4)
	app := h.app(map[string][]string{"example.test": {"www", "new"}})
	app["update_only"] = true
	h.start(app)
	h.expect(soon, "www.example.test", "A", first4)
	h.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	h.expect(soon, "www.example.test", "A", second4)
	if got := h.bind.Dig("new.example.test", "A"); len(got) != 0 {
		t.Errorf("new.example.test was created: %q", got)
	}
}

func TestCNAMEInTheWayIsReported(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	h.bind.NSUpdate("update add alias.example.test. 60 CNAME ns1.example.test.")
	h.start(h.app(map[string][]string{"example.test": {"alias", "www"}}))
	h.expect(soon, "www.example.test", "A", first4)
	h.expectLog(soon, "CNAME", "alias")
	if got := h.bind.Dig("alias.example.test", "CNAME"); !slices.Equal(got, []string{"ns1.example.test."}) {
		t.Errorf("the CNAME is now %q", got)
	}
}

func TestWrongKeyIsAnErrorWithoutTheKey(t *testing.T) {
	t.Parallel()
	h := newHome(t, "example.test")
	h.ns.AddAddr("wan0", first4+"/32")
	const wrong = "d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZ3dyb25nd3I="
	app := h.app(map[string][]string{"example.test": {"www"}})
	h.start(app, "TSIG_KEY="+wrong)
	h.expectLog(soon, `"level":"error"`, "example.test")

	app["dns_provider"].(object)["key"] = h.bind.Key
	h.caddy.Load(config(app))
	h.expect(soon, "www.example.test", "A", first4)
	if strings.Contains(h.caddy.Log(), wrong) {
		t.Error("the wrong TSIG key is in Caddy's log")
	}
}
