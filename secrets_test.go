package dynamicdns

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestSecrets looks for the provider's token wherever the app shows
// something, while each of the provider's calls fails or panics with the
// token in its text.
func TestSecrets(t *testing.T) {
	secret := standin.Token + "/with space"
	leak := errors.New(`Get "https://dns.test/?token=` + url.QueryEscape(secret) + `": refused ` + secret + " and " + url.PathEscape(secret))
	for name, fault := range map[string]standin.Fault{
		"error":    {Err: leak},
		"panic":    {Do: func() { panic(leak) }},
		"half way": {Err: leak, After: 1},
	} {
		for _, methods := range [][]string{
			{standin.Get}, {standin.Set}, {standin.Append}, {standin.Get, standin.Set, standin.Append, standin.Delete},
		} {
			t.Run(name+" of "+strings.Join(methods, "+"), func(t *testing.T) {
				bubble(t, func(l *lab) {
					takeEvents()
					z := standin.New(standin.Character{PerRecord: true}, zoneName)
					z.Put(zoneName, record("www", "A", addr1), record("@", "CNAME", "elsewhere.example.net."))
					z.Fail(func(c standin.Call) standin.Fault {
						for _, method := range methods {
							if c.Method == method {
								return fault
							}
						}
						return standin.Fault{}
					})
					l.address(addr1, addr2)
					l.loadRecording(strings.Replace(appConfig(z.Register(), `{"example.com": ["@", "www", "new"]}`), standin.Token, secret, 1))
					l.wait(30 * time.Minute)
					shown := strings.Join(takeEvents(), "\n") + l.scrape()
					for method, paths := range map[string][]string{
						http.MethodGet:  {"status", "health", "plan"},
						http.MethodPost: {"check", "plan", "nonsense"},
					} {
						for _, what := range paths {
							_, body := l.ask(method, what)
							shown += body
						}
					}
					// What fails in one way may work in another.
					if methods[0] == standin.Get && len(l.logged("debug", "[redacted]")) == 0 {
						t.Error("no failure is in the log at all")
					}
					shown += l.wholeLog()
					for _, s := range []string{secret, standin.Token, url.QueryEscape(secret), url.PathEscape(secret)} {
						if i := strings.Index(shown, s); i >= 0 {
							t.Errorf("found the secret: %s", shown[max(0, i-300):min(len(shown), i+100)])
						}
					}
				})
			})
		}
	}
}
