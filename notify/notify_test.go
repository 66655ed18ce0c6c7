package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/outbox"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify/internal/target"
)

func init() {
	caddy.RegisterModule(new(emitter))
	caddy.RegisterModule(new(stranger))
	caddy.RegisterModule(new(failing))
	caddy.RegisterModule(new(logWriter))
	recipientOf = func(raw string) (outbox.Recipient, error) {
		if name, ok := strings.CutPrefix(raw, "fake://s3cret@"); ok {
			return fake(name), nil
		}
		return target.Parse(raw)
	}
}

// world is what the recipients of the running test have got.
var world struct {
	sync.Mutex
	got   []string
	err   error
	takes time.Duration
	log   strings.Builder
}

// fake is a recipient in memory.
type fake string

func (f fake) String() string { return "fake://" + string(f) }

func (f fake) Deliver(title, text string) error {
	world.Lock()
	err, takes := world.err, world.takes
	world.Unlock()
	time.Sleep(takes)
	world.Lock()
	defer world.Unlock()
	if err == nil {
		host, _ := os.Hostname()
		world.got = append(world.got, string(f)+" "+strings.Replace(title, host+": ", "HOST ", 1)+" | "+strings.ReplaceAll(text, "\n", " / "))
	}
	return err
}

func recipientsAre(err error, takes time.Duration) {
	world.Lock()
	defer world.Unlock()
	world.err, world.takes = err, takes
}

// taken is what the recipients have got since the last time.
func taken() []string {
	synctest.Wait()
	world.Lock()
	defer world.Unlock()
	got := world.got
	world.got = nil
	slices.Sort(got)
	return got
}

func logged() string {
	world.Lock()
	defer world.Unlock()
	return world.log.String()
}

// emitter is an app with the ID of the one whose events there are texts for.
type emitter struct {
	ctx    caddy.Context
	events *caddyevents.App
}

func (*emitter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns", New: func() caddy.Module { return new(emitter) }}
}

func (e *emitter) Provision(ctx caddy.Context) error {
	e.ctx = ctx
	app, err := ctx.App("events")
	if err == nil {
		e.events = app.(*caddyevents.App)
	}
	return err
}

func (*emitter) Start() error { return nil }
func (*emitter) Stop() error  { return nil }

// stranger is another one.
type stranger struct{ emitter }

func (*stranger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stranger", New: func() caddy.Module { return new(stranger) }}
}

// failing does not start.
type failing struct{}

func (*failing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "notify_test_failing", New: func() caddy.Module { return new(failing) }}
}

func (*failing) Start() error { return errors.New("no idea") }
func (*failing) Stop() error  { return nil }

type logWriter struct{}

func (*logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.notify_test", New: func() caddy.Module { return new(logWriter) }}
}
func (*logWriter) String() string                        { return "notify_test" }
func (*logWriter) WriterKey() string                     { return "notify_test" }
func (w *logWriter) OpenWriter() (io.WriteCloser, error) { return w, nil }
func (*logWriter) Close() error                          { return nil }
func (*logWriter) Write(line []byte) (int, error) {
	world.Lock()
	defer world.Unlock()
	return world.log.Write(line)
}

// load loads Caddy with these handlers for all events.
func load(handlers string, others ...string) error {
	return caddy.Load(fmt.Appendf(nil, `{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"writer": {"output": "notify_test"}, "encoder": {"format": "json"}, "level": "DEBUG"}}},
		"apps": {%s}
	}`, strings.Join(append(others, `"dynamic_dns": {}`, `"stranger": {}`, `"events": {"subscriptions": [{"modules": ["dynamic_dns", "stranger"], "handlers": [`+handlers+`]}]}`), ", ")), true)
}

func mustLoad(t *testing.T, handlers string) {
	t.Helper()
	if err := load(handlers); err != nil {
		t.Fatal(err)
	}
}

// emit has the app emit an event, and says how long that took.
func emit(t *testing.T, app, name string, data map[string]any) time.Duration {
	t.Helper()
	value, err := caddy.ActiveContext().AppIfConfigured(app)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := value.(*emitter)
	ctx := caddy.Context{}
	if ok {
		ctx = e.ctx
	} else {
		s := value.(*stranger)
		e, ctx = &s.emitter, s.ctx
	}
	began := time.Now()
	e.events.Emit(ctx, name, data)
	return time.Since(began)
}

// bubble runs a test in fake time, and stops Caddy at its end.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		recipientsAre(nil, 0)
		world.got = nil
		world.log.Reset()
		defer func() {
			_ = caddy.Stop()
			recipientsAre(nil, 0)
			time.Sleep(time.Hour)
			if strings.Contains(logged(), "s3cret") {
				t.Errorf("the log has the secret: %s", logged())
			}
		}()
		test(t)
	})
}

