package dynamicdns

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

// situation is one in which somebody may ask how things are.
type situation struct {
	name      string
	character standin.Character
	there     []libdns.RR
	addrs     []string
	// change changes the configuration.
	change func(config string) string
	// do brings the situation about, once Caddy is loaded.
	do func(l *lab, z *standin.Zones)
	// state is that of the zone, code the exit status.
	state   status.State
	code    int
	healthy bool
}

var situations = []situation{
	{
		name:  "in_sync",
		addrs: []string{addr1, addr6},
		do:    func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state: status.StateInSync, code: exitInSync, healthy: true,
	},
	{
		name:  "no_address",
		do:    func(l *lab, _ *standin.Zones) { l.wait(time.Second) },
		state: status.StatePending, code: exitUnknown,
	},
	{
		name:      "not_read_yet",
		character: standin.Character{Latency: 20 * time.Second},
		addrs:     []string{addr1},
		do:        func(l *lab, _ *standin.Zones) { l.wait(10 * time.Second) },
		state:     status.StatePending, code: exitUnknown,
	},
	{
		name:      "being_written",
		character: standin.Character{Latency: 10 * time.Second},
		there:     []libdns.RR{record("www", "A", addr2)},
		addrs:     []string{addr1},
		do:        func(l *lab, _ *standin.Zones) { l.wait(15 * time.Second) },
		state:     status.StatePending, code: exitNotInSync,
	},
	{
		name:      "unverified",
		character: standin.Character{ReadsLag: 5 * time.Minute},
		there:     []libdns.RR{record("www", "A", addr2)},
		addrs:     []string{addr1},
		do:        func(l *lab, _ *standin.Zones) { l.wait(20 * time.Second) },
		state:     status.StateUnverified, code: exitUnknown,
	},
	{
		name:  "blocked",
		there: []libdns.RR{record("www", "CNAME", "elsewhere.example.net.")},
		addrs: []string{addr1},
		do:    func(l *lab, _ *standin.Zones) { l.wait(time.Minute) },
		state: status.StateBlocked, code: exitNotInSync,
	},
	{
		name: "failing",
		character: standin.Character{Fault: refuseWrites(errors.New(
			"422 unprocessable entity: this account may not edit the zone, please see https://dns.test/a-very-long-link/that-does-not-fit-into-one-line-of-a-terminal/at-all",
		))},
		addrs: []string{addr1, addr6},
		do:    func(l *lab, _ *standin.Zones) { l.wait(900 * time.Millisecond) },
		state: status.StateFailing, code: exitNotInSync,
	},
	{
		name:  "cannot_read",
		addrs: []string{addr1},
		do: func(l *lab, z *standin.Zones) {
			l.wait(10 * time.Minute)
			z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
			l.ask(http.MethodPost, "check")
		},
		state: status.StateFailing, code: exitUnknown, healthy: true,
	},
	{
		name:      "unreadable_provider",
		character: standin.Character{NoGet: true},
		addrs:     []string{addr1},
		do:        func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state:     status.StateInSync, code: exitInSync, healthy: true,
	},
	{
		name:   "left_alone",
		there:  []libdns.RR{record("@", "A", addr2)},
		addrs:  []string{addr1},
		change: func(config string) string { return strings.Replace(config, "{", `{"update_only": true,`, 1) },
		do:     func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state:  status.StateLeftAlone, code: exitInSync, healthy: true,
	},
	{
		name:  "address_lost",
		there: []libdns.RR{record("www", "AAAA", addr6)},
		addrs: []string{addr1},
		do: func(l *lab, _ *standin.Zones) {
			l.wait(10 * time.Minute)
			l.fail(errNetwork)
			l.ask(http.MethodPost, "check")
		},
		state: status.StateLeftAlone, code: exitUnknown, healthy: true,
	},
	{
		name:  "family_lost",
		addrs: []string{addr1, addr6},
		do: func(l *lab, _ *standin.Zones) {
			l.wait(10 * time.Minute)
			l.address(addr1)
			l.ask(http.MethodPost, "check")
			l.wait(30 * time.Minute)
		},
		state: status.StateInSync, code: exitUnknown,
	},
	{
		name: "never_an_address",
		do: func(l *lab, _ *standin.Zones) {
			l.fail(errNetwork)
			l.wait(10 * time.Minute)
		},
		state: status.StatePending, code: exitUnknown,
	},
	{
		// A machine without IPv6 is well, whatever stands there.
		name:  "family_unknown",
		there: []libdns.RR{record("www", "AAAA", addr6)},
		addrs: []string{addr1},
		do:    func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state: status.StateLeftAlone, code: exitInSync, healthy: true,
	},
	{
		name:  "devices",
		addrs: []string{addr1, addr6},
		change: func(config string) string {
			return strings.Replace(config, "{", `{"devices": {"example.com": {"nas": ["::15", "00:1b:21:3c:4d:5e"], "tv": ["::16"]}},`, 1)
		},
		do:    func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state: status.StateInSync, code: exitInSync, healthy: true,
	},
	{
		name:      "without_zone",
		character: standin.Character{ListsZones: true},
		addrs:     []string{addr1},
		change: func(config string) string {
			return strings.Replace(config, "{", `{"hosts": ["vpn.example.net", "blog.example.com"],`, 1)
		},
		do:    func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state: status.StateInSync, code: exitNotInSync,
	},
	{
		name:      "zone_unknown",
		character: standin.Character{ListsZones: true, Latency: 20 * time.Second},
		addrs:     []string{addr1},
		change:    func(config string) string { return strings.Replace(config, "{", `{"hosts": ["vpn.example.net"],`, 1) },
		do:        func(l *lab, _ *standin.Zones) { l.wait(10 * time.Second) },
		state:     status.StatePending, code: exitUnknown,
	},
	{
		name: "devices_alone",
		change: func(config string) string {
			config = strings.Replace(config, `"domains": {"example.com": ["@", "www"]}`, `"devices": {"example.com": {"nas": ["::15"]}}`, 1)
			return strings.Replace(config, `{"source": "fake"}`, `{"source": "static", "ips": ["2001:db8:1:2::/64"]}`, 1)
		},
		do:    func(l *lab, _ *standin.Zones) { l.wait(10 * time.Minute) },
		state: status.StateInSync, code: exitInSync, healthy: true,
	},
	{
		name: "devices_unknown",
		change: func(config string) string {
			return strings.Replace(config, `"domains": {"example.com": ["@", "www"]}`, `"devices": {"example.com": {"nas": ["::15"]}}`, 1)
		},
		do:    func(l *lab, _ *standin.Zones) { l.fail(errNetwork); l.wait(10 * time.Minute) },
		state: status.StatePending, code: exitUnknown,
	},
	{
		name:      "long_names",
		character: standin.Character{NoAppend: true, NoDelete: true, Fault: refuseWrites(errNetwork)},
		addrs:     []string{addr1, addr6, "2606:2800:220:1234:5678:9abc:def0:1111", "2606:2800:220:1234:5678:9abc:def0:2222"},
		there:     []libdns.RR{record(longName, "AAAA", "2606:2800:220:1234:5678:9abc:def0:3333")},
		change: func(config string) string {
			return strings.Replace(config, `"@"`, `"`+longName+`"`, 1)
		},
		do:    func(l *lab, _ *standin.Zones) { l.wait(900 * time.Millisecond) },
		state: status.StateFailing, code: exitNotInSync,
	},
}

