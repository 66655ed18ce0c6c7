package dynamicdns

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/reconcile"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/zone"
)

var (
	historiesFirst = flag.Uint64("histories.first", 1, "the first seed of TestHistories")
	historiesRuns  = flag.Uint64("histories.runs", 200, "how many seeds TestHistories runs, from the first on")
)

// onceFailed are seeds that have found a defect.
var onceFailed = []uint64{3281844895999605551, 7550228084936098471, 8061879310805630955, 636, 1110, 105499, 202806}

// TestHistories: whatever the provider, the zone and what goes wrong, once it
// stops going wrong the zone is as desired, no name lost its addresses
// meanwhile, and nothing else was touched. The seeds are consecutive, so that
// a commit has one verdict; -histories.first runs others.
func TestHistories(t *testing.T) {
	seeds := slices.Clone(onceFailed)
	for n := range *historiesRuns {
		seeds = append(seeds, *historiesFirst+n)
	}
	inDNS(t, zoneName)
	for _, seed := range seeds {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { history(t, seed) }) {
			t.Fatalf("run again with: go test -run TestHistories . -histories.first=%d -histories.runs=1", seed)
		}
	}
}

type world struct {
	*lab
	rand      *rand.Rand
	character standin.Named
	z         *standin.Zones
	module    string
	faulty    atomic.Bool

	// names are managed now, ever those that ever were.
	names []string
	ever  map[string]bool
	addrs []string
	ttl   string
	// byHand are the names at which somebody else wrote into the zone.
	byHand map[string]bool
	// lost is set once a write was accepted and had no effect.
	lost atomic.Bool
	// inFull means that the names are written in full.
	inFull bool
	// withdraws means that what names that leave held is taken away.
	withdraws bool
}

func history(t *testing.T, seed uint64) {
	bubble(t, func(l *lab) {
		r := rand.New(&lockedSource{src: rand.NewPCG(seed, seed)})
		repeatable(l.t, seed)
		all := slices.DeleteFunc(standin.Characters(), func(n standin.Named) bool { return !n.ReadsNames || n.OneValue })
		w := &world{lab: l, rand: r, character: all[r.IntN(len(all))], ever: make(map[string]bool), byHand: make(map[string]bool)}
		if w.inFull = seed%5 == 2; w.inFull {
			w.character.ListsZones = seed%2 == 0
		}
		w.z = standin.New(w.character.Character, zoneName)
		w.z.Put(zoneName, strangers...)
		for range r.IntN(6) {
			w.z.Put(zoneName, record(w.oneOf("www", "blog", "@", "other"), "A", w.anyAddr()))
		}
		w.module = w.z.Register()
		w.z.Fail(w.fault)
		w.withdraws = seed%4 == 1 && !w.character.NoDelete
		w.newNames()
		w.newAddrs()
		w.reload()
		for range 5 + r.IntN(20) {
			w.step()
			w.wait(w.pause())
		}
		w.settle()
		w.check()
	})
}

// repeatable makes the app's own chances depend on the seed alone.
func repeatable(t *testing.T, seed uint64) {
	stream := func(n int) func() float64 { return rand.New(rand.NewPCG(seed, uint64(n)+1)).Float64 }
	realChance, realJitter := zone.Chance, jitter
	zone.Chance, jitter = func(zone.Key) func() float64 { return stream(-1) }, stream
	t.Cleanup(func() { zone.Chance, jitter = realChance, realJitter })
}

// lockedSource may be used by several goroutines.
type lockedSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Uint64()
}

// step does one thing that may happen at any time.
func (w *world) step() {
	switch w.rand.IntN(10) {
	case 0, 1, 2:
		w.newAddrs()
	case 3:
		w.faulty.Store(!w.faulty.Load())
	case 4:
		w.newNames()
		w.reload()
	case 5:
		w.reload()
	case 6:
		w.stop()
		w.reload()
	case 7:
		w.lab.fail(errNetwork)
	case 8:
		w.ttl = w.oneOf("", "1m", "10m", "2h")
		w.reload()
	case 9:
		w.drift()
	}
}

// drift changes the zone by hand.
func (w *world) drift() {
	name := w.oneOf("www", "blog", "@", "other")
	w.byHand[name] = true
	if w.rand.IntN(2) == 0 {
		w.z.Drop(zoneName, name, "A")
	}
	if w.rand.IntN(2) == 0 {
		w.z.Put(zoneName, record(name, w.oneOf("A", "A", "TXT"), "192.0.2.66"))
	}
}

func (w *world) fault(standin.Call) standin.Fault {
	if !w.faulty.Load() || w.rand.IntN(3) > 0 {
		return standin.Fault{}
	}
	switch w.rand.IntN(6) {
	case 5:
		if !w.character.Reads {
			// Nobody can find that out.
			return standin.Fault{}
		}
		w.lost.Store(true)
		return standin.Fault{Lost: true}
	case 0:
		return standin.Fault{Err: errNetwork, After: 1}
	case 1:
		return standin.Fault{Err: errNetwork, After: standin.Everything}
	case 2:
		return standin.Fault{Do: func() { panic("index out of range") }}
	case 3:
		d := time.Duration(w.rand.IntN(600)) * time.Second
		return standin.Fault{Do: func() { time.Sleep(d) }}
	}
	return standin.Fault{Err: errNetwork}
}

// settle ends all faults and waits for as long as it may take.
func (w *world) settle() {
	w.faulty.Store(false)
	w.address(w.addrs...)
	// A call that hangs until now ends within ten minutes.
	w.wait(10 * time.Minute)
	if w.rand.IntN(2) == 0 {
		w.newAddrs()
	}
	d := reconcile.MaxBackoff + defaultCheckInterval + time.Minute
	if !w.character.ReadsNow || w.character.Fault != nil || w.character.Set != standin.SetWhole || w.lost.Load() {
		// An accepted write that has no effect may be a reader that lags,
		// and is tried again after an hour.
		d = 3 * time.Hour
	}
	w.wait(d)
	if len(w.byHand) > 0 {
		w.wait(2 * time.Hour)
	}
}