func want(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := taken(); !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const toOne = `{"handler": "notify", "urls": ["fake://s3cret@one"]}`

// TestTexts: for each event one that says what happened.
func TestTexts(t *testing.T) {
	texts := map[string]struct {
		data string
		want string
	}{
		"address_changed": {`{"family": "ipv4", "new": "203.0.113.2", "old": "203.0.113.1", "source": "upnp"}`,
			"HOST IPv4 address changed | The IPv4 address is now 203.0.113.2, from upnp. It was 203.0.113.1 before."},
		"address_lost": {`{"family": "ipv6", "addresses": "2001:db8::1", "error": "no route"}`,
			"HOST IPv6 address lost | No IPv6 address is found any more. The last one was 2001:db8::1, which stays in DNS. no route"},
		"address_found": {`{"family": "ipv6", "addresses": "2001:db8::1", "source": "interface", "after": 7300}`,
			"HOST IPv6 address found again | The IPv6 address is 2001:db8::1, from interface. None had been found for 2 hours."},
		"records_changed": {`{"zone": "example.com", "provider": "cloudflare", "client": "home", "changes": "www A none -> 203.0.113.2"}`,
			"HOST example.com changed | Records of example.com at cloudflare were changed for the client home: www A none -> 203.0.113.2"},
		"update_failed": {`{"zone": "example.com", "provider": "cloudflare", "error": "reading records: forbidden", "attempt": 1}`,
			"HOST example.com cannot be updated | example.com at cloudflare cannot be updated, which is tried again: reading records: forbidden"},
		"recovered": {`{"zone": "example.com", "provider": "cloudflare", "after": 300}`,
			"HOST example.com can be updated again | example.com at cloudflare can be updated again. It could not be for 5 minutes."},
		"instance_joined": {`{"instance": "b", "host": "nas"}`, "HOST b has joined | The instance b on nas has joined the cluster."},
		"instance_gone":   {`{"instance": "b"}`, "HOST b is gone | The instance b of the cluster is gone. Its addresses are taken out of DNS."},
		"zone_taken_over": {`{"zone": "example.com", "provider": "rfc2136", "instance": "b"}`,
			"HOST example.com taken over | The instance b writes example.com at rfc2136 from now on."},
		"cert_obtained": {`{"identifier": "example.com", "renewal": true, "issuer": "acme", "csr_pem": "-----BEGIN\nCSR", "deep": {"a": 1}}`,
			"HOST cert_obtained | dynamic_dns: cert_obtained / identifier: example.com / issuer: acme / renewal: true"},
	}
	for event := range defaults {
		if _, ok := texts[event]; !ok {
			t.Errorf("the text for %s is not tested", event)
		}
	}
	bubble(t, func(t *testing.T) {
		mustLoad(t, toOne)
		for _, event := range slices.Sorted(maps.Keys(texts)) {
			var data map[string]any
			if err := json.Unmarshal([]byte(texts[event].data), &data); err != nil {
				t.Fatal(err)
			}
			if after, ok := data["after"].(float64); ok {
				data["after"] = int(after)
			}
			emit(t, "dynamic_dns", event, data)
			want(t, event, "one "+texts[event].want)
		}
		time.Sleep(time.Hour)
		emit(t, "stranger", "recovered", map[string]any{"zone": 5, "long": strings.Repeat("x", 5000), "err": errors.New("no")})
		want(t, "somebody else's", "one HOST recovered | stranger: recovered / err: no / long: "+strings.Repeat("x", maxValue-1)+"… / zone: 5")
	})
}

// TestOwnTexts: with Caddy's placeholders. One that does not exist is seen.
func TestOwnTexts(t *testing.T) {
	t.Setenv("NOTIFY_TEST", "here")
	bubble(t, func(t *testing.T) {
		mustLoad(t, `{"handler": "notify", "urls": ["fake://s3cret@one"],
			"title": "{event.name}\r\n{env.NOTIFY_TEST}", "message": "{event.data.zone} at {event.module}:\n{event.data.error} {event.data.zoen}"}`)
		emit(t, "dynamic_dns", "update_failed", map[string]any{"zone": "example.com", "error": "no"})
		want(t, "own texts", "one update_failed here | example.com at dynamic_dns: / no {event.data.zoen}")
	})
}

// TestPace: at most one message a minute about one event and zone, for each
// URL, with a count, whatever handler it comes from.
func TestPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustLoad(t, toOne+`, {"handler": "notify", "urls": ["fake://s3cret@one", "fake://s3cret@two"], "title": "x", "message": "y"}`)
		for range 10 {
			for _, zone := range []string{"a.example", "b.example"} {
				emit(t, "dynamic_dns", "update_failed", map[string]any{"zone": zone})
			}
			emit(t, "dynamic_dns", "address_lost", map[string]any{"family": "ipv4"})
			emit(t, "dynamic_dns", "address_lost", map[string]any{"family": "ipv6"})
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if got := taken(); len(got) != 8 {
			t.Errorf("at first %d messages", len(got))
		}
		time.Sleep(time.Hour)
		got := taken()
		if len(got) != 8 {
			t.Errorf("later %d messages", len(got))
		}
		for _, m := range got {
			if !strings.HasSuffix(m, " earlier messages like this were held back.") {
				t.Errorf("no count: %s", m)
			}
		}
	})
}

