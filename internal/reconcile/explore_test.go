package reconcile

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// exploreStates is how many distinct states each provider is explored to. The
// race detector has nothing to find in a machine without goroutines, and takes
// ten times as long.
const exploreStates = 100_000

// TestExplore drives the machine through every interleaving of a small world:
// two names, two addresses and a stranger's, each kind of provider, calls that
// fail, get lost or hang, an address that comes and goes, reloads and other
// people's edits. In every state that it comes to, it checks what must never
// be, and that calm leads to what is desired.
func TestExplore(t *testing.T) {
	most := exploreStates
	if testing.Short() || race {
		most /= 20
	}
	results := make([]*exploration, len(explored))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, kind := range explored {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = explore(kind, most)
		})
	}
	wg.Wait()
	states, transitions, depth := 0, 0, 0
	for i, x := range results {
		t.Logf("%s: explored %d states, %d transitions, depth %d", explored[i].name, len(x.nodes), x.transitions, x.depth)
		states, transitions, depth = states+len(x.nodes), transitions+x.transitions, max(depth, x.depth)
		if x.failure != "" {
			t.Errorf("%s: %s\n%s", explored[i].name, x.failure, x.script)
		}
	}
	t.Logf("explored %d states, %d transitions, depth %d", states, transitions, depth)
	if states < 1_000_000 && most == exploreStates && !t.Failed() {
		t.Errorf("explored %d states, want a million", states)
	}
}

// exploration is a search in breadth.
type exploration struct {
	kind        kind
	nodes       []node
	seen        map[uint64]bool
	calm        map[uint64]bool
	transitions int
	depth       int
	failure     string
	script      string
}

// node says how a state was come to.
type node struct {
	parent int32
	move   move
}

var digestSeed = maphash.MakeSeed()

func explore(k kind, most int) *exploration {
	x := &exploration{kind: k, seen: make(map[uint64]bool), calm: make(map[uint64]bool)}
	type place struct {
		w  *world
		at int32
	}
	level := []place{}
	arrive := func(w *world, parent int32, mv move) {
		digest := w.digest()
		if x.seen[digest] {
			return
		}
		x.seen[digest] = true
		x.nodes = append(x.nodes, node{parent, mv})
		at := int32(len(x.nodes) - 1)
		problem := w.problem()
		if problem == "" {
			problem = x.converges(w)
		}
		if problem != "" {
			x.failure, x.script = problem, x.replay(at)
			return
		}
		level = append(level, place{w, at})
	}
	arrive(newWorld(k), -1, 0)
	for len(level) > 0 && x.failure == "" {
		frontier := level
		level = nil
		for _, p := range frontier {
			for mv := range moves {
				next, ok := p.w.do(mv)
				if !ok {
					continue
				}
				x.transitions++
				if arrive(next, p.at, mv); x.failure != "" || len(x.nodes) >= most {
					return x
				}
			}
		}
		x.depth++
	}
	return x
}

// converges follows the one way in which nothing more goes wrong.
func (x *exploration) converges(w *world) string {
	var path []uint64
	for range 400 {
		digest := w.digest()
		if x.calm[digest] {
			break
		}
		path = append(path, digest)
		if w.settled() {
			if problem := w.wrong(); problem != "" {
				return "in calm, " + problem
			}
			break
		}
		next, ok := w.calmly()
		if !ok {
			return "in calm, there is nothing to do, and " + w.wrong()
		}
		if problem := next.problem(); problem != "" {
			return "in calm, " + problem
		}
		w = next
		if len(path) == 400 {
			return "in calm, it never settles"
		}
	}
	for _, digest := range path {
		x.calm[digest] = true
	}
	return ""
}

// replay tells how a state was come to, as a script.
func (x *exploration) replay(at int32) string {
	var way []move
	for ; at > 0; at = x.nodes[at].parent {
		way = append(way, x.nodes[at].move)
	}
	var b strings.Builder
	w := newWorld(x.kind)
	begin := w.now
	tell := func(what string) {
		fmt.Fprintf(&b, "%8s  %-34s %s\n", w.now.Sub(begin).Round(time.Second), what, w)
	}
	tell("start")
	for i := len(way) - 1; i >= 0; i-- {
		what := w.describe(way[i])
		w, _ = w.do(way[i])
		tell(what)
	}
	for range 40 {
		if w.settled() || w.problem() != "" {
			break
		}
		what := "calm: " + w.describeCalm()
		next, ok := w.calmly()
		if !ok {
			break
		}
		w = next
		tell(what)
	}
	return b.String()
}
