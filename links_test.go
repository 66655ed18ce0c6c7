package dynamicdns_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	blockOrSpan = regexp.MustCompile("(?ms)^```.*?^ *```$|`[^`\n]+`")
	link        = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

// TestLinksLeadSomewhere follows every link of the documentation that stays in
// this tree, to the heading where it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	followed := 0
	for _, file := range documents(t) {
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
			followed++
			target := file
			if to.Path != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(to.Path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s: %v", file, match[1], err)
			} else if to.Fragment != "" && !anchors(read(t, target))[to.Fragment] {
				t.Errorf("%s: the link %s: no such heading", file, match[1])
			}
		}
	}
	if followed < 50 {
		t.Errorf("found %d links only", followed)
	}
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
