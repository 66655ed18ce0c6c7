package lease

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// machine is an instance with a clock of its own.
type machine struct {
	*Roster
	name  string
	clock time.Time
	gone  bool
}

// tick is one second of all machines: each stores what it has to say, reads
// what the others have, and takes zones over that nobody writes. It returns
// what each believes.
func tick(machines []*machine, stored map[string][]byte) (believed []string) {
	id := ZoneID{Zone: "example.com.", Provider: "test"}
	for _, m := range machines {
		m.clock = m.clock.Add(time.Second)
		if m.gone {
			continue
		}
		entry := m.Next()
		stored[m.name], _ = entry.Encode()
		m.Stored(m.clock)
		var others []Entry
		for name, data := range stored {
			if e, err := Decode(data); err == nil && name != m.name {
				others = append(others, e)
			}
		}
		m.Observe(m.clock, others)
		if ids, _ := m.Vacant(m.clock); len(ids) > 0 {
			entry := m.Claiming(ids)
			stored[m.name], _ = entry.Encode()
			m.Claimed(ids)
		}
		m.Settle(m.clock)
		var alive []string
		for _, e := range m.Alive(m.clock) {
			alive = append(alive, e.Name)
		}
		d := m.Desired(id, m.clock)[plan.Key{Name: "www"}]
		believed = append(believed, fmt.Sprintf("%s: alive %v, holds %v, writes %v", m.name, alive, d.Addrs, m.Writes(id, m.clock)))
	}
	return believed
}

// story is what machines whose clocks are off by these come to believe, second
// by second: one dies, another one moves, and the first comes back.
func story(share Share, off ...time.Duration) string {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stored := make(map[string][]byte)
	var machines []*machine
	begin := func(name, process string, addr byte, clock time.Time) *machine {
		m := &machine{Roster: New(name, process, "host"), name: name, clock: clock}
		m.Configure(share, 10*time.Second)
		m.move(addr)
		return m
	}
	for i, d := range off {
		machines = append(machines, begin(string(rune('a'+i)), "p", byte(i+1), now.Add(d)))
	}
	var lines []string
	run := func(seconds int) {
		for range seconds {
			lines = append(lines, tick(machines, stored)...)
		}
	}
	run(30)
	machines[0].gone = true
	run(30)
	machines[1].move(22)
	run(5)
	machines[0] = begin("a", "q", 11, machines[0].clock)
	run(30)
	return strings.Join(lines, "\n")
}

func (m *machine) move(addr byte) {
	set := Set{ZoneID: ZoneID{Zone: "example.com.", Provider: "test"}, Names: []string{"www"}}
	set.Found[ipaddr.V4] = &Found{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, addr})}}
	m.Publish([]Set{set})
}

// TestClocks: clocks that are off by minutes, by an hour or by decades change
// nothing at any second.
func TestClocks(t *testing.T) {
	for _, share := range []Share{All, First} {
		right := story(share, 0, 0, 0)
		for _, what := range []string{"b: alive [a b c], holds", "b: alive [b c], holds", "writes true"} {
			if !strings.Contains(right, what) {
				t.Fatalf("nothing happened: no %q in\n%s", what, right)
			}
		}
		for _, off := range [][]time.Duration{
			{0, 4 * time.Minute, -7 * time.Minute},
			{time.Hour, 0, -time.Hour},
			{-30 * 365 * 24 * time.Hour, 0, time.Minute},
		} {
			got := story(share, off...)
			if got == right {
				continue
			}
			a, b := strings.Split(right, "\n"), strings.Split(got, "\n")
			i := 0
			for ; i < min(len(a), len(b)) && a[i] == b[i]; i++ {
			}
			t.Errorf("%s, off by %v: line %d is\n%s\nwant\n%s", share, off, i, b[i], a[i])
		}
	}
}
