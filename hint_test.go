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
