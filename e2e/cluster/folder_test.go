//go:build linux

package cluster

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// folder is how an instance reaches the shared folder: by a link of its own,
// which can lead elsewhere.
type folder struct {
	t            *testing.T
	link, shared string
}

func (f folder) leadTo(target string) {
	f.t.Helper()
	next := f.link + ".next"
	if err := os.Symlink(target, next); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(next, f.link); err != nil {
		f.t.Fatal(err)
	}
}

// TestCluster: three Caddys share a name through a folder. Whatever happens to
// one, the name is never empty and never lacks one that is well.
func TestCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	s := lab.NewInstances(t, 3, "")
	var folders []folder
	for i := range s.All {
		f := folder{t, filepath.Join(dir, "web"+string(rune('1'+i))), shared}
		f.leadTo(shared)
		folders = append(folders, f)
	}
	storage := func(i int) object { return object{"module": "file_system", "root": folders[i].link} }
	for i, instance := range s.All {
		instance.Run(storage(i))
	}
	s.Expect(2*lab.Lease+soon, "all started at once", s.All)

	_, transfers := s.Settled()
	time.Sleep(lab.Lease)
	if _, now := s.Settled(); now != transfers {
		t.Errorf("%d reads though nothing happened", now-transfers)
	}
	writer := s.Writer()
	moving := s.Others(writer)[0]
	updates, _ := s.Settled()
	moving.Move("93.184.216.101")
	s.Expect(soon, "an address changes", s.All, s.Others(moving)...)
	if now, _ := s.Settled(); now != updates+1 {
		t.Errorf("%d writes for one change of one instance", now-updates)
	}

	writer.Kill()
	s.Expect(30*time.Second, "the writer is killed", s.Others(writer), s.Others(writer)...)
	writer.Start()
	s.Expect(2*lab.Lease+soon, "it is back", s.All, s.Others(writer)...)

	// One that slept writes nothing old: what it does not know is that
	// another one has moved.
	writer = s.Writer()
	moving = s.Others(writer)[0]
	writer.Pause()
	s.Expect(30*time.Second, "the writer sleeps", s.Others(writer), s.Others(writer)...)
	moving.Move("93.184.216.102")
	s.Expect(soon, "an address changes meanwhile", s.Others(writer), s.Others(writer, moving)...)
	writer.Continue()
	s.Expect(2*lab.Lease+soon, "it wakes", s.All, s.Others(writer)...)

	writer = s.Writer()
	for i, f := range folders {
		if s.All[i] == writer {
			f.leadTo(filepath.Join(dir, "nowhere"))
			defer f.leadTo(shared)
		}
	}
	s.Expect(30*time.Second, "the storage is gone for the writer", s.Others(writer), s.Others(writer)...)
	if _, body := writer.Admin(http.MethodGet, "/dynamic_dns/status", nil); !strings.Contains(body, "cut_off") {
		t.Errorf("the status does not say that it is cut off: %s", body)
	}
	for _, f := range folders {
		f.leadTo(shared)
	}
	s.Expect(2*lab.Lease+soon, "the storage is back", s.All, s.Others(writer)...)

	for i := range s.All {
		empty := filepath.Join(dir, "empty"+string(rune('1'+i)))
		if err := os.Mkdir(empty, 0o700); err != nil {
			t.Fatal(err)
		}
		folders[i].leadTo(empty)
	}
	time.Sleep(3 * lab.Lease)
	for _, f := range folders {
		f.leadTo(shared)
	}
	s.Expect(3*lab.Lease, "all saw an empty folder for a while", s.All, s.All...)

	// A rolling restart with another configuration.
	for i, instance := range s.All {
		instance.Stop()
		s.Expect(soon, "one is stopped", s.Others(instance), s.Others(instance)...)
		instance.Run(storage(i), "api")
		s.Expect(2*lab.Lease+soon, "it is started with one name more", s.All, s.Others(instance)...)
	}
	if got := s.Addresses("api.example.test"); len(got) != 3 {
		t.Errorf("the name that was added holds %q", got)
	}
	for n, instance := range s.All {
		instance.Stop()
		if rest := s.All[n+1:]; len(rest) > 0 {
			s.Expect(soon, "one after the other is stopped", rest, rest...)
		}
	}
	time.Sleep(2 * time.Second)
	if got := s.Addresses("www.example.test"); len(got) != 1 {
		t.Errorf("after the last one, the name holds %q", got)
	}
}
