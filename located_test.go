package dynamicdns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/adapttest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

// TestLoad loads the fixtures, which are Caddyfiles that are adapted and then
// refused or warned of, and compares what is said: a part of the error, or of
// a line of the log.
func TestLoad(t *testing.T) {
	t.Setenv("ONE", "www")
	t.Setenv("TWO", "www blog")
	t.Setenv("EMPTY", "")
	t.Setenv("A_ZONE", "example.com")
	files, err := filepath.Glob("testdata/load/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), "\n----------\n")
			if want = strings.TrimSpace(want); !ok || want == "" {
				t.Fatal("nothing is expected")
			}
			current.Store(&lab{t: t})
			said := load(adapted(t, input+"\n"))
			if strings.HasPrefix(name, "warn_not_") != (said == "[]") || !adapttest.HasParts(said, want) {
				t.Errorf("got: %s\nwant: %s", said, want)
			}
		})
	}
}

// load validates the configuration, and returns the error or else
// the warnings.
func load(apps caddy.ModuleMap) string {
	err := caddy.Validate(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
			WriterRaw:  json.RawMessage(`{"output": "dynamic_dns_test"}`),
			EncoderRaw: json.RawMessage(`{"format": "json"}`),
		}}}},
		AppsRaw: apps,
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(current.Load().logged("warn", ""))
}

// TestRefusedElsewhere: where the Caddyfile was adapted by another process, as by
// `caddy reload`, what is refused is found in it by its words.
func TestRefusedElsewhere(t *testing.T) {
	t.Setenv("ONE", "www")
	t.Setenv("EMPTY", "")
	current.Store(&lab{t: t})
	for further, want := range map[string]string{
		"domains {\n\t\t\texample.net www\n\t\t}\n\t\tprovider cloudflare {env.EMPTY}": "providers[0].dns_provider: …EMPTY is not set…, in the entry with example.net at cloudflare",
		"hosts www.example.net {env.ONE}":                                              "providers[0].hosts[1]: {env.ONE}: host \"www\" is no full name; …, in the entry with www.example.net at cf_fake",
		"domains {\n\t\t\texample.net {env.ONE}.example.net\n\t\t}":                    "providers[0].domains[\"example.net\"][0]: {env.ONE}.example.net: name \"www.example.net\" repeats its zone; …, in the entry with example.net at cf_fake",
		"domains {\n\t\t\texample.net {env.EMPTY}\n\t\t}":                              "providers[0].domains[\"example.net\"][0]: the environment variable EMPTY is not set…, in the entry with example.net at cf_fake",
		"devices {\n\t\t\texample.net nas {env.ONE}\n\t\t}":                            "providers[0].devices[\"example.net\"][\"nas\"]: {env.ONE}: …, in the entry with example.net at cf_fake",
		"hosts www.example.net\n\t\tinclude 10.0.0.0/8 {env.ONE}":                      "providers[0].include: {env.ONE}: \"www\": not a CIDR range: …, in the entry with www.example.net at cf_fake",
		"hosts www.example.net\n\t\tip_source static 93.184.216.34 {env.EMPTY}":        "providers[0].ip_sources[0]: …EMPTY is not set…, in the entry with www.example.net at cf_fake",
	} {
		apps := adapted(t, "{\n\tdynamic_dns {\n\t\tprovider cf_fake\n\t\tdomains {\n\t\t\texample.com\n\t\t}\n\t}\n\tdynamic_dns {\n\t\t"+further+"\n\t}\n}\n")
		places.Remember(apps["dynamic_dns"], nil)
		if said := load(apps); !adapttest.HasParts(said, want) {
			t.Errorf("got: %s\nwant: %s", said, want)
		}
	}
}

// TestVanishedWords: a variable that Caddy replaces while it reads the
// Caddyfile leaves no trace but a word that is missing.
func TestVanishedWords(t *testing.T) {
	for block, want := range map[string]string{
		"provider {$NO_PROVIDER}":                                              "Caddyfile:3 has {$NO_PROVIDER}: the environment variable NO_PROVIDER is not set or empty where Caddy runs; for a systemd service, run `systemctl edit caddy`",
		"provider cloudflare {$NO_TOKEN}":                                      "has {$NO_TOKEN}: ",
		"provider cloudflare {\n\t\t\tapi_token {$NO_TOKEN}\n\t\t}":            "Caddyfile:4 has {$NO_TOKEN}: ",
		"ttl {$NO_TTL}":                                                        "ttl needs a duration; write `ttl 5m`",
		"ttl {$NO_TTL} # not set":                                              "Caddyfile:3 has {$NO_TTL}: ",
		"provider cf_fake\n\t\tdomains {\n\t\t\t{$NO_ZONE} www\n\t\t}":         "Caddyfile:5 has {$NO_ZONE}: ",
		"provider cf_fake\n\t\tdomains {\n\t\t\t{env.ZONE} {$NO_NAMES}\n\t\t}": "",
		"provider cf_fake {$NO_ARGS}\n\t\tdomains {\n\t\t\texample.com\n\t\t}": "",
	} {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		text := "{\n\tdynamic_dns {\n\t\t" + block + "\n\t}\n}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v\nwant %s", block, err, want)
		}
		if err != nil && strings.Count(err.Error(), "systemctl") > 1 {
			t.Errorf("%s: said twice: %v", block, err)
		}
	}
}
