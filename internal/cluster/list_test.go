package cluster

import (
	"context"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// crossed is a folder in which each other list meets the file of an entry that is
// being written, and is gone then.
type crossed struct {
	*instance
	lists int
}

func (s *crossed) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	if s.lists++; s.lists%2 == 0 {
		return nil, &fs.PathError{Op: "lstat", Path: "/srv/caddy/" + path + "/945574456", Err: syscall.ENOENT}
	}
	return s.instance.List(ctx, path, recursive)
}

// TestListCrossed: who writes a zone goes on where a list crosses a write of
// others.
func TestListCrossed(t *testing.T) {
	scenario(t, lease.All, func(w *world) {
		w.wrap = func(i *instance) certmagic.Storage {
			if i.name == "a" {
				return &crossed{instance: i}
			}
			return i
		}
		a := w.start("a", "192.0.2.1")
		w.expect(5*testLease, "192.0.2.1")
		w.start("b", "192.0.2.2")
		w.expect(2*testLease, "192.0.2.1", "192.0.2.2")
		for range 100 {
			time.Sleep(time.Second)
			if s := a.member.Status(); s.CutOff != nil || s.Trouble != nil || !a.member.Writes(testZone) {
				t.Errorf("cut off is %v, and trouble %v", s.CutOff, s.Trouble)
				break
			}
		}
	})
}
