// Package adapttest runs adapt fixtures: files that have the form of Caddy's
// own, a Caddyfile, a line of ten dashes, and the JSON or parts of the error with
// an ellipsis between them.
package adapttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddytest"
)

// Run runs the fixtures in testdata/adapt of the package under test. What may be
// a secret is written as s3cret there, and no error repeats it. The checks are
// made of the JSON that is expected, too.
func Run(t *testing.T, checks ...func(t *testing.T, config []byte)) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), "\n----------\n")
			want = strings.TrimSpace(want)
			if !ok || want == "" {
				t.Fatal("nothing is expected")
			}
			if strings.HasPrefix(want, "{") {
				if !caddytest.CompareAdapt(t, file, input+"\n", "caddyfile", want) {
					t.Fatal("not adapted as expected")
				}
				for _, check := range checks {
					check(t, []byte(want))
				}
				return
			}
			_, _, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), nil)
			if err == nil || !HasParts(err.Error(), want) {
				t.Fatalf("got error: %v\nwant: %s", err, want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

// HasParts reports whether the text has all that stands between the ellipses of
// want, in that order.
func HasParts(text, want string) bool {
	for part := range strings.SplitSeq(want, "…") {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}
