package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// troubled is the storage of an instance that is in trouble once it has a lock.
type troubled struct {
	*instance
	had bool
	// late is how long it takes to have it, whatever the context says.
	late time.Duration
	// store and unlock are what the first calls after that come to.
	store  func() error
	unlock func() error
}

func (s *troubled) Lock(ctx context.Context, name string) error {
	time.Sleep(s.late)
	err := s.instance.Lock(context.WithoutCancel(ctx), name)
	s.had = s.had || err == nil
	return err
}

func (s *troubled) Store(ctx context.Context, key string, value []byte) error {
	if do := s.store; s.had && do != nil {
		s.store = nil
		return do()
	}
	return s.instance.Store(ctx, key, value)
}

func (s *troubled) Unlock(ctx context.Context, name string) error {
	if do := s.unlock; do != nil {
		s.unlock = nil
		return do()
	}
	return s.instance.Unlock(ctx, name)
}

// TestUnlock: the lock is given back also where the storage is in trouble when
// that is due.
func TestUnlock(t *testing.T) {
	hangs := func() error { time.Sleep(testLease); return errors.New("no route to host") }
	fails := func() error { return errors.New("input/output error") }
	for name, storage := range map[string]*troubled{
		"the claim hangs": {store: hangs}, "unlocking hangs": {unlock: hangs}, "unlocking fails": {unlock: fails},
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, lease.All, func(w *world) {
				w.wrap = func(i *instance) certmagic.Storage { storage.instance = i; return storage }
				w.start("a", "192.0.2.1")
				time.Sleep(5 * testLease)
				w.mu.Lock()
				defer w.mu.Unlock()
				if !storage.had || w.locks[lockName] {
					t.Errorf("had it %v, and has it %v", storage.had, w.locks[lockName])
				}
			})
		})
	}
}

// TestUnlockAfterLeaving: the same of one that leaves meanwhile, in a process that
// goes on.
func TestUnlockAfterLeaving(t *testing.T) {
	for _, name := range []string{"locking hangs", "unlocking fails"} {
		t.Run(name, func(t *testing.T) {
			scenario(t, lease.All, func(w *world) {
				storage, leave := new(troubled), make(chan struct{})
				if name == "locking hangs" {
					storage.late = 2 * testLease
					time.AfterFunc(2*testLease, func() { close(leave) })
				} else {
					storage.unlock = func() error { close(leave); return errors.New("input/output error") }
				}
				w.wrap = func(i *instance) certmagic.Storage { storage.instance = i; return storage }
				a := w.start("a", "192.0.2.1")
				<-leave
				a.stop()
				time.Sleep(5 * testLease)
				w.mu.Lock()
				defer w.mu.Unlock()
				if !storage.had || w.locks[lockName] {
					t.Errorf("had it %v, and has it %v", storage.had, w.locks[lockName])
				}
			})
		})
	}
}
