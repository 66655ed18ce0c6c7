package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFileMountedAlone: a single file that is mounted into a container is in a
// directory that tells nothing of it.
func TestFileMountedAlone(t *testing.T) {
	dir := t.TempDir()
	outside, path := filepath.Join(dir, "outside"), filepath.Join(dir, "addresses")
	for _, file := range []string{outside, path} {
		if err := os.WriteFile(file, []byte("198.51.100.7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(outside, path, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	changed := follow(t, path)
	for range 2 {
		if err := os.WriteFile(outside, []byte("198.51.100.8\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(calmInterval - time.Second):
			t.Fatal("the change is not noticed")
		}
		drain(changed)
	}
}

// TestFormerFilesAreLeft: files that were replaced, and live on under other
// names, are watched no longer.
func TestFormerFilesAreLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addresses")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(path, []byte("198.51.100.0\n"), 0o600))
	changed := follow(t, path)
	before := watches(t)
	for i := range 8 {
		must(os.Link(path, fmt.Sprint(path, ".", i)))
		must(os.WriteFile(path+".new", fmt.Appendf(nil, "198.51.100.%d\n", i+1), 0o600))
		must(os.Rename(path+".new", path))
		<-changed
		drain(changed)
	}
	if after := watches(t); after > before+2 {
		t.Errorf("%d watches have become %d", before, after)
	}
}

// watches counts what this process watches.
func watches(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot see what is open: %v", err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		n += strings.Count(string(text), "inotify wd:")
	}
	return n
}
