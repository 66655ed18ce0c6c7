package cluster

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// refusing is the storage of an instance that may not read others' entries, or
// write its own.
type refusing struct {
	*instance
	read, write bool
}

func (s *refusing) set(read, write bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.read, s.write = read, write
}

func (s *refusing) Load(ctx context.Context, key string) ([]byte, error) {
	s.w.mu.Lock()
	refused := s.read
	s.w.mu.Unlock()
	if refused {
		return nil, fs.ErrPermission
	}
	return s.instance.Load(ctx, key)
}

func (s *refusing) Store(ctx context.Context, key string, value []byte) error {
	s.w.mu.Lock()
	refused := s.write
	s.w.mu.Unlock()
	if refused {
		return fs.ErrPermission
	}
	return s.instance.Store(ctx, key, value)
}

// TestSaidOnce: a storage of which only a part can be used has the instance write
// nothing after a lease. That is said once, with the reason, and once that it is
// over.
func TestSaidOnce(t *testing.T) {
	for name, test := range map[string]struct{ read, write bool }{"unreadable": {read: true}, "read-only": {write: true}} {
		for _, patience := range []time.Duration{testLease, 2 * time.Minute} {
			t.Run(name, func(t *testing.T) {
				scenario(t, lease.All, func(w *world) {
					storage := new(refusing)
					core, logged := observer.New(zap.InfoLevel)
					w.wrap = func(i *instance) certmagic.Storage {
						if i.name != "a" {
							return i
						}
						storage.instance = i
						return storage
					}
					w.start("b", "192.0.2.2")
					a := w.start("a", "192.0.2.1")
					w.expect(2*testLease, "192.0.2.1", "192.0.2.2")
					a.member.Configure(Settings{
						Storage: storage, Lease: patience, Sets: a.sets, Report: a.report,
						Changed: a.claim, Begin: func(lease.ZoneID) func() { return func() {} },
						Observer: silent{}, Logger: zap.New(core),
					})
					time.Sleep(time.Minute)
					logged.TakeAll()
					storage.set(test.read, test.write)
					w.mu.Lock()
					a.sound = time.Now().Add(time.Hour) // The others may take it for gone.
					w.mu.Unlock()
					for range 5 {
						time.Sleep(patience)
						if s := a.member.Status(); s.Trouble == nil {
							t.Errorf("no trouble, and cut off is %v", s.CutOff)
						}
					}
					if a.member.Status().CutOff == nil || a.member.Writes(testZone) {
						t.Error("it would go on writing")
					}
					lines := logged.TakeAll()
					if len(lines) != 1 || !strings.Contains(lines[0].Entry.Message, "the storage") || lines[0].ContextMap()["error"] == nil {
						t.Errorf("said %+v", lines)
					}
					storage.set(false, false)
					time.Sleep(patience)
					if s := a.member.Status(); s.CutOff != nil || s.Trouble != nil {
						t.Errorf("cut off is %v, and trouble %v", s.CutOff, s.Trouble)
					}
					if lines := logged.TakeAll(); len(lines) != 1 {
						t.Errorf("said %+v", lines)
					}
				})
			})
		}
	}
}
