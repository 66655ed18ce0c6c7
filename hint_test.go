package dynamicdns

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

func TestSaysThatThereIsNoZone(t *testing.T) {
	for text, want := range map[string]bool{
		`expected 1 zone, got 0 for home.example.com`:    true,
		`NoSuchHostedZone: no hosted zone found`:         true,
		`HostedZoneNotFound: no match`:                   true,
		`zone not found: home.example.com`:               true,
		`domain home.example.com does not exist`:         true,
		`dns response error code "NOTAUTH" (9)`:          true,
		`unknown domain: home.example.com`:               true,
		`zone home.example.com: invalid access token`:    false,
		`404 page not found`:                             false,
		`no domain permission: 403`:                      false,
		`zone home.example.com.: record www A not found`: false,
		`Get "https://api.cloudflare.com/client/v4/zones?name=home.example.com": dial tcp: lookup api.cloudflare.com: no such host`: false,
		`Get "https://api.example.net/v2/domains/home.example.com": context deadline exceeded`:                                      false,
	} {
		if got := noSuchZone.MatchString(text) && !otherAilment.MatchString(text); got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
}

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
