package dynamicdns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return ipaddr.Sort(out)
}

func claimOf(names string, a ...string) claim {
	c := claim{names: strings.Fields(names), enabled: [ipaddr.Families]bool{true, true}}
	for _, addr := range addrs(a...) {
		c.addrs[ipaddr.FamilyOf(addr)] = append(c.addrs[ipaddr.FamilyOf(addr)], addr)
	}
	return c
}

func TestPlan(t *testing.T) {
	www := rrKey{"www", ipaddr.V4}
	is := func(ttl time.Duration, a ...string) zoneView {
		return zoneView{sets: map[rrKey]rrset{www: {addrs: addrs(a...), ttl: ttl}}}
	}
	with := func(c claim, edit func(*claim)) claim { edit(&c); return c }
	for name, test := range map[string]struct {
		claims []claim
		view   zoneView
		asked  map[rrKey]time.Duration
		want   string
	}{
		"nothing there": {claims: []claim{claimOf("www", addr1)}, want: "www A []→[93.184.216.34] 5m0s"},
		"as wished":     {claims: []claim{claimOf("www", addr1)}, view: is(time.Minute, addr1)},
		"another":       {claims: []claim{claimOf("www", addr1)}, view: is(time.Minute, addr2), want: "www A [93.184.216.35]→[93.184.216.34] 1m0s"},
		"one too many":  {claims: []claim{claimOf("www", addr1)}, view: is(time.Minute, addr1, addr2), want: "www A [93.184.216.34 93.184.216.35]→[93.184.216.34] 1m0s"},
		"one too few":   {claims: []claim{claimOf("www", addr1, addr2)}, view: is(time.Minute, addr1), want: "www A [93.184.216.34]→[93.184.216.34 93.184.216.35] 1m0s"},
		"same twice":    {claims: []claim{claimOf("www", addr1)}, view: is(time.Minute, addr1, addr1)},
		"no TTL there":  {claims: []claim{claimOf("www", addr1)}, view: is(0, addr2), want: "www A [93.184.216.35]→[93.184.216.34] 5m0s"},
		"only the TTL": {
			claims: []claim{with(claimOf("www", addr1), func(c *claim) { c.ttl = time.Hour })},
			view:   is(time.Minute, addr1), want: "www A [93.184.216.34]→[93.184.216.34] 1h0m0s ttl",
		},
		"only the TTL, and asked before": {
			claims: []claim{with(claimOf("www", addr1), func(c *claim) { c.ttl = time.Hour })},
			view:   is(time.Minute, addr1), asked: map[rrKey]time.Duration{www: time.Hour},
		},
		"only the TTL, and another was asked before": {
			claims: []claim{with(claimOf("www", addr1), func(c *claim) { c.ttl = time.Hour })},
			view:   is(time.Minute, addr1), asked: map[rrKey]time.Duration{www: time.Minute},
			want: "www A [93.184.216.34]→[93.184.216.34] 1h0m0s ttl",
		},
		"family unknown": {claims: []claim{claimOf("www", addr1)},
			view: zoneView{sets: map[rrKey]rrset{www: {addrs: addrs(addr1), ttl: 1}, {"www", ipaddr.V6}: {addrs: addrs(addr6), ttl: 1}}}},
		"update_only, missing": {
			claims: []claim{with(claimOf("www", addr1), func(c *claim) { c.updateOnly = true })},
			want:   "www A left: no such record exists, and update_only creates none",
		},
		"update_only, there": {
			claims: []claim{with(claimOf("www", addr1), func(c *claim) { c.updateOnly = true })},
			view:   is(time.Minute, addr2), want: "www A [93.184.216.35]→[93.184.216.34] 1m0s",
		},
		"CNAME in the way of one": {
			claims: []claim{claimOf("blog www", addr1)}, view: zoneView{cnames: map[string]string{"blog": "x.example.net."}},
			want: "www A []→[93.184.216.34] 5m0s; blog A blocked: a CNAME record to x.example.net. is in the way; delete it, or take the name out of the configuration",
		},
		"families of one name in two claims": {
			claims: []claim{claimOf("www", addr1), claimOf("www", addr6)},
			want:   "www A []→[93.184.216.34] 5m0s; www AAAA []→[2606:2800:220:1::1] 5m0s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := planText(makePlan(test.claims, test.view, test.asked)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func planText(p plan) string {
	var lines []string
	for _, c := range p.changes {
		line := fmt.Sprintf("%s %v→%v %s", c.key, c.from, c.to, c.ttl)
		if c.onlyTTL {
			line += " ttl"
		}
		lines = append(lines, line)
	}
	for _, l := range p.leftAlone {
		lines = append(lines, fmt.Sprintf("%s %s: %s", l.key, map[bool]string{true: "blocked", false: "left"}[l.blocked], l.reason))
	}
	return strings.Join(lines, "; ")
}

// TestPlanProperties: a plan on its own result is empty, names nothing that
// was not wished for, and does not depend on the order of its input.
func TestPlanProperties(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 0))
		claims, view := randomPlanInput(r)
		p := makePlan(claims, view, nil)

		after := zoneView{sets: make(map[rrKey]rrset), cnames: view.cnames}
		for key, set := range view.sets {
			after.sets[key] = set
		}
		for _, c := range p.changes {
			if !slices.Equal(wants(claims, c.key), c.to) || len(c.to) == 0 {
				t.Fatalf("seed %d: %s was not wished for as %v", seed, c.key, c.to)
			}
			if slices.Equal(c.from, c.to) != c.onlyTTL {
				t.Fatalf("seed %d: %s: %v→%v, onlyTTL %t", seed, c.key, c.from, c.to, c.onlyTTL)
			}
			after.sets[c.key] = rrset{addrs: c.to, ttl: c.ttl}
		}
		if again := makePlan(claims, after, nil); len(again.changes) > 0 {
			t.Fatalf("seed %d: a plan on its own result: %s", seed, planText(again))
		}

		shuffled := slices.Clone(claims)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := makePlan(shuffled, view, nil)
		byKey := func(a, b change) int { return compareKeys(a.key, b.key) }
		slices.SortFunc(p.changes, byKey)
		slices.SortFunc(other.changes, byKey)
		if !reflect.DeepEqual(p.changes, other.changes) {
			t.Fatalf("seed %d: the order of the claims matters", seed)
		}
	}
}

