package dynamicdns

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/events"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

func init() {
	caddy.RegisterModule(new(eventRecorder))
	caddy.RegisterModule(new(slowApp))
}

// recorded are the events that handlers of the running test got.
var recorded struct {
	sync.Mutex
	events []caddy.Event
	// pause is how long a handler takes.
	pause time.Duration
	panic bool
}

// eventRecorder is an event handler that remembers, slowly if need be.
type eventRecorder struct{}

func (*eventRecorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.dynamic_dns_test", New: func() caddy.Module { return new(eventRecorder) }}
}

func (*eventRecorder) Handle(_ context.Context, e caddy.Event) error {
	recorded.Lock()
	recorded.events = append(recorded.events, e)
	pause, doPanic := recorded.pause, recorded.panic
	recorded.Unlock()
	time.Sleep(pause)
	if doPanic {
		panic("no idea")
	}
	return nil
}

const recordEvents = `"events": {"subscriptions": [{"modules": ["dynamic_dns"], "handlers": [{"handler": "dynamic_dns_test"}]}]}`

func (l *lab) loadRecording(config string) {
	l.t.Helper()
	if err := l.tryLoad(config, recordEvents); err != nil {
		l.t.Fatal(err)
	}
}

// events returns the events of a name since the last time, or all.
func takeEvents(names ...string) []string {
	recorded.Lock()
	defer recorded.Unlock()
	var out []string
	for _, e := range recorded.events {
		if len(names) == 0 || slices.Contains(names, e.Name()) {
			data, _ := json.Marshal(e.Data)
			out = append(out, e.Name()+" "+string(data))
		}
	}
	recorded.events = nil
	return out
}

func handlersAre(pause time.Duration, panics bool) {
	recorded.Lock()
	defer recorded.Unlock()
	recorded.pause, recorded.panic = pause, panics
}

func wantEvents(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := takeEvents(); !slices.Equal(got, want) {
		t.Errorf("%s: got events\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMisnamedEvent: a name that no event has is said when it is loaded.
func TestMisnamedEvent(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		for _, name := range []string{"address_change", "cert_failed"} {
			if err := l.tryLoad(config, `"events": {"subscriptions": [{"events": ["`+name+`"], "handlers": [{"handler": "dynamic_dns_test"}]}]}`); err != nil {
				t.Fatal(err)
			}
		}
		if lines := l.logged("warn", "wait in vain"); len(lines) != 1 {
			t.Errorf("logged %v", lines)
		}
	})
}

// TestEventsArePresented: the page of events has a line for each.
func TestEventsArePresented(t *testing.T) {
	page, err := os.ReadFile("examples/events/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, match := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, match[1])
	}
	if !slices.Equal(rows, events.Names) {
		t.Errorf("the page has %v, there are %v", rows, events.Names)
	}
}

func TestEvents(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		l.loadRecording(config)
		l.wait(time.Minute)
		provider := strings.Split(strings.SplitAfter(config, `"name": "`)[1], `"`)[0]
		changed := func(from, to string) string {
			return fmt.Sprintf(`records_changed {"changes":[{"name":"www","type":"A","reason":"%s","from":[%s],"to":["%s"],"ttl":300,"source":"fake"}],"provider":"%s","zone":"example.com"}`,
				map[bool]string{true: "there is no such record", false: "the addresses differ"}[from == ""], from, to, provider)
		}
		wantEvents(t, "at the start",
			`address_changed {"family":"ipv4","new":["`+addr1+`"],"old":[],"source":"fake"}`,
			changed("", addr1))

		l.loadRecording(config)
		l.wait(3 * time.Hour)
		wantEvents(t, "in the steady state")

		fail := func(err string) {
			z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: fmt.Errorf("%s", err)} })
		}
		failed := func(err string) string {
			return fmt.Sprintf(`update_failed {"attempt":1,"error":"reading records: %s","provider":"%s","zone":"example.com"}`, err, provider)
		}
		fail("request 123: forbidden")
		l.wait(90 * time.Minute)
		fail("request 456: forbidden")
		l.wait(90 * time.Minute)
		l.loadRecording(config)
		l.wait(time.Minute)
		wantEvents(t, "failing", failed("request 123: forbidden"))
		fail("gone")
		l.wait(30 * time.Minute)
		if got := takeEvents(); len(got) != 1 || !strings.HasPrefix(got[0], "update_failed") || !strings.Contains(got[0], `"error":"reading records: gone"`) {
			t.Errorf("failing for another reason: %v", got)
		}
		z.Fail(nil)
		l.wait(30 * time.Minute)
		if got := takeEvents(); len(got) != 1 || !strings.HasPrefix(got[0], `recovered {"after":`) {
			t.Errorf("recovered: %v", got)
		}

		l.address(addr2)
		l.wait(10 * time.Minute)
		wantEvents(t, "another address",
			`address_changed {"family":"ipv4","new":["`+addr2+`"],"old":["`+addr1+`"],"source":"fake"}`,
			changed(`"`+addr1+`"`, addr2))
	})
}

