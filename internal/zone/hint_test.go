package zone

import "testing"

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