// TestToldTwice: two handlers that say the same of one event to one URL are one
// message.
func TestToldTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustLoad(t, toOne+", "+toOne)
		emit(t, "dynamic_dns", "instance_gone", map[string]any{"instance": "b"})
		time.Sleep(time.Hour)
		want(t, "told twice", "one HOST b is gone | The instance b of the cluster is gone. Its addresses are taken out of DNS.")
	})
}

// TestDelaysNobody: a service that hangs delays neither the emitter, a reload
// nor the stop, and what is sent in the end is the newest.
func TestDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		recipientsAre(nil, 10*time.Minute)
		mustLoad(t, toOne)
		for i := range 100 {
			if took := emit(t, "dynamic_dns", "update_failed", map[string]any{"zone": fmt.Sprint(i % 10)}); took > 0 {
				t.Fatalf("emitting took %s", took)
			}
		}
		began := time.Now()
		mustLoad(t, toOne)
		mustLoad(t, `{"handler": "notify", "urls": ["fake://s3cret@two"]}`)
		_ = caddy.Stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("reloading and stopping took %s", took)
		}
	})
}

// TestHeldMessageSurvivesReload, which may fail, and still counts.
func TestHeldMessageSurvivesReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		failed := func() {
			emit(t, "dynamic_dns", "update_failed", map[string]any{"zone": "a", "provider": "p", "error": "e"})
		}
		mustLoad(t, toOne)
		failed()
		taken()
		failed()
		failed()
		time.Sleep(20 * time.Second)
		mustLoad(t, toOne+`, {"handler": "notify", "urls": ["fake://s3cret@two"]}`)
		if err := load(toOne, `"notify_test_failing": {}`); err == nil {
			t.Error("the failing app did not fail")
		}
		failed()
		time.Sleep(30 * time.Second)
		want(t, "before the minute is over", "two HOST a cannot be updated | a at p cannot be updated, which is tried again: e")
		time.Sleep(10 * time.Second)
		want(t, "when the minute is over", "one HOST a cannot be updated | a at p cannot be updated, which is tried again: e /  / 2 earlier messages like this were held back.")
	})
}