// TestEventOfLateRecord: a record that the provider shows late is an event
// when it is seen, and only then.
func TestEventOfLateRecord(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		z := standin.New(standin.Character{ReadsLag: 5 * time.Minute}, zoneName)
		z.Put(zoneName, record("www", "A", addr2))
		l.address(addr1)
		l.loadRecording(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(20 * time.Second)
		if got := takeEvents("records_changed"); len(got) != 0 {
			t.Errorf("before it is seen: %v", got)
		}
		l.wait(time.Hour)
		got := takeEvents("records_changed")
		if len(got) != 1 || !strings.Contains(got[0], `"to":["`+addr1+`"]`) {
			t.Errorf("once it is seen: %v", got)
		}
	})
}

// slowApp takes a second to start.
type slowApp struct{}

func (*slowApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dynamic_dns_test_slow", New: func() caddy.Module { return new(slowApp) }}
}

func (*slowApp) Start() error {
	time.Sleep(time.Second)
	return nil
}

func (*slowApp) Stop() error { return nil }

// TestEventsAreNotLostAtStart: apps start in any order, and the handlers of
// events are bound in the start of one of them.
func TestEventsAreNotLostAtStart(t *testing.T) {
	bubble(t, func(l *lab) {
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		config := appConfig(z.Register(), `{"example.com": ["www"]}`)
		for i := range 50 {
			takeEvents()
			if err := l.tryLoad(config, recordEvents, `"dynamic_dns_test_slow": {}`); err != nil {
				t.Fatal(err)
			}
			l.wait(time.Minute)
			if got := takeEvents(); len(got) != 2 {
				t.Fatalf("start %d: events %v", i, got)
			}
			l.stop()
			z.Drop(zoneName, "www", "A")
		}
	})
}

// TestSlowEventHandler: it holds up neither zones nor the stop of Caddy, and
// the log says that it is slow.
func TestSlowEventHandler(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		handlersAre(time.Minute, false)
		defer handlersAre(0, false)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.loadRecording(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Second)
		if got := z.Values(zoneName, "www", "A"); len(got) != 1 {
			t.Errorf("a slow handler keeps the record from being written: %v", got)
		}
		l.wait(6 * time.Second)
		if got := takeEvents(); len(got) != 2 {
			t.Errorf("a slow handler keeps other events from being emitted: %v", got)
		}
		if n := len(l.logged("warn", "handlers take long")); n != 1 {
			t.Errorf("the slowness was logged %d times", n)
		}
		began := time.Now()
		l.stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %s", took)
		}
		l.wait(2 * time.Minute)
	})
}

// TestEventsAreNotLostAtStop: those that wait behind a slow handler.
func TestEventsAreNotLostAtStop(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		handlersAre(4*time.Second, false)
		defer handlersAre(0, false)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.loadRecording(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Second)
		l.stop()
		l.wait(time.Minute)
		if got := takeEvents(); len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})
}

func TestPanickingEventHandler(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		handlersAre(0, true)
		defer handlersAre(0, false)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.loadRecording(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		if got := takeEvents(); len(got) != 2 {
			t.Errorf("got %v", got)
		}
		if n := len(l.logged("error", "handler panicked")); n != 2 {
			t.Errorf("logged %d times", n)
		}
	})
}

// TestManyEvents: handlers that never return cost a bounded number of
// goroutines, and what is lost is said.
func TestManyEvents(t *testing.T) {
	bubble(t, func(l *lab) {
		takeEvents()
		handlersAre(24*time.Hour, false)
		defer handlersAre(0, false)
		z := standin.New(standin.Character{}, zoneName)
		l.address(addr1)
		l.loadRecording(appConfig(z.Register(), `{"example.com": ["www"]}`))
		l.wait(time.Minute)
		app, err := activeApp()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * events.MaxQueued {
			app.observer.Recovered(zoneName, "standin", nil, time.Second)
		}
		l.wait(time.Hour)
		if n := len(takeEvents()); n != events.MaxEmitting {
			t.Errorf("%d handlers run at a time", n)
		}
		if n := len(l.logged("error", "losing an event")); n < events.MaxQueued-events.MaxEmitting || n > events.MaxQueued {
			t.Errorf("%d losses were logged", n)
		}
		l.stop()
		l.wait(48 * time.Hour)
	})
}

// TestNotify: what happens here comes to people, by way of the real handler and
// a real service.
func TestNotify(t *testing.T) {
	got := make(chan string, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, "{}")
		got <- r.Header.Get("Title") + " | " + string(body)
	}))
	defer service.Close()
	_, load, _ := serve(t)
	current.Load().address(addr1)
	z := standin.New(standin.Character{}, zoneName)
	name := z.Register()
	url := "ntfy://" + strings.TrimPrefix(service.URL, "http://") + "/topic?scheme=http"
	if err := load(appConfig(name, `{"example.com": ["www"]}`), `"events": {"subscriptions": [{"modules": ["dynamic_dns"], "handlers": [{"handler": "notify", "urls": ["`+url+`"]}]}]}`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		": IPv4 address changed | The IPv4 address is now " + addr1 + ", from fake.",
		": example.com changed | Records of example.com at " + name + " were changed: www A none -> " + addr1,
	} {
		select {
		case text := <-got:
			if !strings.HasSuffix(text, want) {
				t.Errorf("got %q, want %q", text, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nobody was told: %s", want)
		}
	}
}
