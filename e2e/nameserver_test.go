//go:build linux

package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// selfServing is a machine with a WAN interface, wan0, whose Caddy serves the
// zone that it keeps.
type selfServing struct {
	t     *testing.T
	ns    *lab.NS
	caddy *lab.Caddy
}

func newSelfServing(t *testing.T) *selfServing {
	t.Helper()
	lab.Need(t, "dig")
	ns := lab.NewNS(t)
	lab.Link(ns, "wan0", ns, "wan0p")
	return &selfServing{t: t, ns: ns}
}

// selfServingConfig has a zone at the name server, or none if it is "", and
// names to keep in home.example.test.
func selfServingConfig(zone string, names ...string) object {
	apps := object{"dynamic_dns": object{
		"dns_provider":   object{"name": "nameserver"},
		"domains":        object{"home.example.test": names},
		"ip_sources":     []object{{"source": "interface", "name": "wan0"}},
		"check_interval": "1h",
	}}
	if zone != "" {
		apps["nameserver"] = object{"zones": object{zone: object{}}}
	}
	return object{"apps": apps}
}

func (s *selfServing) start(config object) {
	s.t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "config.json")
	lab.WriteFile(s.t, file, string(b))
	s.caddy = lab.StartCaddy(s.t, s.ns, file)
}

func (s *selfServing) expect(within time.Duration, name, rrtype string, want ...string) {
	s.t.Helper()
	lab.EventuallyEqual(s.t, within, name+" "+rrtype, func() []string { return s.dig(name, rrtype) }, want...)
}

func (s *selfServing) dig(name, rrtype string) []string {
	s.t.Helper()
	out, err := s.ns.Run(exec.Command("dig", "@127.0.0.1", "+short", "+time=2", "+tries=2", name, rrtype))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// logged waits until the log has a line with all of these in it.
func (s *selfServing) logged(within time.Duration, parts ...string) {
	s.t.Helper()
	lab.Eventually(s.t, within, "a log line with "+strings.Join(parts, ", "), func() bool {
		for line := range strings.Lines(s.caddy.Log()) {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

func TestOwnNameServerFollows(t *testing.T) {
	t.Parallel()
	s := newSelfServing(t)
	s.ns.AddAddr("wan0", first4+"/32")
	s.ns.AddAddr("wan0", first6+"/128")
	s.start(selfServingConfig("home.example.test", "@", "www", "*", "*.dyn"))
	names := []string{
		"home.example.test", "www.home.example.test", "ns1.home.example.test",
		"any.home.example.test", "a.b.home.example.test", "any.dyn.home.example.test",
	}
	for _, name := range names {
		s.expect(soon, name, "A", first4)
		s.expect(soon, name, "AAAA", first6)
	}

	s.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	since := time.Now()
	s.expect(soon, "www.home.example.test", "A", second4)
	t.Logf("answered %v after the change", time.Since(since))
	s.ns.ReplaceAddr("wan0", first6+"/128", second6+"/128")
	for _, name := range names {
		s.expect(soon, name, "A", second4)
		s.expect(soon, name, "AAAA", second6)
	}
}

func TestOwnNameServerAcrossReloads(t *testing.T) {
	t.Parallel()
	s := newSelfServing(t)
	s.ns.AddAddr("wan0", first4+"/32")
	s.start(selfServingConfig("home.example.test", "@", "www"))
	s.expect(soon, "www.home.example.test", "A", first4)

	s.caddy.Load(selfServingConfig("home.example.test", "@", "api"))
	s.expect(soon, "api.home.example.test", "A", first4)
	s.ns.ReplaceAddr("wan0", first4+"/32", second4+"/32")
	s.expect(soon, "api.home.example.test", "A", second4)
	s.expect(soon, "home.example.test", "A", second4)
	// A name that is no longer ours is left as it was.
	s.expect(soon, "www.home.example.test", "A", first4)

	// Neither a configuration that is refused nor one that cannot start
	// changes what is served, or that it follows.
	refused := selfServingConfig("home.example.test", "not a name")
	taken := selfServingConfig("home.example.test", "@", "taken")
	taken["apps"].(object)["nameserver"].(object)["listen"] = []string{":53", "127.0.0.1:5300"}
	var holder net.PacketConn
	err := s.ns.Do(func() (err error) {
		holder, err = net.ListenPacket("udp", "127.0.0.1:5300")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	for _, tc := range []struct {
		config   object
		says     string
		from, to string
	}{
		{refused, "not a name", second4, third4},
		{taken, "another program holds this port", third4, first4},
	} {
		status, body := s.caddy.Admin(http.MethodPost, "/load", tc.config)
		if status == http.StatusOK || !strings.Contains(body, tc.says) {
			t.Errorf("POST /load: %d %s", status, body)
		}
		s.expect(soon, "api.home.example.test", "A", tc.from)
		s.ns.ReplaceAddr("wan0", tc.from+"/32", tc.to+"/32")
		s.expect(soon, "api.home.example.test", "A", tc.to)
		s.expect(soon, "taken.home.example.test", "A")
	}
}

// What was published is served after a restart even if there is no address to
// be found then, and the restart by itself changes nothing.
func TestOwnNameServerRestarts(t *testing.T) {
	t.Parallel()
	s := newSelfServing(t)
	s.ns.AddAddr("wan0", first4+"/32")
	s.start(selfServingConfig("home.example.test", "@", "*"))
	s.expect(soon, "any.home.example.test", "A", first4)
	s.expect(soon, "home.example.test", "A", first4)

	soa := s.dig("home.example.test", "SOA")
	for _, end := range []func(){s.caddy.Stop, s.caddy.Kill} {
		end()
		s.caddy.Start()
		s.expect(soon, "any.home.example.test", "A", first4)
	}
	s.caddy.Stop()
	s.ns.IP("addr del " + first4 + "/32 dev wan0")
	s.caddy.Start()
	s.expect(soon, "any.home.example.test", "A", first4)
	s.expect(soon, "home.example.test", "SOA", soa...)

	s.ns.AddAddr("wan0", second4+"/32")
	s.expect(soon, "any.home.example.test", "A", second4)
}

func TestOwnNameServerLacksTheZone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		zone string
		says []string
	}{
		"there is no name server":      {"", []string{"add `zone home.example.test` to the nameserver option"}},
		"it serves another zone":       {"example.net", []string{"add `zone home.example.test` to the nameserver option"}},
		"it serves the zone around it": {"example.test", []string{"of which this is a part: write `example.test www.home`"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSelfServing(t)
			s.ns.AddAddr("wan0", first4+"/32")
			s.start(selfServingConfig(tc.zone, "www"))
			s.logged(soon, append(tc.says, `"level":"error"`, "home.example.test", "no such zone", "retrying in")...)
			s.logged(backoff, `"level":"error"`, "no such zone", `"attempt":2`)
			if tc.zone != "" {
				if soa := s.dig(tc.zone, "SOA"); len(soa) != 1 {
					t.Errorf("the zone that it has is not served: %q", soa)
				}
			}
			s.caddy.Load(selfServingConfig("home.example.test", "www"))
			s.expect(backoff, "www.home.example.test", "A", first4)
		})
	}
}
