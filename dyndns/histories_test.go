package dyndns

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

var (
	firstHistory = flag.Uint64("histories.first", 1, "the seed of the first history")
	runHistories = flag.Int("histories.runs", 20, "how many histories there are")
)

// answered is an update that was answered, with what it was for.
type answered struct {
	began, ended time.Time
	name         string
	want         [2]string
	named        [2]bool
	answer       answer
}

// TestHistories: with providers whose reads show what they hold, whatever
// clients send at once, however the provider fails and the server is reloaded
// and restarted, success is said of what was in DNS while the client waited,
// and the newest value is there in the end.
func TestHistories(t *testing.T) {
	realChance := zone.Chance
	t.Cleanup(func() { zone.Chance = realChance })
	for seed := *firstHistory; seed < *firstHistory+uint64(*runHistories); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			zone.Chance = func(zone.Key) func() float64 { return rand.New(rand.NewPCG(seed, 1)).Float64 }
			characters := []standin.Character{
				{Latency: time.Second},
				{Latency: 200 * time.Millisecond, PerRecord: true, Set: standin.SetLastWins, SetRefusesSeveral: true, Delete: standin.DeleteByData},
				{Latency: time.Second, NoSet: true, PerRecord: true},
			}
			bubble(t, characters[random.IntN(len(characters))], func(b *bench) {
				h := &history{b: b, random: random}
				h.run()
			})
		})
	}
}

type history struct {
	b      *bench
	random *rand.Rand

	mu   sync.Mutex
	done []answered
}

func (h *history) run() {
	b := h.b
	b.load(b.config(""))
	var requests sync.WaitGroup
	for range 60 {
		switch h.random.IntN(12) {
		case 0:
			h.misbehave()
		case 1:
			b.z.Fail(nil)
		case 2:
			b.load(b.config(fmt.Sprintf(`"ttl": %d,`, time.Duration(60+h.random.IntN(2))*time.Second)))
		case 3:
			if h.random.IntN(3) == 0 {
				requests.Wait()
				b.stop()
				time.Sleep(time.Minute)
				b.load(b.config(""))
			}
		default:
			name := []string{"home.example.com", "www.example.net"}[h.random.IntN(2)]
			query, want, named := h.query()
			requests.Go(func() { h.update(name, query, want, named) })
		}
		time.Sleep(time.Duration(h.random.IntN(20_000)) * time.Millisecond)
	}
	b.z.Fail(nil)
	requests.Wait()
	time.Sleep(2 * time.Hour)
	for _, name := range []string{"home.example.com", "www.example.net"} {
		for family := range 2 {
			h.converged(name, family)
		}
	}
	if o := b.z.Overlaps(); len(o) > 0 {
		b.t.Errorf("writes overlap: %v", o)
	}
}

// query is what a client asks for, and what each family is to hold then.
func (h *history) query() (query string, want [2]string, named [2]bool) {
	pick := func(addrs ...string) string {
		h.random.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		return strings.Join(addrs[:1+h.random.IntN(2)], ",")
	}
	params := [2]string{"ipaddr", "ip6addr"}
	for family := range 2 {
		switch h.random.IntN(4) {
		case 0:
		case 1:
			named[family] = true
			query += "&" + params[family] + "="
		default:
			named[family] = true
			list := []string{pick(addr1, addr2, addr3), pick(addr6, "2606:2800:220:1::2")}[family]
			want[family] = sorted(list)
			query += "&" + params[family] + "=" + list
		}
	}
	if query == "" {
		return "&myip=preserve", want, named
	}
	return query, want, named
}

func sorted(list string) string {
	if list == "" {
		return ""
	}
	addrs := strings.Split(list, ",")
	slices.Sort(addrs)
	return strings.Join(addrs, ",")
}

// misbehave has some calls of the provider go wrong from now on.
func (h *history) misbehave() {
	var mu sync.Mutex
	faults := rand.New(rand.NewPCG(h.random.Uint64(), 0))
	h.b.z.Fail(func(c standin.Call) standin.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch faults.IntN(6) {
		case 0:
			return standin.Fault{Err: errors.New("500 internal server error")}
		case 1:
			return standin.Fault{Err: errors.New("timeout"), After: 1}
		case 2:
			// A read that is lost would say that the zone is empty.
			return standin.Fault{Lost: c.Method != standin.Get}
		case 3:
			d := time.Duration(faults.IntN(120)) * time.Second
			return standin.Fault{Do: func() { time.Sleep(d) }}
		}
		return standin.Fault{}
	})
}

func (h *history) update(name, query string, want [2]string, named [2]bool) {
	began := time.Now()
	got := h.b.do(nil, "/nic/update?hostname="+name+query)
	a := answered{began, time.Now(), name, want, named, got}
	if took := a.ended.Sub(began); took > patience {
		h.b.t.Errorf("%s: answered after %s", query, took)
	}
	h.mu.Lock()
	h.done = append(h.done, a)
	h.mu.Unlock()
	switch got.status {
	case 200:
	case 503:
		return
	default:
		h.b.t.Errorf("%s: answered %s", query, got)
		return
	}
	var said [2]string
	_, list, _ := strings.Cut(strings.TrimSpace(got.body), " ")
	for addr := range strings.SplitSeq(list, ",") {
		if parsed, err := netip.ParseAddr(addr); err == nil {
			family := 0
			if parsed.Is6() {
				family = 1
			}
			said[family] = strings.TrimPrefix(said[family]+","+addr, ",")
		}
	}
	for family := range 2 {
		if !named[family] {
			continue
		}
		if values := h.values(name, family, began); !slices.Contains(values, sorted(said[family])) {
			h.b.t.Errorf("%s: answered %s at %s, but since %s the %s of %s were %q", query, got, a.ended, began, types[family], name, values)
		}
	}
}

var types = [2]string{"A", "AAAA"}

// values are what an RRset held since a time.
func (h *history) values(name string, family int, since time.Time) []string {
	label, origin, _ := strings.Cut(name, ".")
	origin += "."
	current := h.b.z.Values(origin, label, types[family])
	join := func() string {
		slices.Sort(current)
		return strings.Join(current, ",")
	}
	values := []string{join()}
	for _, c := range slices.Backward(h.b.z.Changes()) {
		if c.Zone != origin || c.At.Before(since) {
			continue
		}
		for _, rr := range c.Added {
			if rr.Name == label && rr.Type == types[family] {
				if i := slices.Index(current, rr.Data); i >= 0 {
					current = slices.Delete(current, i, i+1)
				}
			}
		}
		for _, rr := range c.Removed {
			if rr.Name == label && rr.Type == types[family] {
				current = append(current, rr.Data)
			}
		}
		values = append(values, join())
	}
	return values
}

// converged looks whether DNS has what an update wanted after which none was
// begun.
func (h *history) converged(name string, family int) {
	var wanted []string
	for _, a := range h.done {
		if a.name != name || !a.named[family] {
			continue
		}
		later := slices.ContainsFunc(h.done, func(o answered) bool {
			return o.name == name && o.named[family] && o.began.After(a.ended)
		})
		if !later {
			wanted = append(wanted, a.want[family])
		}
	}
	got := h.values(name, family, time.Now().Add(time.Second))[0]
	if len(wanted) > 0 && !slices.Contains(wanted, got) || len(wanted) == 0 && got != "" {
		h.b.t.Errorf("in the end, the %s of %s are %q, want one of %q", types[family], name, got, wanted)
	}
}
