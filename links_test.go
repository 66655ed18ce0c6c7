package dynamicdns_test

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

var (
	blockOrSpan = regexp.MustCompile("(?ms)^```.*?^ *```$|`[^`\n]+`")
	link        = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

// TestLinksLeadSomewhere follows every link of the documentation, to the heading
// where it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	followed := 0
	for _, file := range documents(t) {
		for _, to := range links(t, file) {
			followed++
			if info, err := os.Stat(to.Path); err != nil {
				t.Errorf("%s: the link to %s: %v", file, to, err)
			} else if to.Fragment != "" && (info.IsDir() || !anchors(read(t, to.Path))[to.Fragment]) {
				t.Errorf("%s: the link to %s: no such heading", file, to)
			}
		}
	}
	if followed < 50 {
		t.Errorf("found %d links only", followed)
	}
}

// TestEveryPageIsReached: who begins at the README, or at the index, comes to
// every page. A link to a directory shows the README in it.
func TestEveryPageIsReached(t *testing.T) {
	for _, start := range []string{"README.md", "docs/README.md"} {
		reached := map[string]bool{start: true}
		for todo := []string{start}; len(todo) > 0; todo = todo[1:] {
			for _, to := range links(t, todo[0]) {
				page := to.Path
				if filepath.Ext(page) == "" {
					page = filepath.Join(page, "README.md")
				}
				if _, err := os.Stat(page); err == nil && filepath.Ext(page) == ".md" && !reached[page] {
					reached[page] = true
					todo = append(todo, page)
				}
			}
		}
		for _, file := range documents(t) {
			if !reached[file] {
				t.Errorf("no link leads from %s to %s", start, file)
			}
		}
	}
}

// TestSourcesHavePages: each says what a careful reader asks of a source.
func TestSourcesHavePages(t *testing.T) {
	seen := 0
	for _, module := range caddy.GetModules("dynamic_dns.ip_sources") {
		if !strings.Contains(reflect.TypeOf(module.New()).Elem().PkgPath(), "/ipsources/") {
			continue // a test's
		}
		seen++
		page := read(t, filepath.Join("docs", "sources", module.ID.Name()+".md"))
		for _, answer := range []string{"**What it knows:** ", "**What it needs:** ", "**What it sends to whom:** "} {
			if !strings.Contains(page, "\n"+answer) {
				t.Errorf("the page of %s does not say %s", module.ID, answer)
			}
		}
	}
	if seen < 9 {
		t.Errorf("%d sources only", seen)
	}
}

// links returns where the links of a page lead that stay in this tree, as
// paths from its root.
func links(t *testing.T, file string) (all []*url.URL) {
	t.Helper()
	text := blockOrSpan.ReplaceAllString(read(t, file), "")
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		to, err := url.Parse(match[1])
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if to.IsAbs() {
			continue
		}
		if to.Path == "" {
			to.Path = file
		} else {
			to.Path = filepath.Join(filepath.Dir(file), filepath.FromSlash(to.Path))
		}
		all = append(all, to)
	}
	return all
}

// anchors returns those that GitHub gives the headings of a page.
func anchors(page string) map[string]bool {
	page = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	all := make(map[string]bool)
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(match[1], "$1")
		anchor := regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`).ReplaceAllString(strings.ToLower(text), "")
		anchor = strings.ReplaceAll(anchor, " ", "-")
		unique := anchor
		for i := 1; all[unique]; i++ {
			unique = anchor + "-" + strconv.Itoa(i)
		}
		all[unique] = true
	}
	return all
}

func TestAnchors(t *testing.T) {
	got := anchors("# FRITZ!Box, and *other* `code`\n## A – b\n## See [x](y.md)\n## Twice\n```sh\n# none\n```\n## Twice\n")
	for _, want := range []string{"fritzbox-and-other-code", "a--b", "see-x", "twice", "twice-1"} {
		if !got[want] {
			t.Errorf("no anchor %q in %v", want, got)
		}
	}
	if len(got) != 5 {
		t.Errorf("anchors %v", got)
	}
}
