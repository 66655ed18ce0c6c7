//go:build linux

// Package lab runs the real programs that tests work against: BIND as the
// name server, Caddy as the product, network namespaces as the network.
//
// What a test starts ends with it, and with the test process if that is
// killed. Nothing that somebody else started is touched.
package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Need skips the test unless it runs as root and the programs are installed.
// With CI=true it fails instead, so that nothing goes untested in silence.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		lack(t, strings.Join(missing, ", "))
	}
}

func lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// Eventually asks until the answer is yes, and fails the test if it is not
// within the given time.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// EventuallyEqual asks until the answer is want, in any order, and fails the
// test with the last answer if it is not within the given time.
func EventuallyEqual(t testing.TB, within time.Duration, what string, ask func() []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		got := slices.Sorted(slices.Values(ask()))
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: got %q, want %q", within, what, got, want)
		}
	}
}

// tempDir is like t.TempDir, but its path is short enough for sockets and its
// removal happens after the clean-ups that are registered later.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// WriteFile writes a file, and makes the folders above it.
func WriteFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

func init() {
	// named and tsig-keygen live where an ordinary PATH may not look.
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
}
