package ledger

import (
	"fmt"
	"testing"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// TestRemoved: what is to be taken away is all that may still be there, also
// what DNS had when it did not follow, and across a restart.
func TestRemoved(t *testing.T) {
	for _, tc := range []struct {
		name    string
		settled []bool
		want    string
	}{
		{"DNS has followed", []bool{true, true, true, true}, "[192.0.2.3]"},
		{"not the last", []bool{true, true, true, false}, "[192.0.2.2 192.0.2.3]"},
		{"none", []bool{true, false, false, false}, "[192.0.2.1 192.0.2.2 192.0.2.3]"},
		{"but the last", []bool{true, false, false, true}, "[192.0.2.3]"},
	} {
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		for i, r := range []Record{set("192.0.2.1"), set("192.0.2.2"), set("192.0.2.3"), {State: plan.None}} {
			p := start(t, "one", storage)
			u := update(home, r, Record{})
			u.Settled[ipaddr.V4] = tc.settled[i]
			p.store(u)
			if i == 3 {
				if got := fmt.Sprint(p.Lookup(home).Records[ipaddr.V4].Addrs); got != tc.want {
					t.Errorf("%s: takes away %s, want %s", tc.name, got, tc.want)
				}
			}
		}
	}
}

func TestRemovedIsBounded(t *testing.T) {
	p := start(t, "one", &certmagic.FileStorage{Path: t.TempDir()})
	for i := range 2 * maxEarlier {
		p.store(update(home, set(fmt.Sprintf("192.0.2.%d", i)), Record{}))
	}
	p.store(update(home, Record{State: plan.None}, Record{}))
	gone := p.Lookup(home).Records[ipaddr.V4].Addrs
	if len(gone) != maxEarlier || gone[len(gone)-1].String() != fmt.Sprintf("192.0.2.%d", 2*maxEarlier-1) {
		t.Errorf("takes away %v", gone)
	}
}
