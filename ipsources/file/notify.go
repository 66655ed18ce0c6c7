package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often the file is looked at where the system tells
// nothing, as on network file systems.
const pollInterval = 10 * time.Second

// maxLooks bounds how long directories that appear one in the other are followed
// without an event.
const maxLooks = 16

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
	// Until a directory is watched, it may change unseen.
	for range maxLooks {
		var dirs []string
		now, dirs = find(w.path)
		if w.system == nil || !w.follow(dirs) {
			break
		}
	}
	now.info, _ = os.Stat(w.path)
	return now
}

// find returns where the path leads, and the directories to watch: those of the
// link and of its target, or the nearest one above where there is none.
func find(path string) (now sight, dirs []string) {
	above := filepath.Dir(path)
	dir, err := filepath.EvalSymlinks(above)
	if err == nil {
		now.link = filepath.Join(dir, filepath.Base(path))
	}
	for ; err != nil && above != filepath.Dir(above); dir, err = filepath.EvalSymlinks(above) {
		above = filepath.Dir(above)
	}
	if err == nil {
		dirs = append(dirs, dir)
	}
	if now.target, err = filepath.EvalSymlinks(path); err == nil && filepath.Dir(now.target) != dir {
		dirs = append(dirs, filepath.Dir(now.target))
	}
	return now, dirs
}

// follow watches these directories and no others. It reports whether that is
// new.
func (w *watcher) follow(dirs []string) (changed bool) {
	watched := w.system.WatchList()
	for _, dir := range watched {
		if !slices.Contains(dirs, dir) {
			_ = w.system.Remove(dir)
		}
	}
	for _, dir := range dirs {
		// Again, too, where it is watched: it may be another one of that name.
		changed = w.system.Add(dir) == nil && !slices.Contains(watched, dir) || changed
	}
	return changed
}

func (a sight) same(b sight) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}
