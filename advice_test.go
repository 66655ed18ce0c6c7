package dynamicdns

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// advised is a piece of configuration that people are told to write.
type advised struct{ place, text string }

var (
	backticks = regexp.MustCompile("`([^`]+)`")
	// toWrite matches what the documentation says is to be written.
	toWrite = regexp.MustCompile("(?:write|write it as|as in) `([^`]+)`")
	ofEnv   = regexp.MustCompile(`\{env\.(\w+)\}`)
)

// TestAdviceCanBePasted collects every piece of configuration that an error, a
// line of the log or the documentation tells people to write, which is what
// stands between backticks, and loads it.
func TestAdviceCanBePasted(t *testing.T) {
	current.Store(&lab{t: t})
	all := append(adviceOfCode(t), adviceOfFixtures(t)...)
	all = append(all, adviceOfDocs(t)...)
	if len(all) < 50 {
		t.Errorf("found %d pieces of configuration only", len(all))
	}
	done := make(map[string]bool)
	for _, a := range all {
		if done[a.text] {
			continue
		}
		done[a.text] = true
		for _, match := range ofEnv.FindAllStringSubmatch(a.text, -1) {
			t.Setenv(match[1], "c2VjcmV0")
		}
		if err := paste(a.text); err != nil {
			t.Errorf("%s: `%s` cannot be pasted: %v", a.place, a.text, err)
		}
	}
}

// adviceOfCode takes the strings of all that is no test. What is formatted is
// seen in fixtures only.
func adviceOfCode(t *testing.T) (all []advised) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "nameserver" || d.Name() == "testdata" || d.Name() == "standin") {
			return cmpOr(err, fs.SkipDir)
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				for _, match := range backticks.FindAllStringSubmatch(text, -1) {
					if !strings.Contains(match[1], "%") {
						all = append(all, advised{fset.Position(literal.Pos()).String(), match[1]})
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func cmpOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func adviceOfFixtures(t *testing.T) (all []advised) {
	t.Helper()
	for _, pattern := range []string{"testdata/adapt/error_*.caddyfiletest", "testdata/load/*.caddyfiletest"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no fixtures %s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(string(data), "\n----------\n")
			for _, match := range backticks.FindAllStringSubmatch(want, -1) {
				all = append(all, advised{file, match[1]})
			}
		}
	}
	return all
}

// adviceOfDocs takes what is to be written out of running text. The blocks of
// the documentation are loaded by other tests.
func adviceOfDocs(t *testing.T) (all []advised) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" || strings.HasPrefix(path, "nameserver") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range toWrite.FindAllSubmatch(text, -1) {
			all = append(all, advised{path, string(match[1])})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// paste puts a piece of configuration to where it belongs, and loads all. It
// returns nil if that works in any place.
func paste(text string) error {
	first, _, _ := strings.Cut(text, " ")
	switch {
	case blockOptions[text].parse != nil:
		return nil // an option's name
	case strings.HasPrefix(text, `"`):
		return caddy.StrictUnmarshalJSON([]byte("{"+text+"}"), new(App))
	case first == "xcaddy", first == "--with":
		return checkBuild(strings.Fields(text))
	case text == "systemctl edit caddy", text == "[Service]", strings.HasPrefix(text, "Environment="):
		return nil
	case ofEnv.FindString(text) == text:
		text = "provider cloudflare " + text
	}
	const provider = "provider cf_fake"
	const domains = "domains {\nexample.org\n}"
	var err error
	for _, block := range [][]string{
		{provider, domains, text},
		{provider, text},
		{domains, text},
		{provider, domains, "dynamic_domains", text},
		{provider, "domains {", text, "}"},
		{provider, domains, "ip_source simple_http {", text, "}"},
		{provider, "devices {", text, "}"},
		{text},
	} {
		if err = loadBlock(strings.Join(block, "\n")); err == nil {
			return nil
		}
	}
	const user = "user home {env.HOME_HASH} {"
	for _, block := range [][]string{
		{"zone example.com", text},
		{"zone example.com", user, "hosts home.example.com", "}", text},
		{text, user, "hosts home.example.com", "}"},
		{user, text, "}"},
	} {
		site := ":80 {\ndyndns {\n" + strings.Join(block, "\n") + "\n}\n}\n"
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(site), nil); err == nil {
			return nil
		}
	}
	for _, line := range []string{text, "on update_failed notify " + text} {
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nevents {\n"+line+"\n}\n}\n"), nil); err == nil {
			return nil
		}
	}
	return err
}

// loadBlock adapts a dynamic_dns block, and validates it.
func loadBlock(block string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\ndynamic_dns {\n"+block+"\n}\n}\n"), nil)
	if err != nil {
		return err
	}
	var c struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	return validate(string(c.Apps["dynamic_dns"]))
}

// checkBuild checks that what xcaddy is to build with may exist.
func checkBuild(words []string) error {
	for i, word := range words {
		if i == 0 || words[i-1] != "--with" {
			continue
		}
		rest, ours := strings.CutPrefix(strings.TrimSuffix(word, "=."), thisModule)
		if !ours && !strings.HasPrefix(word, "github.com/caddy-dns/") {
			return fmt.Errorf("what is %s?", word)
		}
		if _, err := os.Stat(filepath.Join(".", rest)); ours && err != nil {
			return err
		}
	}
	return nil
}