func refuseWrites(err error) func(standin.Call) standin.Fault {
	return func(c standin.Call) standin.Fault {
		if c.Method == standin.Get {
			return standin.Fault{}
		}
		return standin.Fault{Err: err}
	}
}

const longName = "a-label-of-the-greatest-length-that-there-may-be-is-63-letters1.another-label-that-is-long"

// TestStatus compares what the command shows in each situation, for people
// and for programs, with golden files.
func TestStatus(t *testing.T) {
	inDNS(t)
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(s.character, zoneName)
				z.Put(zoneName, s.there...)
				l.address(s.addrs...)
				name := z.Register()
				config := appConfig(name, `{"example.com": ["@", "www"]}`)
				if s.change != nil {
					config = s.change(config)
				}
				l.load(config)
				s.do(l, z)

				_, body := l.ask(http.MethodGet, "status")
				var shown status.Status
				decodeJSON(t, strings.ReplaceAll(body, name, "standin"), &shown)
				if got := shown.Zones[0].State; got != s.state {
					t.Errorf("the zone is %s, want %s", got, s.state)
				}
				settle(&shown)
				if code := golden(t, "status/"+s.name, func(c *console) int {
					code, _ := c.showStatus(&shown)
					return code
				}); code != s.code {
					t.Errorf("exit status %d, want %d", code, s.code)
				}

				code, body := l.ask(http.MethodGet, "health")
				var health status.Health
				decodeJSON(t, body, &health)
				if health.Healthy != s.healthy || (code == http.StatusOK) != s.healthy || (len(health.Reasons) == 0) != s.healthy {
					t.Errorf("health: %d %s", code, body)
				}
				l.wait(time.Minute)
			})
		})
	}
}

