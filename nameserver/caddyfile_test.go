package nameserver

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(b), "----------\n")
			if !ok {
				t.Fatal("no line of ten dashes")
			}
			got, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
			want = strings.TrimSpace(want)
			if !strings.HasPrefix(want, "{") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got error  %v\nwant error %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var wantJSON, gotJSON bytes.Buffer
			if err := json.Compact(&wantJSON, []byte(want)); err != nil {
				t.Fatal(err)
			}
			_ = json.Compact(&gotJSON, got)
			if gotJSON.String() != wantJSON.String() {
				t.Errorf("got  %s\nwant %s", &gotJSON, &wantJSON)
			}
		})
	}
}

// What an adapter cannot know is refused when the configuration is loaded.
func TestConfigurationMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		app  string
		want string
	}{
		"no zone":         {`{}`, "add `zone home.example.com`"},
		"unknown field":   {`{"zone": {}}`, `unknown field "zone"`},
		"same zone":       {`{"zones": {"a.example": {}, "A.example.": {}}}`, "the zone is configured twice"},
		"URL":             {`{"zones": {"https://a.example": {}}}`, "write the domain name alone"},
		"address as zone": {`{"zones": {"192.0.2.1": {}}}`, "is an address, not the name of a zone"},
		"placeholder":     {`{"zones": {"a.example": {"records": [{"name": "www", "type": "A", "data": "{env.NOT_SET_ANYWHERE}"}]}}}`, "{env.NOT_SET_ANYWHERE}"},
		"unix socket":     {`{"listen": ["unix//run/dns.sock"], "zones": {"a.example": {}}}`, "DNS does not use unix sockets"},
		"port range":      {`{"listen": [":53-54"], "zones": {"a.example": {}}}`, "write one port, not a range"},
		"bad port":        {`{"listen": ["127.0.0.1:dns"], "zones": {"a.example": {}}}`, "write an address and a port"},
		"listed twice":    {`{"listen": [":53", ":53"], "zones": {"a.example": {}}}`, "listed twice"},
		"unknown key":     {`{"zones": {"a.example": {"transfer_to": ["key:k"]}}}`, "there is no such key: add `tsig_key k <secret>`"},
		"transfer to":     {`{"zones": {"a.example": {"transfer_to": ["secondary"]}}}`, "write an address, a CIDR range or key:<name>"},
		"bad secret":      {`{"tsig_keys": {"k": {"secret": "%hidden%"}}, "zones": {"a.example": {}}}`, "make one with `tsig-keygen -a hmac-sha256 k`"},
		"bad algorithm":   {`{"tsig_keys": {"k": {"algorithm": "md5", "secret": "c2VjcmV0"}}, "zones": {"a.example": {}}}`, "write hmac-sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(t, t.TempDir(), json.RawMessage(tc.app))
			var cfg caddy.Config
			if err := json.Unmarshal(config, &cfg); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(&cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestREADME(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(b), "```caddyfile\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no Caddyfile")
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, "dynamic_dns") {
			// Another package's option.
			before, rest, _ := strings.Cut(block, "\tdynamic_dns {")
			_, after, _ := strings.Cut(rest, "\n\t}\n")
			block = before + after
		}
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), nil)
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		var cfg caddy.Config
		if err := json.Unmarshal(adapted, &cfg); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&cfg); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
}
