package placeholders

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnsetInLines(t *testing.T) {
	t.Setenv("SET", "x")
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := "{\n\tdynamic_dns {\n\t\tprovider cloudflare {$NO_TOKEN}\n\t\tttl {$NO_TTL:5m}\n\t\t{$NO_ZONE} {$SET}\n\t}\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error, want string) {
		t.Helper()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	check("a block", UnsetInLines(file, 2, 6), "Caddyfile:3 has {$NO_TOKEN}: the environment variable NO_TOKEN is not set")
	check("a default", UnsetInLines(file, 4, 4), "")
	check("beyond the end", UnsetInLines(file, 6, 99), "")
	check("no file", UnsetInLines(file+"x", 1, 9), "")
	check("first of a line", UnsetFirst(file, 5), "has {$NO_ZONE}: ")
	check("not the first", UnsetFirst(file, 3), "")
	check("a place", UnsetAt(fmt.Sprintf("%s:%d", file, 3)), "NO_TOKEN")
	check("no place", UnsetAt(""), "")
}
