package file

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

// TestNotify replaces the file in every way that is in use.
func TestNotify(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, content string) { t.Helper(); must(os.WriteFile(path, []byte(content), 0o600)) }
	for name, tc := range map[string]struct {
		prepare func(dir string)
		changes []func(dir string)
		path    string // within the directory
	}{
		"written in place": {
			prepare: func(dir string) { write(dir+"/addresses", "198.51.100.7\n") },
			changes: []func(dir string){
				func(dir string) { write(dir+"/addresses", "198.51.100.8\n") },
				func(dir string) { write(dir+"/addresses", "198.51.100.9\n") },
			},
		},
		"renamed into its place": {
			prepare: func(dir string) { write(dir+"/addresses", "198.51.100.7\n") },
			changes: []func(dir string){
				func(dir string) { write(dir+"/new", "198.51.100.8\n"); must(os.Rename(dir+"/new", dir+"/addresses")) },
				func(dir string) { write(dir+"/new", "198.51.100.9\n"); must(os.Rename(dir+"/new", dir+"/addresses")) },
			},
		},
		"made, removed, and made again": {
			prepare: func(string) {},
			changes: []func(dir string){
				func(dir string) { write(dir+"/addresses", "198.51.100.8\n") },
				func(dir string) { must(os.Remove(dir + "/addresses")) },
				func(dir string) { write(dir+"/addresses", "198.51.100.8\n") },
			},
		},
		// Kubernetes leads ..data elsewhere, and removes where it led before.
		"mounted by Kubernetes": {
			prepare: func(dir string) {
				must(os.Mkdir(dir+"/..1", 0o700))
				write(dir+"/..1/addresses", "198.51.100.7\n")
				must(os.Symlink("..1", dir+"/..data"))
				must(os.Symlink("..data/addresses", dir+"/addresses"))
			},
			changes: []func(dir string){
				func(dir string) {
					must(os.Mkdir(dir+"/..2", 0o700))
					write(dir+"/..2/addresses", "198.51.100.7\n")
					must(os.Symlink("..2", dir+"/..tmp"))
					must(os.Rename(dir+"/..tmp", dir+"/..data"))
					must(os.RemoveAll(dir + "/..1"))
				},
				func(dir string) { write(dir+"/..2/addresses", "198.51.100.9\n") },
			},
		},
		"written behind a link": {
			prepare: func(dir string) {
				must(os.Mkdir(dir+"/state", 0o700))
				write(dir+"/state/wan", "198.51.100.7\n")
				must(os.Symlink("state/wan", dir+"/addresses"))
			},
			changes: []func(dir string){
				func(dir string) {
					write(dir+"/state/new", "198.51.100.8\n")
					must(os.Rename(dir+"/state/new", dir+"/state/wan"))
				},
			},
		},
		// As systemd makes and removes a service's RuntimeDirectory.
		"in a directory that comes and goes": {
			prepare: func(string) {},
			path:    "run/wan/addresses",
			changes: []func(dir string){
				func(dir string) {
					must(os.MkdirAll(dir+"/run/wan", 0o700))
					write(dir+"/run/wan/addresses", "198.51.100.7\n")
				},
				func(dir string) { write(dir+"/run/wan/addresses", "198.51.100.8\n") },
				func(dir string) { must(os.RemoveAll(dir + "/run")) },
				func(dir string) {
					must(os.MkdirAll(dir+"/run/wan", 0o700))
					write(dir+"/run/wan/addresses", "198.51.100.7\n")
				},
			},
		},
		"in a directory that is a link": {
			prepare: func(dir string) {
				must(os.Mkdir(dir+"/1", 0o700))
				write(dir+"/1/addresses", "198.51.100.7\n")
				must(os.Symlink("1", dir+"/current"))
			},
			path: "current/addresses",
			changes: []func(dir string){
				func(dir string) { write(dir+"/1/addresses", "198.51.100.8\n") },
				func(dir string) {
					must(os.Mkdir(dir+"/2", 0o700))
					write(dir+"/2/addresses", "198.51.100.9\n")
					must(os.Symlink("2", dir+"/next"))
					must(os.Rename(dir+"/next", dir+"/current"))
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tc.prepare(dir)
			if tc.path == "" {
				tc.path = "addresses"
			}
			changed := follow(t, filepath.Join(dir, tc.path))
			for i, change := range tc.changes {
				change(dir)
				select {
				case <-changed:
				case <-time.After(calmInterval - time.Second):
					t.Fatalf("change %d is not noticed", i+1)
				}
				drain(changed)
			}
		})
	}
}

// TestNotifyOfNothing: neighbors and attributes are no news.
func TestNotifyOfNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "addresses")
	if err := os.WriteFile(path, []byte("198.51.100.7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := follow(t, path)
	for range 100 {
		if err := os.WriteFile(path+".log", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("told of a change that is none")
	case <-time.After(200 * time.Millisecond):
	}
}

// TestPolls: where the system tells nothing, that is learned from the first
// change.
func TestPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "addresses")
		w := &watcher{path: path, poll: calmInterval}
		w.last = w.look()
		began := time.Now()
		var noticed []time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.run(ctx, func() { noticed = append(noticed, time.Since(began)) })
		for _, content := range []string{"198.51.100.7\n", "", "198.51.100.8\n"} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(calmInterval + time.Second)
			synctest.Wait()
		}
		want := []time.Duration{calmInterval, calmInterval + pollInterval, 2*calmInterval + pollInterval}
		if !slices.Equal(noticed, want) {
			t.Errorf("noticed after %v, want %v", noticed, want)
		}
	})
}

// follow returns what has a value whenever the watcher has told of a change. In
// the end nothing may be left of it.
func follow(t *testing.T, path string) <-chan struct{} {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	changed := make(chan struct{}, 1)
	w := watch(path)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for range 1000 {
			if runtime.NumGoroutine() <= goroutines {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines became %d", goroutines, runtime.NumGoroutine())
	})
	return changed
}

func drain(c <-chan struct{}) {
	for {
		select {
		case <-c:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}
