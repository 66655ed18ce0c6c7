package file

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often the file is looked at where the system tells
// nothing, as on network file systems.
const pollInterval = 10 * time.Second

// Notify implements ipsources.Notifier.
func (s *File) Notify(ctx context.Context, changed func()) { watch(s.path).run(ctx, changed) }

// watcher watches the directories that a file is in.
type watcher struct {
	path string
	// system is nil where the system refuses, which leaves the ticker.
	system *fsnotify.Watcher
	last   sight
}

// watch begins: changes count from now on, and run, which must follow, tells of
// them.
func watch(path string) *watcher {
	w := &watcher{path: path}
	w.system, _ = fsnotify.NewWatcher()
	w.last = w.look()
	return w
}

// run tells of changes until ctx ends.
func (w *watcher) run(ctx context.Context, changed func()) {
	var events chan fsnotify.Event
	var lost chan error
	if w.system != nil {
		defer w.system.Close()
		events, lost = w.system.Events, w.system.Errors
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		touched := false
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			touched = e.Op != fsnotify.Chmod && (e.Name == w.last.link || e.Name == w.last.target)
		case <-lost:
		case <-ticker.C:
		}
		now := w.look()
		if touched || !now.same(w.last) {
			changed()
		}
		w.last = now
	}
}

// sight is what of a file can be seen from outside.
type sight struct {
	// link and target are where the path leads: they differ where the file is
	// behind a symbolic link. Directories on the way are resolved.
	link, target string
	info         os.FileInfo // nil if there is no file
}

// look watches the directories that the file is in now, and sees what is there.
// Files are replaced by renaming, so watching the file itself would not do.
func (w *watcher) look() (now sight) {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(w.path)); err == nil {
		now.link = filepath.Join(dir, filepath.Base(w.path))
	}
	now.target, _ = filepath.EvalSymlinks(w.path)
	if w.system != nil {
		wanted := make(map[string]bool)
		for _, path := range []string{now.link, now.target} {
			if path != "" {
				wanted[filepath.Dir(path)] = true
			}
		}
		for _, dir := range w.system.WatchList() {
			if !wanted[dir] {
				_ = w.system.Remove(dir)
			}
		}
		for dir := range wanted {
			_ = w.system.Add(dir)
		}
	}
	now.info, _ = os.Stat(w.path)
	return now
}

func (a sight) same(b sight) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}
