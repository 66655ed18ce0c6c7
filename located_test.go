package dynamicdns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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
			current = &lab{t: t}
			said := load(adapted(t, input+"\n")["dynamic_dns"])
			if !strings.Contains(said, want) {
				t.Errorf("got: %s\nwant: %s", said, want)
			}
		})
	}
}

// load validates the configuration of the app, and returns the error or else
// the warnings.
func load(app json.RawMessage) string {
	err := caddy.Validate(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
			WriterRaw:  json.RawMessage(`{"output": "dynamic_dns_test"}`),
			EncoderRaw: json.RawMessage(`{"format": "json"}`),
		}}}},
		AppsRaw: caddy.ModuleMap{"dynamic_dns": app},
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(current.logged("warn", ""))
}
