package dynamicdns

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

func init() {
	caddy.RegisterModule(new(execStandin))
}

// execStandin is configured like the module of caddy-events-exec, and keeps
// the command that it should run.
type execStandin struct {
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

var commands struct {
	sync.Mutex
	run []string
}

func (*execStandin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.exec", New: func() caddy.Module { return new(execStandin) }}
}

func (x *execStandin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if !d.Args(&x.Command) {
			return d.ArgErr()
		}
		x.Args = d.RemainingArgs()
	}
	return nil
}

func (x *execStandin) Handle(ctx context.Context, _ caddy.Event) error {
	repl := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	line := x.Command
	for _, arg := range x.Args {
		line += fmt.Sprintf(" %q", repl.ReplaceAll(arg, ""))
	}
	commands.Lock()
	defer commands.Unlock()
	commands.run = append(commands.run, line)
	return nil
}

// loadExample loads the app and the events of an example's Caddyfile, with
// the lab's addresses and a stand-in for its provider.
func (l *lab) loadExample(path, provider string) {
	l.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	// Its module is in a package that is not in this one.
	input := regexp.MustCompile(`provider cloudflare.*`).ReplaceAll(text, []byte("provider cf_fake token"))
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(input, map[string]any{"filename": path})
	if err != nil {
		l.t.Fatal(err)
	}
	var config struct {
		Apps map[string]map[string]any `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		l.t.Fatal(err)
	}
	app := config.Apps["dynamic_dns"]
	app["dns_provider"] = map[string]any{"name": provider, "token": standin.Token}
	app["ip_sources"] = []map[string]any{{"source": "fake"}}
	app["watch"] = false
	dynamicDNS, _ := json.Marshal(app)
	var others []string
	if app, ok := config.Apps["events"]; ok {
		events, _ := json.Marshal(app)
		others = append(others, `"events": `+string(events))
	}
	if err := l.tryLoad(string(dynamicDNS), others...); err != nil {
		l.t.Fatal(err)
	}
}

// TestExampleEvents sees that the hook gets what it should say.
func TestExampleEvents(t *testing.T) {
	bubble(t, func(l *lab) {
		commands.run = nil
		z := standin.New(standin.Character{}, zoneName)
		z.Put(zoneName, record("@", "A", addr2))
		l.address(addr1)
		l.loadExample("examples/events/Caddyfile", z.Register())
		l.wait(10 * time.Minute)
		z.Fail(func(standin.Call) standin.Fault { return standin.Fault{Err: errNetwork} })
		l.wait(2 * time.Hour)
		z.Fail(nil)
		l.wait(time.Hour)
		const hook = "/usr/local/bin/dns-hook "
		want := []string{
			hook + `"ipv4 changed from none to ` + addr1 + `"`,
			hook + `"example.com: @ A ` + addr2 + ` -> ` + addr1 + `; www A none -> ` + addr1 + `"`,
			hook + `"example.com cannot be updated: reading records: network is unreachable"`,
			hook + `"example.com can be updated again"`,
		}
		if !slices.Equal(commands.run, want) {
			t.Errorf("ran\n%s\nwant\n%s", strings.Join(commands.run, "\n"), strings.Join(want, "\n"))
		}
	})
}
