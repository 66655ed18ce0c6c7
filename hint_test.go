package dynamicdns

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestNoHint: wrong advice is worse than none.
func TestNoHint(t *testing.T) {
	for name, domains := range map[string]string{
		"the zone is there":          `{"home.example.com": ["www"]}`,
		"the parent is nobody's own": `{"example.co.uk": ["www"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(standin.Character{ListsZones: name == "the zone is there"}, zoneName, "home.example.com.", "example.co.uk.")
				z.Fail(func(c standin.Call) standin.Fault {
					if c.Method == standin.List {
						return standin.Fault{}
					}
					return standin.Fault{Err: errors.New("no such zone")}
				})
				l.address(addr1)
				l.load(appConfig(z.Register(), domains))
				l.wait(time.Hour)
				if text := l.wholeLog(); strings.Contains(text, "write `") {
					t.Errorf("gave a hint:\n%s", text)
				}
			})
		})
	}
}

// TestZoneHint: what people get wrong most is which part of a name is the
// zone.
func TestZoneHint(t *testing.T) {
	for name, test := range map[string]struct {
		character standin.Character
		domains   string
		want      string
	}{
		"zones can be listed": {standin.Character{ListsZones: true}, `{"blog.example.com": ["@"]}`,
			`the provider has the zone \"example.com\", of which this is a part: write ` + "`example.com blog`"},
		"a name below": {standin.Character{ListsZones: true}, `{"blog.example.com": ["www"]}`, "write `example.com www.blog`"},
		"zones cannot be listed": {standin.Character{}, `{"blog.example.com": ["@"]}`,
			`is \"blog.example.com\" a zone at the provider, or a name in one? If the zone is \"example.com\", write ` + "`example.com blog`"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(l *lab) {
				z := standin.New(test.character, zoneName)
				l.address(addr1)
				l.load(appConfig(z.Register(), test.domains))
				l.wait(time.Hour)
				if !strings.Contains(l.wholeLog(), test.want) {
					t.Errorf("want %s in the log:\n%s", test.want, l.wholeLog())
				}
				if n := z.Count(standin.List, ""); n > 1 {
					t.Errorf("listed the zones %d times", n)
				}
			})
		})
	}
}
