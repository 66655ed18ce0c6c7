package plan

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	addr1 = "93.184.216.34"
	addr2 = "93.184.216.35"
	addr6 = "2606:2800:220:1::1"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return ipaddr.Sort(out)
}

// order gives the RRsets in the order of their keys.
func order(desired map[Key]*Desired) iter.Seq2[Key, *Desired] {
	return func(yield func(Key, *Desired) bool) {
		for _, key := range slices.SortedFunc(maps.Keys(desired), Key.Compare) {
			if !yield(key, desired[key]) {
				return
			}
		}
	}
}

func TestMake(t *testing.T) {
	www4, www6 := Key{"www", ipaddr.V4}, Key{"www", ipaddr.V6}
	desire := func(state State, a ...string) *Desired { return &Desired{State: state, Addrs: addrs(a...)} }
	www := func(d *Desired) map[Key]*Desired { return map[Key]*Desired{www4: d} }
	there := func(ttl time.Duration, a ...string) Observed {
		return Observed{Sets: map[Key]RRset{www4: {Addrs: addrs(a...), TTL: ttl}}}
	}
	withTTL := func(ttl time.Duration, a ...string) map[Key]*Desired {
		return www(&Desired{State: Set, Addrs: addrs(a...), TTL: ttl})
	}
	updateOnly := www(&Desired{State: Set, Addrs: addrs(addr1), UpdateOnly: true})
	cname := Obstacles{CNAMEs: map[string]string{"www": "x.example.net."}}

	held := Obstacles{Held: map[Key]string{www4: "it belongs to another"}}

	for name, test := range map[string]struct {
		desired  map[Key]*Desired
		observed Observed
		want     string
	}{
		"nothing there":  {www(desire(Set, addr1)), Observed{}, "www A [] -> [93.184.216.34] 5m0s"},
		"as desired":     {www(desire(Set, addr1)), there(time.Minute, addr1), ""},
		"another":        {www(desire(Set, addr1)), there(time.Minute, addr2), "www A [93.184.216.35] -> [93.184.216.34] 1m0s"},
		"one too many":   {www(desire(Set, addr1)), there(time.Minute, addr1, addr2), "www A [93.184.216.34 93.184.216.35] -> [93.184.216.34] 1m0s"},
		"one too few":    {www(desire(Set, addr1, addr2)), there(time.Minute, addr1), "www A [93.184.216.34] -> [93.184.216.34 93.184.216.35] 1m0s"},
		"no TTL there":   {www(desire(Set, addr1)), there(0, addr2), "www A [93.184.216.35] -> [93.184.216.34] 5m0s"},
		"the TTL":        {withTTL(time.Hour, addr1), there(time.Minute, addr2), "www A [93.184.216.35] -> [93.184.216.34] 1h0m0s"},
		"only the TTL":   {withTTL(time.Hour, addr1), there(time.Minute, addr1), "www A [93.184.216.34] -> [93.184.216.34] 1h0m0s only ttl"},
		"the same TTL":   {withTTL(time.Minute, addr1), there(time.Minute, addr1), ""},
		"an odd TTL":     {withTTL(-1, addr1), there(time.Minute, addr2), "www A [93.184.216.35] -> [93.184.216.34] 1m0s"},
		"families apart": {map[Key]*Desired{www4: desire(Set, addr1), www6: desire(Set, addr6)}, there(time.Minute, addr1), "www AAAA [] -> [2606:2800:220:1::1] 5m0s"},
		"not mentioned": {
			www(desire(Set, addr1)),
			Observed{Sets: map[Key]RRset{www4: {Addrs: addrs(addr1)}, www6: {Addrs: addrs(addr6)}, {"mail", ipaddr.V4}: {Addrs: addrs(addr2)}}}, "",
		},

		"unknown, nothing there":   {www(desire(Unknown)), Observed{}, ""},
		"unknown, something there": {www(desire(Unknown)), there(time.Minute, addr2), ""},
		"unknown, and a CNAME":     {www(desire(Unknown)), Observed{Obstacles: cname}, ""},

		"none, nothing there":    {www(desire(None, addr1)), Observed{}, ""},
		"none, ours there":       {www(desire(None, addr1)), there(time.Minute, addr1), "www A [93.184.216.34] -> [] 1m0s"},
		"none, another's there":  {www(desire(None, addr1)), there(time.Minute, addr2), ""},
		"none, both there":       {www(desire(None, addr1)), there(time.Minute, addr1, addr2), "www A [93.184.216.34 93.184.216.35] -> [93.184.216.35] 1m0s"},
		"none, and nothing ours": {www(desire(None)), there(time.Minute, addr1), ""},
		"none, and a CNAME":      {www(desire(None, addr1)), Observed{Obstacles: cname}, ""},

		"none, and a delegation": {
			www(desire(None, addr1)), Observed{Sets: there(time.Minute, addr1).Sets, Obstacles: Obstacles{Cuts: map[string]Cut{"www": {Owner: "www.example.com"}}}},
			"www A [93.184.216.34] -> [] 1m0s",
		},
		"none, and it is another's": {www(desire(None, addr1)), Observed{Sets: there(time.Minute, addr1).Sets, Obstacles: held}, ""},
		"another's, as desired": {
			www(desire(Set, addr1)), Observed{Sets: there(time.Minute, addr1).Sets, Obstacles: held},
			"www A blocked: it belongs to another; delete that, or take the name out of the configuration",
		},

		"update only, missing": {updateOnly, Observed{}, "www A left: no such record exists, and update_only creates none"},
		"update only, there":   {updateOnly, there(time.Minute, addr2), "www A [93.184.216.35] -> [93.184.216.34] 1m0s"},

		"a CNAME in the way of one": {
			map[Key]*Desired{www4: desire(Set, addr1), {"blog", ipaddr.V4}: desire(Set, addr1)}, Observed{Obstacles: cname},
			"blog A [] -> [93.184.216.34] 5m0s; www A blocked: a CNAME record to x.example.net. is in the way; delete it, or take the name out of the configuration",
		},
		"a CNAME beside the address": {
			www(desire(Set, addr1)), Observed{Sets: there(time.Minute, addr1).Sets, Obstacles: cname},
			"www A blocked: a CNAME record to x.example.net. is in the way; delete it, or take the name out of the configuration",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := text(Make(order(test.desired), test.observed)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestChange(t *testing.T) {
	for name, test := range map[string]struct {
		change  Change
		reason  string
		missing []netip.Addr
		stale   []netip.Addr
	}{
		"new":     {Change{To: addrs(addr1)}, "there is no such record", addrs(addr1), nil},
		"another": {Change{From: addrs(addr1, addr6), To: addrs(addr2, addr6)}, "the addresses differ", addrs(addr2), addrs(addr1)},
		"gone":    {Change{From: addrs(addr1)}, "the addresses are no longer ours", nil, addrs(addr1)},
		"TTL":     {Change{From: addrs(addr1), To: addrs(addr1), OnlyTTL: true}, "the TTL differs", nil, nil},
	} {
		c := test.change
		if c.Reason() != test.reason || !slices.Equal(c.Missing(), test.missing) || !slices.Equal(c.Stale(), test.stale) {
			t.Errorf("%s: %q, missing %v, stale %v", name, c.Reason(), c.Missing(), c.Stale())
		}
	}
}

func text(p Plan) string {
	var lines []string
	for _, c := range p.Changes {
		line := fmt.Sprintf("%s %v -> %v %s", c.Key, c.From, c.To, c.TTL)
		if c.OnlyTTL {
			line += " only ttl"
		}
		lines = append(lines, line)
	}
	for _, l := range p.LeftAlone {
		lines = append(lines, fmt.Sprintf("%s %s: %s", l.Key, map[bool]string{true: "blocked", false: "left"}[l.Blocked], l.Reason))
	}
	return strings.Join(lines, "; ")
}

// TestMakeProperties: a plan on its own result is empty, each change leads to
// just what is desired, what nobody publishes is not taken away, and nothing
// depends on the order of the input. The seeds are fixed.
func TestMakeProperties(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 0))
		desired, observed := randomInput(r)
		p := Make(order(desired), observed)

		after := Observed{Sets: maps.Clone(observed.Sets), Obstacles: observed.Obstacles}
		for _, c := range p.Changes {
			d, set := desired[c.Key], observed.Sets[c.Key]
			switch {
			case d == nil || d.State == Unknown:
				t.Fatalf("seed %d: %s is changed, of which nothing is desired", seed, c.Key)
			case !slices.Equal(c.From, set.Addrs):
				t.Fatalf("seed %d: %s: from %v, but %v is there", seed, c.Key, c.From, set.Addrs)
			case d.State == Set && !slices.Equal(c.To, d.Addrs):
				t.Fatalf("seed %d: %s: to %v, but %v is desired", seed, c.Key, c.To, d.Addrs)
			case d.State == None && !slices.Equal(c.To, ipaddr.Without(c.From, d.Addrs)):
				t.Fatalf("seed %d: %s: %v -> %v takes away more or less than %v", seed, c.Key, c.From, c.To, d.Addrs)
			case d.State == Set && len(c.From) == 0 && d.UpdateOnly:
				t.Fatalf("seed %d: %s is created, but update only", seed, c.Key)
			case d.State == Set && observed.At(c.Key).Reason != "":
				t.Fatalf("seed %d: %s is written beside what is in the way", seed, c.Key)
			case observed.At(c.Key).Theirs:
				t.Fatalf("seed %d: %s is another's, and changed", seed, c.Key)
			case slices.Equal(c.From, c.To) != c.OnlyTTL, c.TTL <= 0:
				t.Fatalf("seed %d: %s: %v -> %v, TTL %s, only the TTL: %t", seed, c.Key, c.From, c.To, c.TTL, c.OnlyTTL)
			}
			after.Sets[c.Key] = RRset{Addrs: c.To, TTL: c.TTL}
		}
		if again := Make(order(desired), after); len(again.Changes) > 0 {
			t.Fatalf("seed %d: a plan on its own result: %s", seed, text(again))
		}

		keys := slices.SortedFunc(maps.Keys(desired), Key.Compare)
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		other := Make(func(yield func(Key, *Desired) bool) {
			for _, key := range keys {
				if !yield(key, desired[key]) {
					return
				}
			}
		}, observed)
		slices.SortFunc(other.Changes, func(a, b Change) int { return a.Key.Compare(b.Key) })
		slices.SortFunc(other.LeftAlone, func(a, b LeftAlone) int { return a.Key.Compare(b.Key) })
		if got, want := text(other), text(p); got != want {
			t.Fatalf("seed %d: in another order:\n%s\nand not\n%s", seed, got, want)
		}
	}
}

func randomInput(r *rand.Rand) (map[Key]*Desired, Observed) {
	some := func() []netip.Addr {
		seen := make(map[string]bool)
		for range r.IntN(4) {
			seen[fmt.Sprintf("93.184.216.%d", r.IntN(5))] = true
		}
		return addrs(slices.Collect(maps.Keys(seen))...)
	}
	desired := make(map[Key]*Desired)
	for range 1 + r.IntN(12) {
		key := Key{fmt.Sprintf("n%d", r.IntN(15)), ipaddr.Family(r.IntN(int(ipaddr.Families)))}
		d := &Desired{State: State(r.IntN(3)), UpdateOnly: r.IntN(3) == 0, TTL: time.Duration(r.IntN(3)) * time.Minute}
		if d.Addrs = some(); d.State == Set && len(d.Addrs) == 0 {
			d.State = Unknown
		}
		desired[key] = d
	}
	observed := Observed{Sets: make(map[Key]RRset), Obstacles: Obstacles{CNAMEs: make(map[string]string), Held: make(map[Key]string)}}
	for range r.IntN(15) {
		key := Key{fmt.Sprintf("n%d", r.IntN(15)), ipaddr.Family(r.IntN(int(ipaddr.Families)))}
		if a := some(); len(a) > 0 {
			observed.Sets[key] = RRset{Addrs: a, TTL: time.Duration(r.IntN(3)) * time.Minute}
		}
		if r.IntN(6) == 0 {
			observed.CNAMEs[key.Name] = "elsewhere.example.net."
		}
		if r.IntN(6) == 0 {
			observed.Held[key] = "it belongs to another"
		}
	}
	return desired, observed
}
