package dynamicdns_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	dynamicdns "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/rfc2136"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage"
)

// secret passes for a token as well as for a key in base64.
const secret = "c2VjcmV0"

var placeholder = regexp.MustCompile(`\{(?:env\.|\$)(\w+)\}`)

// copied is a configuration that people copy.
type copied struct {
	place string
	json  bool
	text  []byte
}

func TestExamplesLoad(t *testing.T) {
	var configs []copied
	err := filepath.WalkDir("examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		switch {
		case d.Name() == "Caddyfile", filepath.Ext(path) == ".caddyfile":
			configs = append(configs, copied{place: path, text: text})
		case d.Name() == "config.json", filepath.Ext(path) == ".json" && hasApps(text):
			configs = append(configs, copied{place: path, json: true, text: text})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	loadAll(t, configs)
}

// hasApps tells a configuration of Caddy from other JSON, such as dashboards.
func hasApps(text []byte) bool {
	var c struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	return json.Unmarshal(text, &c) == nil && c.Apps != nil
}

func TestDocsConfigsLoad(t *testing.T) {
	var configs []copied
	fence := regexp.MustCompile("(?ms)^```(caddyfile|json)\n(.*?)^```$")
	for _, file := range documents(t) {
		page := read(t, file)
		for _, at := range fence.FindAllStringSubmatchIndex(page, -1) {
			configs = append(configs, copied{
				place: fmt.Sprintf("%s:%d", file, 1+strings.Count(page[:at[0]], "\n")),
				json:  page[at[2]:at[3]] == "json",
				text:  []byte(page[at[4]:at[5]]),
			})
		}
	}
	loadAll(t, configs)
}

// documents returns the documentation of the whole tree.
func documents(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// loadAll loads the configurations as far as `caddy validate` does, which
// needs no network. There must be some of both forms.
func loadAll(t *testing.T, configs []copied) {
	t.Helper()
	for _, form := range []bool{false, true} {
		if !slices.ContainsFunc(configs, func(c copied) bool { return c.json == form }) {
			t.Errorf("no configuration found with json=%t", form)
		}
	}
	for _, c := range configs {
		t.Run(c.place, func(t *testing.T) {
			for _, match := range placeholder.FindAllSubmatch(c.text, -1) {
				t.Setenv(string(match[1]), secret)
			}
			text := c.text
			if !c.json {
				var warnings []caddyconfig.Warning
				var err error
				text, warnings, err = caddyconfig.GetAdapter("caddyfile").Adapt(text, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range warnings {
					t.Error(w)
				}
			}
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
				t.Fatal(err)
			}
			var err error
			config.StorageRaw, err = json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&config); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDocsHaveAllOptions(t *testing.T) {
	for file, heading := range map[string]string{"README.md": "Options", "docs/providers.md": "Several providers"} {
		got := firstColumn(section(t, read(t, file), heading))
		if !slices.Equal(got, dynamicdns.OptionNames) {
			t.Errorf("the table of %q has the options\n%q, the Caddyfile has\n%q", heading, got, dynamicdns.OptionNames)
		}
	}
}

// TestDocsHaveThePanics: what Caddy says where two modules are one too many is
// what people search for.
func TestDocsHaveThePanics(t *testing.T) {
	page := read(t, "docs/build.md")
	for name, register := range map[string]func(){
		"the app":    func() { httpcaddyfile.RegisterGlobalOption("dynamic_dns", nil) },
		"a provider": func() { caddy.RegisterModule(new(cloudflare.Provider)) },
	} {
		text := func() (text any) {
			defer func() { text = recover() }()
			register()
			return nil
		}()
		if !strings.Contains(page, fmt.Sprintf("`panic: %v`", text)) {
			t.Errorf("%s: docs/build.md does not have: panic: %v", name, text)
		}
	}
}

func TestREADMEHasAllDependencies(t *testing.T) {
	text := section(t, read(t, "README.md"), "Built on")
	var got []string
	for _, match := range regexp.MustCompile("(?m)^- `(\\S+)` – .+$").FindAllStringSubmatch(text, -1) {
		got = append(got, match[1])
	}
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^(?:\t|require )(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		want = append(want, match[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the README has the dependencies\n%q, go.mod has\n%q", got, want)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns what stands under the heading.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(page, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the page has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// firstColumn returns the words with which the code in the first column of
// the section's tables begins, sorted.
func firstColumn(section string) (words []string) {
	row := regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) \\|")
	code := regexp.MustCompile("`(\\w+)[^`]*`")
	for _, match := range row.FindAllStringSubmatch(section, -1) {
		for _, span := range code.FindAllStringSubmatch(match[1], -1) {
			words = append(words, span[1])
		}
	}
	slices.Sort(words)
	return words
}
