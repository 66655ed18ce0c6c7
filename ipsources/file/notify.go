package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// pollInterval is how often the file is looked at where the system tells
	// nothing, as on network file systems.
	pollInterval = 10 * time.Second
	// calmInterval is that before anything shows that the system tells nothing.
	// Each look wakes the CPU.
	calmInterval = time.Minute
)

// maxLooks bounds how long directories that appear one in the other are followed
// without an event.
const maxLooks = 16

// Notify implements ipsources.Notifier.
func (s *File) Notify(ctx context.Context, changed func()) { watch(s.path).run(ctx, changed) }

// watcher watches a file, and the directories that it is in.
type watcher struct {
	path string
	// system is nil where the system refuses, which leaves the polls.
	system *fsnotify.Watcher
	// watched are the files and directories that system watches, by path.
	watched map[string]os.FileInfo
	last    sight
	poll    time.Duration
}

// watch begins: changes count from now on, and run, which must follow, tells of
// them.
func watch(path string) *watcher {
	w := &watcher{path: path, poll: calmInterval, watched: make(map[string]os.FileInfo)}
	var err error
	if w.system, err = fsnotify.NewWatcher(); err != nil {
		w.poll = pollInterval
	}
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
	timer := time.NewTimer(w.poll)
	defer timer.Stop()
	for {
		touched, polled := false, false
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			touched = e.Op != fsnotify.Chmod && (e.Name == w.last.link || e.Name == w.last.target)
		case <-lost:
		case <-timer.C:
			polled = true
		}
		now := w.look()
		if other := !now.same(w.last); touched || other {
			if polled && other {
				w.poll = pollInterval
			}
			changed()
		}
		w.last = now
		timer.Reset(w.poll)
	}
}

// sight is what of a file can be seen from outside.
type sight struct {
	// link and target are where the path leads: they differ where the file is
	// behind a symbolic link. Directories on the way are resolved.
	link, target string
	info         os.FileInfo // nil if there is no file
}

// look watches the file that is there now and its directories, and sees what it is
// like. Files are replaced by renaming, so watching the file alone would not do.
func (w *watcher) look() (now sight) {
	// Until a directory is watched, it may change unseen.
	for range maxLooks {
		var paths []string
		now, paths = find(w.path)
		if w.system == nil || !w.follow(paths) {
			break
		}
	}
	now.info, _ = os.Stat(w.path)
	return now
}

// find returns where the path leads, and what to watch: the file, the directories
// of the link and of its target, or the nearest one above where there is none, and
// those in which directories on the way are links.
func find(path string) (now sight, watch []string) {
	above := filepath.Dir(path)
	dir, err := filepath.EvalSymlinks(above)
	if err == nil {
		now.link = filepath.Join(dir, filepath.Base(path))
	}
	for ; err != nil && above != filepath.Dir(above); dir, err = filepath.EvalSymlinks(above) {
		above = filepath.Dir(above)
	}
	if err == nil {
		watch = append(watch, dir)
	}
	if now.target, err = filepath.EvalSymlinks(path); err == nil {
		// Of a file that is mounted alone, its directory tells nothing.
		watch = append(watch, now.target)
		if filepath.Dir(now.target) != dir {
			watch = append(watch, filepath.Dir(now.target))
		}
	}
	for at := filepath.Dir(path); at != filepath.Dir(at); at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil || info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		if holder, err := filepath.EvalSymlinks(filepath.Dir(at)); err == nil {
			watch = append(watch, holder)
		}
	}
	return now, watch
}

// follow watches what is at these paths and nothing else. It reports whether that
// is new.
func (w *watcher) follow(paths []string) (changed bool) {
	listed := w.system.WatchList()
	for _, path := range listed {
		if !slices.Contains(paths, path) {
			w.leave(path)
		}
	}
	for _, path := range paths {
		before, _ := os.Stat(path)
		if slices.Contains(listed, path) {
			if isSame(before, w.watched[path]) {
				continue
			}
			// What was there may live on under another name.
			w.leave(path)
		}
		if err := w.system.Add(path); err != nil {
			w.poll = pollInterval
			continue
		}
		if after, _ := os.Stat(path); isSame(before, after) {
			w.watched[path] = after
		}
		changed = true
	}
	return changed
}

func (w *watcher) leave(path string) {
	_ = w.system.Remove(path)
	delete(w.watched, path)
}

func isSame(a, b os.FileInfo) bool { return a != nil && b != nil && os.SameFile(a, b) }

func (a sight) same(b sight) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}