// TestCheckNotDone: what was in sync before a check that was not done in time
// may no longer be.
func TestCheckNotDone(t *testing.T) {
	for name, test := range map[string]struct {
		there []libdns.RR
		code  int
	}{
		"check_not_done":             {nil, exitUnknown},
		"check_not_done_not_in_sync": {[]libdns.RR{record("www", "CNAME", "elsewhere.example.net.")}, exitNotInSync},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{}, zoneName)
				z.Put(zoneName, test.there...)
				l.address(addr1)
				provider := z.Register()
				l.load(appConfig(provider, `{"example.com": ["www"]}`))
				l.wait(time.Minute)
				z.Fail(func(standin.Call) standin.Fault {
					return standin.Fault{Do: func() { time.Sleep(50 * time.Second) }}
				})
				_, body := l.ask(http.MethodPost, "check")
				var shown status.Status
				decodeJSON(t, strings.ReplaceAll(body, provider, "standin"), &shown)
				settle(&shown)
				if code := golden(t, "status/"+name, func(c *console) int {
					code, err := c.showStatus(&shown)
					if code == exitUnknown && (err == nil || !strings.Contains(err.Error(), "not done in time")) {
						t.Errorf("error: %v", err)
					}
					return code
				}); code != test.code {
					t.Errorf("exit status %d, want %d", code, test.code)
				}
			})
		})
	}
}

// TestDryRun compares what a dry run shows in each situation, and sees that
// nothing is written.
func TestDryRun(t *testing.T) {
	tests := []struct {
		name      string
		there     []libdns.RR
		character standin.Character
		do        func(l *lab, z *standin.Zones)
		code      int
	}{
		{
			name: "nothing",
			do:   func(*lab, *standin.Zones) {},
			code: exitInSync,
		},
		{
			name: "changes",
			do: func(_ *lab, z *standin.Zones) {
				z.Drop(zoneName, "www", "A")
				z.Drop(zoneName, "@", "A")
				z.Put(zoneName, record("@", "A", addr2), record("@", "A", addr3))
			},
			code: exitNotInSync,
		},
		{
			name: "in_the_way",
			do: func(_ *lab, z *standin.Zones) {
				z.Drop(zoneName, "www", "A")
				z.Put(zoneName, record("www", "CNAME", "elsewhere.example.net."), record("@", "AAAA", addr6))
			},
			code: exitNotInSync,
		},
		{
			name: "cannot_read",
			do: func(_ *lab, z *standin.Zones) {
				z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
			},
			code: exitUnknown,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				l.address(addr1)
				name := z.Register()
				l.load(appConfig(name, `{"example.com": ["@", "www"]}`))
				l.wait(10 * time.Minute)
				test.do(l, z)
				calls := z.Count("", "")
				_, before := l.ask(http.MethodGet, "status")

				_, body := l.ask(http.MethodGet, "plan")
				var plan status.Plan
				decodeJSON(t, strings.ReplaceAll(body, name, "standin"), &plan)
				settleGroups(plan.Time, plan.Groups)
				if code := golden(t, "plan/"+test.name, func(c *console) int {
					code, _ := c.showPlan(&plan)
					return code
				}); code != test.code {
					t.Errorf("exit status %d, want %d", code, test.code)
				}
				if n := z.Count("", "") - calls; n != 1 {
					t.Errorf("%d calls for a plan, want one read", n)
				}
				if _, after := l.ask(http.MethodGet, "status"); after != before {
					t.Errorf("the plan changed the status from %s to %s", before, after)
				}
			})
		})
	}
}

// settle makes what is random the same each time.
func settle(s *status.Status) {
	// What happens at one moment is told in no certain order; see TestTimeline.
	s.Timeline = nil
	if !s.NextCheck.IsZero() {
		s.NextCheck = s.Time.Add(4 * time.Minute)
	}
	settleGroups(s.Time, s.Groups)
	for i := range s.Zones {
		if z := &s.Zones[i]; z.NextAttempt.After(s.Time) {
			z.NextAttempt = s.Time.Add(45 * time.Minute)
		}
	}
}

func settleGroups(now time.Time, groups []status.GroupStatus) {
	for i := range groups {
		for j := range groups[i].Families {
			f := &groups[i].Families[j]
			if !f.LastCheck.IsZero() {
				f.LastCheck = now.Add(-time.Minute)
			}
			if f.LastFailure != nil {
				f.LastFailure.Time = now.Add(-time.Minute)
			}
		}
	}
}

// golden shows something for people and for programs, compares each with its
// golden file, and returns the exit status.
func golden(t *testing.T, name string, show func(*console) int) int {
	t.Helper()
	var code int
	for _, ext := range []string{".txt", ".json"} {
		var out bytes.Buffer
		code = show(&console{out: &out, json: ext == ".json"})
		file := filepath.Join("testdata", filepath.FromSlash(name)+ext)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
		if ext == ".txt" {
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("a line of %d columns: %s", n, line)
				}
			}
		}
	}
	var plain, colored bytes.Buffer
	show(&console{out: &plain})
	show(&console{out: &colored, color: true})
	stripped := regexp.MustCompile(`\x1b\[[0-9]+m`).ReplaceAllString(colored.String(), "")
	if stripped != plain.String() {
		t.Errorf("with colors it is\n%s\nwithout\n%s", stripped, plain.String())
	}
	return code
}

func decodeJSON(t *testing.T, body string, into any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}
