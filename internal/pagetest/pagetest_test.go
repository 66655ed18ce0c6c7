package pagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.failed += fmt.Sprintf(format, args...) }

func TestShows(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	text := strings.ReplaceAll("# Page\n\n## One\n\n~~~\n$ ask now\nfound 2m ago,\n  by a\n...\nand done\n~~~\n\n## Two\n\n~~~sh\nother\n~~~\n", "~~~", "```")
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ heading, command, said, failed string }{
		{"One", "ask now", "first\nfound 17s ago, by\na\nmore\nand done", ""},
		{"One", "ask now", "found 2m ago, by b\nand done", "the page shows"},
		{"One", "ask now", "and done\nfound 2m ago, by a", "the page shows"},
		{"One", "ask", "anything", "shows no"},
		{"Two", "ask now", "anything", "shows no"},
	} {
		r := &recorder{TB: t}
		Shows(r, page, test.heading, test.command, test.said)
		if (r.failed == "") != (test.failed == "") || !strings.Contains(r.failed, test.failed) {
			t.Errorf("%q: %q", test.said, r.failed)
		}
	}
}