func (w *world) check() {
	t := w.t
	for _, name := range w.names {
		for _, typ := range []string{"A", "AAAA"} {
			var want []string
			for _, addr := range w.addrs {
				if strings.Contains(addr, ":") == (typ == "AAAA") {
					want = append(want, addr)
				}
			}
			if len(want) == 0 {
				continue
			}
			got := w.z.Values(zoneName, name, typ)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(slices.Compact(got), want) && (w.character.Reads || len(w.byHand) == 0) {
				t.Errorf("%s %s is %v, want %v", name, typ, got, want)
			}
		}
	}
	for _, key := range w.z.Touched(zoneName) {
		// Who writes whole zones takes back what others wrote at that moment.
		if w.character.RewritesZone && len(w.byHand) > 0 {
			break
		}
		if !w.ever[key.Name] || key.Type != "A" && key.Type != "AAAA" {
			t.Errorf("touched %v, which is not ours", key)
		}
	}
	if overlaps := w.z.Overlaps(); len(overlaps) > 0 {
		t.Errorf("calls overlap: %v", overlaps)
	}
	w.checkWithdrawn()
	for _, key := range w.z.Emptied(zoneName) {
		if w.withdraws {
			break
		}
		if w.character.KeepsNames && w.character.Reads && !w.byHand[key.Name] && !(w.character.RewritesZone && len(w.byHand) > 0) {
			t.Errorf("left without an address: %v", key)
		}
	}
	if strings.Contains(w.wholeLog(), standin.Token) {
		t.Error("the token is in the log")
	}
	if t.Failed() {
		t.Logf("provider %q, names %v, addresses %v", w.character.Name, w.names, w.addrs)
		for _, c := range w.z.Calls() {
			t.Logf("%s-%s %s %v: %v", c.Began.Format("02 15:04:05"), c.Ended.Format("15:04:05"), c.Method, c.Records, c.Err)
		}
		for _, c := range w.z.Changes() {
			t.Logf("%s %s -%v +%v", c.At.Format("02 15:04:05"), c.Method, c.Removed, c.Added)
		}
		for _, line := range w.logged("info", "") {
			t.Log(time.Unix(int64(line["ts"].(float64)), 0).UTC().Format("02 15:04:05"), line)
		}
	}
}

// checkWithdrawn looks at names that have left the configuration. Nothing is to
// be left there that a call has written.
func (w *world) checkWithdrawn() {
	// A read that shows nothing is a provider's lie, which is believed.
	if !w.withdraws || !w.character.Reads || w.character.RewritesZone || w.lost.Load() {
		return
	}
	for name := range w.ever {
		if slices.Contains(w.names, name) || w.byHand[name] {
			continue
		}
		for _, typ := range []string{"A", "AAAA"} {
			for _, value := range w.z.Values(zoneName, name, typ) {
				if slices.ContainsFunc(w.z.Changes(), func(c standin.Change) bool {
					return c.Method != "" && slices.ContainsFunc(c.Added, func(rr libdns.RR) bool {
						return rr.Name == name && rr.Type == typ && rr.Data == value
					})
				}) {
					w.t.Errorf("%s %s has left, and still holds %s", name, typ, value)
				}
			}
		}
	}
}

func (w *world) reload() {
	config := appConfig(w.module, fmt.Sprintf(`{"example.com": ["%s"]}`, strings.Join(w.names, `","`)))
	if w.inFull {
		var hosts []string
		for _, name := range w.names {
			hosts = append(hosts, dnsname.Display(dnsname.Absolute(name, zoneName)))
		}
		config = strings.Replace(config, fmt.Sprintf(`"domains": {"example.com": ["%s"]}`, strings.Join(w.names, `","`)), fmt.Sprintf(`"hosts": ["%s"]`, strings.Join(hosts, `","`)), 1)
	}
	if w.withdraws {
		config = withdrawing(config)
	}
	if w.ttl != "" {
		config = strings.Replace(config, "{", `{"ttl": "`+w.ttl+`",`, 1)
	}
	w.load(config)
}

func (w *world) newNames() {
	names := []string{"www", "blog", "@", "*"}
	w.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	w.names = names[:1+w.rand.IntN(len(names))]
	for _, name := range w.names {
		w.ever[name] = true
	}
}

func (w *world) newAddrs() {
	w.addrs = nil
	most := 1
	if w.character.Several {
		most = 3
	}
	for range 1 + w.rand.IntN(most) {
		w.addrs = append(w.addrs, w.anyAddr())
	}
	if w.rand.IntN(2) == 0 {
		w.addrs = append(w.addrs, fmt.Sprintf("2606:2800:220:1::%x", 1+w.rand.IntN(3)))
	}
	slices.Sort(w.addrs)
	w.addrs = slices.Compact(w.addrs)
	w.address(w.addrs...)
}

func (w *world) anyAddr() string { return fmt.Sprintf("93.184.216.%d", 1+w.rand.IntN(5)) }

func (w *world) pause() time.Duration {
	return []time.Duration{
		0, time.Duration(w.rand.IntN(5000)) * time.Millisecond,
		time.Duration(w.rand.IntN(20)) * time.Minute, time.Duration(w.rand.IntN(5)) * time.Hour,
	}[w.rand.IntN(4)]
}

func (w *world) oneOf(choices ...string) string { return choices[w.rand.IntN(len(choices))] }