func compareKeys(a, b rrKey) int {
	if a.name != b.name {
		if a.name < b.name {
			return -1
		}
		return 1
	}
	return int(a.family) - int(b.family)
}

func randomPlanInput(r *rand.Rand) ([]claim, zoneView) {
	someAddrs := func() []netip.Addr {
		var list []string
		for range r.IntN(4) {
			list = append(list, fmt.Sprintf("93.184.216.%d", r.IntN(5)))
		}
		return addrs(list...)
	}
	view := zoneView{sets: make(map[rrKey]rrset), cnames: make(map[string]string)}
	var claims []claim
	for i := range 1 + r.IntN(3) {
		c := claim{updateOnly: r.IntN(3) == 0, ttl: time.Duration(r.IntN(3)) * time.Minute}
		for j := range r.IntN(5) {
			c.names = append(c.names, fmt.Sprintf("n%d-%d", i, j))
		}
		c.addrs[ipaddr.V4] = someAddrs()
		claims = append(claims, c)
	}
	for range r.IntN(12) {
		name := fmt.Sprintf("n%d-%d", r.IntN(4), r.IntN(6))
		if there := someAddrs(); len(there) > 0 {
			view.sets[rrKey{name, ipaddr.V4}] = rrset{addrs: there, ttl: time.Duration(r.IntN(3)) * time.Minute}
		}
		if r.IntN(6) == 0 {
			view.cnames[name] = "elsewhere.example.net."
		}
	}
	return claims, view
}

func TestBackoff(t *testing.T) {
	for failures := 1; failures < 100; failures++ {
		most := min(maxBackoff, firstBackoff<<min(failures-1, 10))
		for range 100 {
			if d := backoff(failures); d < time.Second || d > most {
				t.Fatalf("after %d failures: %s, want up to %s", failures, d, most)
			}
		}
	}
	for looks, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if got := lookPause(looks); got != want {
			t.Errorf("after %d looks: %s, want %s", looks, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Setenv("DYNAMIC_DNS_TEST_PASS", `pa"ss&<w>\rd`)
	redact := redactor([]byte(`{"name": "fake", "token": "s3cr3t/t+ken", "server": "ns.example.net:53", "profile": "default",
		"nested": {"list": ["hidden-1", {"pass": "hidden"}]}, "auth": "user:{env.DYNAMIC_DNS_TEST_PASS}", "ttl": 5, "short": "ab"}`))
	got := redact(`Get "https://x/?t=s3cr3t%2Ft%2Bken": dial ns.example.net:53: hidden-1 hidden s3cr3t/t+ken fake ab default ` +
		`pa"ss&<w>\rd pa\"ss&<w>\\rd pa\"ss\u0026\u003cw\u003e\\rd pa&#34;ss&amp;&lt;w&gt;\rd user:pa"ss&<w>\rd`)
	want := `Get "https://x/?t=[redacted]": dial ns.example.net:53: [redacted] [redacted] [redacted] fake ab default ` +
		`[redacted] [redacted] [redacted] [redacted] [redacted]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