// TestHeldMessageIsSentAtTheEnd: when its URL leaves the configuration, and
// when Caddy stops.
func TestHeldMessageIsSentAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T){
		"reload": func(t *testing.T) { mustLoad(t, `{"handler": "notify", "urls": ["fake://s3cret@two"]}`) },
		"stop":   func(*testing.T) { _ = caddy.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				mustLoad(t, toOne)
				for range 3 {
					emit(t, "dynamic_dns", "instance_gone", map[string]any{"instance": "b"})
					synctest.Wait()
				}
				taken()
				end(t)
				if got := taken(); len(got) != 1 || !strings.Contains(got[0], "1 earlier message") {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// TestExit: the end of the process waits for what is left to be sent, and for
// one second at most.
func TestExit(t *testing.T) {
	for _, test := range []struct{ takes, waits time.Duration }{{0, 0}, {400 * time.Millisecond, 400 * time.Millisecond}, {time.Hour, lastPatience}} {
		t.Run(test.takes.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				theEnd = sync.OnceValue(end)
				exiting = func() bool { return true }
				defer func() { exiting = caddy.Exiting }()
				mustLoad(t, toOne+`, {"handler": "notify", "urls": ["fake://s3cret@two"]}, {"handler": "notify", "urls": ["fake://s3cret@one", "fake://s3cret@three"]}`)
				recipientsAre(nil, test.takes)
				emit(t, "dynamic_dns", "instance_gone", map[string]any{"instance": "b"})
				began := time.Now()
				_ = caddy.Stop()
				if took := time.Since(began); took != test.waits {
					t.Errorf("the end took %s, want %s", took, test.waits)
				}
				if got := taken(); test.takes < time.Second && len(got) != 3 {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// TestFails: it is logged once, by the configuration that is running, without
// the secret, and tried again.
func TestFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		recipientsAre(errors.New("too busy"), 0)
		mustLoad(t, toOne)
		emit(t, "dynamic_dns", "instance_gone", map[string]any{"instance": "b"})
		time.Sleep(10 * time.Minute)
		mustLoad(t, toOne)
		recipientsAre(nil, 0)
		time.Sleep(10 * time.Minute)
		if got := taken(); len(got) != 1 || !strings.Contains(got[0], "That was at ") {
			t.Errorf("got %q", got)
		}
		for _, text := range []string{`"cannot send a notification; trying again`, `"to":"fake://one"`, `"notifications can be sent again"`, `"logger":"events.handlers.notify"`} {
			if !strings.Contains(logged(), text) {
				t.Errorf("no %s in the log:\n%s", text, logged())
			}
		}
		if n := strings.Count(logged(), "too busy"); n != 1 {
			t.Errorf("the failure is logged %d times:\n%s", n, logged())
		}
		if !strings.Contains(logged(), `"handler":{"urls":["fake://one"]}`) {
			t.Error("Caddy's debug log does not show the handler")
		}
	})
}

// TestRefused at load: what to write instead, without the secret.
func TestRefused(t *testing.T) {
	t.Setenv("NOTIFY_TEST_BAD", "https://ntfy.sh/s3cret")
	file := filepath.Join(t.TempDir(), "url")
	t.Setenv("NOTIFY_TEST_GOOD", " fake://s3cret@one\nfake://s3cret@two ")
	bubble(t, func(t *testing.T) {
		for urls, want := range map[string]string{
			``: "there is no URL to send to; write one, such as `ntfy://ntfy.sh/<topic>`",
			`"ntfy://ntfy.sh/s3cret", "smtp://s3cret@h"`: "urls[1]: fromAddress missing",
			`"{env.NOTIFY_TEST_BAD}"`:                    "urls[0]: https:// is no service; write it like `ntfy://ntfy.sh/<topic>`",
			`"{env.NOTIFY_TEST_NONE}"`:                   "the environment variable NOTIFY_TEST_NONE is not set",
			`"ntfy://h/{s3cret}"`:                        "a placeholder is empty or unknown",
		} {
			err := load(`{"handler": "notify", "urls": [` + urls + `]}`)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want %s", urls, err, want)
			}
		}
		mustLoad(t, `{"handler": "notify", "urls": ["{env.NOTIFY_TEST_GOOD}"]}`)
		emit(t, "dynamic_dns", "instance_gone", map[string]any{"instance": "b"})
		if got := taken(); len(got) != 2 {
			t.Errorf("a placeholder for two URLs: got %q", got)
		}
		if err := os.WriteFile(file, []byte("fake://s3cret@three\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		mustLoad(t, `{"handler": "notify", "urls": ["{file.`+file+`}"]}`)
		emit(t, "dynamic_dns", "instance_joined", map[string]any{"instance": "b"})
		if got := taken(); len(got) != 1 || !strings.HasPrefix(got[0], "three ") {
			t.Errorf("a placeholder for a file: got %q", got)
		}
	})
}

func TestEachRecipient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mustLoad(t, toOne)
		app, _ := caddy.ActiveContext().AppIfConfigured("events")
		app.(*caddyevents.App).Subscriptions[0].Handlers[0].(*Handler).EachRecipient(func(_, name string, send func(context.Context, string, string) error) {
			if name != "fake://one" {
				t.Errorf("the name is %s", name)
			}
			if err := send(t.Context(), "a", "b"); err != nil {
				t.Error(err)
			}
		})
		want(t, "sent by hand", "one a | b")
	})
}

// FuzzTexts: whatever an event has in it and people write, the title is a short
// line and the text not long.
func FuzzTexts(f *testing.F) {
	f.Add("{event.name}", "{event.data.zone} {env.HOME}", "update_failed", "zone", "example.com")
	f.Add("", "", "recovered", "after", "\r\nSubject: x")
	f.Add("{", "{{{}}}", "address_changed", "family", "\x00\xff")
	f.Add("\\{event.data.\n}", strings.Repeat("ü", 5000), "x", "", strings.Repeat("{event.data.a}", 1000))
	f.Fuzz(func(t *testing.T, title, text, event, key, value string) {
		e, err := caddy.NewEvent(caddy.Context{}, event, map[string]any{key: value, "a": value})
		if err != nil {
			return
		}
		m := message(e, title, text, caddy.NewReplacer())
		for _, module := range []caddy.ModuleID{"", "dynamic_dns"} {
			title, text := describe(module, event, e.Data)
			m.Title += oneLine(title, maxTitle)
			m.Text += shorten(text, maxText)
		}
		if strings.ContainsAny(m.Title, "\r\n\x00") || len([]rune(m.Title)) > 3*maxTitle || len([]rune(m.Text)) > 3*maxText {
			t.Errorf("%q %q", m.Title, m.Text)
		}
	})
}
