package dynamicdns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/adapttest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources/command"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
)

func init() {
	caddy.RegisterModule(new(cfProvider))
	caddy.RegisterModule(new(cfBare))
}

// cfProvider is a DNS provider with options of every shape, among them one of
// the name that this app uses too.
type cfProvider struct {
	Args    []string            `json:"args,omitempty"`
	Options map[string][]string `json:"options,omitempty"`
}

func (*cfProvider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.cf_fake", New: func() caddy.Module { return new(cfProvider) }}
}

func (p *cfProvider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume provider name
	p.Args = d.RemainingArgs()
	return p.unmarshalBlock(d, "")
}

func (p *cfProvider) unmarshalBlock(d *caddyfile.Dispenser, prefix string) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := prefix + d.Val()
		if name == "broken" {
			return fmt.Errorf("%w %s", os.ErrInvalid, strings.Join(d.RemainingArgs(), " "))
		}
		if p.Options == nil {
			p.Options = make(map[string][]string)
		}
		p.Options[name] = append(p.Options[name], d.RemainingArgs()...)
		if err := p.unmarshalBlock(d, name+"."); err != nil {
			return err
		}
	}
	return nil
}

// cfBare is a DNS provider that cannot be configured in a Caddyfile.
type cfBare struct{}

func (*cfBare) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.cf_bare", New: func() caddy.Module { return new(cfBare) }}
}

// TestAdapt runs the fixtures, and checks that the app takes what they adapt to.
func TestAdapt(t *testing.T) { adapttest.Run(t, checkStrict) }

// checkStrict checks that the app knows every field of the configuration.
func checkStrict(t *testing.T, config []byte) {
	t.Helper()
	var c struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.StrictUnmarshalJSON(c.Apps["dynamic_dns"], new(App)); err != nil {
		t.Error(err)
	}
}

// TestAdaptErrorsHavePosition checks that each fixture of an error expects the
// place of what is wrong.
func TestAdaptErrorsHavePosition(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/error_*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	place := regexp.MustCompile(`(, at Caddyfile|/account\.caddyfile):\d`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, want, _ := strings.Cut(string(data), "\n----------\n"); !place.MatchString(want) {
			t.Errorf("%s: no position in: %s", file, want)
		}
	}
}

// FuzzParseApp feeds the option parser with tokens, also with such as Caddy's
// own parser would never hand on, once as the first block and once as a
// further one.
func FuzzParseApp(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), "\n----------\n")
		if i := strings.Index(input, "dynamic_dns"); i >= 0 {
			f.Add([]byte(input[i:]))
		}
	}
	f.Add([]byte("dynamic_dns {\nprovider cf_fake `{` {\ndomains {\n\"}\" }\n}\n}"))
	f.Add([]byte("dynamic_dns {\nprovider cf_fake {\ndomains {"))
	f.Fuzz(func(t *testing.T, input []byte) {
		tokens, err := caddyfile.Tokenize(input, "Caddyfile")
		if err != nil {
			return
		}
		var first any
		for range 2 {
			got, err := parseApp(caddyfile.NewDispenser(tokens), first)
			if err != nil {
				return
			}
			app, ok := got.(httpcaddyfile.App)
			if !ok {
				t.Fatalf("got a %T", got)
			}
			if err := caddy.StrictUnmarshalJSON(app.Value, new(App)); err != nil {
				t.Fatalf("%v in %s", err, app.Value)
			}
			// What is refused only now is refused by an error.
			_ = validate(string(app.Value))
			first = app
		}
	})
}

func TestExpandRanges(t *testing.T) {
	got := conf.ExpandRanges([]string{"100.64.0.0/10", "private_ranges", "8.8.8.0/24"})
	want := []string{"100.64.0.0/10", "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1/128", "8.8.8.0/24"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := ipaddr.NewFilter(got, nil); err != nil {
		t.Errorf("the filter refuses what private_ranges expands to: %v", err)
	}
}
