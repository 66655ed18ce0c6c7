package lease

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// TestOlderEntry: an entry that a storage returns which has not caught up is no
// news, neither of addresses nor of a life.
func TestOlderEntry(t *testing.T) {
	id, key := ZoneID{Zone: "example.com.", Provider: "p"}, plan.Key{Name: "www", Family: ipaddr.V4}
	entry := func(seq uint64, addr string) Entry {
		s := Set{ZoneID: id, Names: []string{"www"}}
		s.Found[ipaddr.V4] = &Found{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
		return Entry{Name: "b", Process: "p1", Lease: 15, Seq: seq, Sets: []Set{s}}
	}
	r := New("a", "p0", "")
	r.Configure(All, 15*time.Second)
	now := time.Now()
	for n, e := range []Entry{entry(4, "192.0.2.1"), entry(5, "192.0.2.2"), entry(4, "192.0.2.1"), entry(5, "192.0.2.2"), entry(4, "192.0.2.1")} {
		now = now.Add(4 * time.Second)
		_, changed := r.Observe(now, []Entry{e})
		if n > 1 && changed {
			t.Errorf("look %d has brought something new", n)
		}
		if d := r.Desired(id, now)[key]; n > 1 && (d == nil || !slices.Equal(d.Addrs, entry(0, "192.0.2.2").Sets[0].Found[ipaddr.V4].Addrs)) {
			t.Errorf("look %d: desired %v", n, d)
		}
	}
	now = now.Add(4 * time.Second)
	if _, changed := r.Observe(now, []Entry{entry(5, "192.0.2.2")}); !changed || len(r.Alive(now)) != 0 {
		t.Error("one that has not renewed its lease is alive")
	}
}
