package dynamicdns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

const (
	addr1 = "93.184.216.34"
	addr2 = "93.184.216.35"
	addr3 = "93.184.216.36"
	addr6 = "2606:2800:220:1::1"
)

// strangers are records that are none of our business. The last is of a
// managed name, and of another type.
var strangers = []libdns.RR{
	record("@", "MX", "10 mail.example.com."),
	record("@", "TXT", "v=spf1 -all"),
	record("mail", "A", "192.0.2.25"),
	record("_sip._tcp", "SRV", "1 2 5060 sip.example.com."),
	record("www", "TXT", "hello"),
}

func appConfig(provider, domains string) string {
	return fmt.Sprintf(`{
		"ip_sources": [{"source": "fake"}],
		"dns_provider": {"name": %q, "token": %q},
		"domains": %s,
		"watch": false
	}`, provider, standin.Token, domains)
}

// behaviour is something that every provider must be brought to do, whatever
// its character.
type behaviour struct {
	name string
	// needs tells which characters can do it at all.
	needs func(standin.Named) bool
	// there are the records at the start, beside the strangers.
	there []libdns.RR
	// do changes something, once Caddy has run for a while.
	do func(l *lab, z *standin.Zones, name string)
	// addrs are the machine's addresses at the start.
	addrs []string
	// want are the addresses of "www" in the end.
	want []string
}

var behaviours = []behaviour{
	{
		name:  "a missing record is created",
		addrs: []string{addr1},
		want:  []string{addr1},
	},
	{
		name:  "a wrong record is changed",
		addrs: []string{addr1},
		there: []libdns.RR{record("www", "A", addr2)},
		want:  []string{addr1},
	},
	{
		name:  "an address changes",
		addrs: []string{addr1},
		do:    func(l *lab, _ *standin.Zones, _ string) { l.address(addr2) },
		want:  []string{addr2},
	},
	{
		name:  "both families",
		addrs: []string{addr1, addr6},
		want:  []string{addr1, addr6},
	},
	{
		name:  "several addresses",
		needs: func(n standin.Named) bool { return n.Several },
		addrs: []string{addr1, addr2},
		want:  []string{addr1, addr2},
	},
	{
		name:  "one becomes several",
		needs: func(n standin.Named) bool { return n.Several },
		addrs: []string{addr2},
		do:    func(l *lab, _ *standin.Zones, _ string) { l.address(addr1, addr2) },
		want:  []string{addr1, addr2},
	},
	{
		name:  "several become one of them",
		needs: func(n standin.Named) bool { return n.Several },
		addrs: []string{addr1, addr2},
		do:    func(l *lab, _ *standin.Zones, _ string) { l.address(addr2) },
		want:  []string{addr2},
	},
	{
		name:  "several become another",
		needs: func(n standin.Named) bool { return n.Several },
		addrs: []string{addr1, addr2},
		do:    func(l *lab, _ *standin.Zones, _ string) { l.address(addr3) },
		want:  []string{addr3},
	},
	{
		name:  "several become several others",
		needs: func(n standin.Named) bool { return n.Several },
		addrs: []string{addr1, addr2},
		do:    func(l *lab, _ *standin.Zones, _ string) { l.address(addr2, addr3) },
		want:  []string{addr2, addr3},
	},
	{
		name:  "drift is repaired",
		needs: func(n standin.Named) bool { return n.Reads },
		addrs: []string{addr1},
		do: func(_ *lab, z *standin.Zones, name string) {
			z.Drop("example.com.", name, "A")
			z.Put("example.com.", record(name, "A", "192.0.2.66"))
		},
		want: []string{addr1},
	},
}

// mostWrites is how many calls that write a behaviour may take, where it is
// more than two: one that makes the records right at the start and one when
// something has changed. A provider that does less than it was told needs
// more, and where the first calls fail these count too.
var mostWrites = map[string]int{
	// It can only be told again, each hour that it shows nothing.
	"acmedns":                             13,
	"appends and deletes only":            3,
	"appends and deletes only, by record": 3,
	"cloudflare":                          5,
	"first write fails":                   6,
	"first write fails halfway":           4,
	"gandi":                               3,
	"godaddy":                             4,
	"hetzner":                             4,
	"netcup":                              4,
	"porkbun":                             3,
	"token in errors":                     6,
	"write panics":                        3,
}

// TestConverge runs every behaviour through every provider. Six hours are
// more than the longest pause before an accepted write is tried again.
func TestConverge(t *testing.T) {
	for _, character := range standin.Characters() {
		t.Run(character.Name, func(t *testing.T) {
			for _, b := range behaviours {
				if b.needs != nil && !b.needs(character) {
					continue
				}
				t.Run(b.name, func(t *testing.T) {
					bubble(t, func(l *lab) { converge(l, character, b) })
				})
			}
		})
	}
}

func converge(l *lab, character standin.Named, b behaviour) {
	const zone = "example.com."
	z := standin.New(character.Character, zone)
	z.Put(zone, strangers...)
	z.Put(zone, b.there...)
	l.address(b.addrs...)
	domains := `{"example.com": ["www"]}`
	name := "www"
	if !character.ReadsNames {
		// Only the zone itself can be told apart there.
		domains, name = `{"example.com": ["@"]}`, "@"
		for _, rr := range b.there {
			z.Drop(zone, "www", rr.Type)
			rr.Name = "@"
			z.Put(zone, rr)
		}
		z.Drop(zone, "mail", "A")
	}
	l.load(appConfig(z.Register(), domains))
	l.wait(6 * time.Hour)
	if b.do != nil {
		b.do(l, z, name)
		l.wait(6 * time.Hour)
	}

	var got []string
	got = append(got, z.Values(zone, name, "A")...)
	got = append(got, z.Values(zone, name, "AAAA")...)
	slices.Sort(got)
	// Several records with one address are as good as one.
	got = slices.Compact(got)
	if want := slices.Sorted(slices.Values(b.want)); !slices.Equal(got, want) {
		l.t.Errorf("got %v, want %v", got, want)
	}
	for _, key := range z.Touched(zone) {
		if key.Name != name || key.Type != "A" && key.Type != "AAAA" {
			l.t.Errorf("touched %v, which is not ours", key)
		}
	}
	if overlaps := z.Overlaps(); len(overlaps) > 0 {
		l.t.Errorf("calls overlap: %v", overlaps)
	}
	if emptied := z.Emptied(zone); character.KeepsNames && character.Reads && len(emptied) > 0 {
		l.t.Errorf("left without an address: %v", emptied)
	}
	if strings.Contains(l.wholeLog(), standin.Token) {
		l.t.Errorf("the token is in the log:\n%s", l.wholeLog())
	}
	writes := z.Count(standin.Set, "") + z.Count(standin.Append, "") + z.Count(standin.Delete, "")
	if most := max(2, mostWrites[character.Name]); writes > most {
		l.t.Errorf("%d calls that write, want at most %d", writes, most)
	}
	if l.t.Failed() {
		for _, c := range z.Calls() {
			l.t.Logf("%s %s %v: %v", c.Began.Format("15:04:05"), c.Method, c.Records, c.Err)
		}
		for _, line := range l.logged("info", "") {
			l.t.Log(line)
		}
	}

	before := z.Count("", "")
	l.wait(50 * time.Minute)
	if calls := z.Count("", "") - before; character.ReadsNow && calls > 1 {
		l.t.Errorf("%d calls within one verify interval of being in sync", calls)
	}
}

var errNetwork = errors.New("network is unreachable")
