package nameserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

const (
	// holdTimeout bounds how long this Caddy works on a file while it holds
	// its lock.
	holdTimeout = 10 * time.Second

	// lockPatience is how long a lock is waited for while nothing is written
	// under it. It is longer than any Caddy holds one, and than the 10 seconds
	// after which that of a process that died is stale.
	lockPatience = 3 * holdTimeout

	// writeGrace is how long the outcome of a write under way is waited for by
	// those whose context ends.
	writeGrace = time.Second

	// maxRaces bounds how often a change is made again because somebody who
	// does not know the lock wrote to the file meanwhile.
	maxRaces = 5
)

// errRaced tells that somebody else has written to the file.
var errRaced = errors.New("the zone file changes all the time")

// update changes the records of the zone and returns when the change is in
// the file. If edit leaves them as they are, nothing is written.
func (z *zone) update(ctx context.Context, storage certmagic.Storage, edit func(*zonedata.Draft) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{edit, make(chan error, 1)}
	q := &z.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	if !q.working {
		q.working = true
		go z.work(storage)
	}
	q.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	if q.remove(c) {
		return ctx.Err()
	}
	select { // it is being written
	case err := <-c.done:
		return err
	case <-time.After(writeGrace):
		return ctx.Err()
	}
}

// work makes changes until there are none.
func (z *zone) work(storage certmagic.Storage) {
	for {
		ctx, ok := z.queue.next()
		if !ok {
			return
		}
		if err := z.commit(ctx, storage); err != nil {
			finish(z.queue.take(), err)
		}
	}
}

// commit makes the changes that wait, under the storage's lock.
func (z *zone) commit(ctx context.Context, storage certmagic.Storage) error {
	if err := z.take(ctx); err != nil {
		return err
	}
	defer z.release()
	if err := z.lock(ctx, storage); err != nil {
		return fmt.Errorf("locking zone %s: %w", z.name, err)
	}
	hctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	changes := z.queue.take()
	var err error
	for range maxRaces {
		if changes, err = z.write(hctx, storage, changes); !errors.Is(err, errRaced) {
			break
		}
	}
	uerr := storage.Unlock(hctx, z.key())
	if uerr != nil && err == nil && !errors.Is(uerr, fs.ErrNotExist) {
		err = fmt.Errorf("unlocking zone %s: %w", z.name, uerr)
	}
	finish(changes, err)
	return nil
}

// lock takes the storage's lock. One under which nothing is written for far
// longer than any write takes is broken: certmagic's file storage keeps a lock
// file fresh for as long as it is there, also when by now it is that of a
// process which died with it, and would wait for itself for ever.
func (z *zone) lock(ctx context.Context, storage certmagic.Storage) error {
	before := z.progress(ctx, storage)
	for {
		patient, cancel := context.WithTimeout(ctx, lockPatience)
		err := storage.Lock(patient, z.key())
		expired := patient.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !expired {
			return err
		}
		now := z.progress(ctx, storage)
		if now == before {
			break
		}
		before = now // others have it in turns
	}
	caddy.Log().Named("nameserver").Warn("taking a lock under which nothing is written", zap.String("zone", z.name), zap.Duration("waited", lockPatience))
	if err := storage.Unlock(ctx, z.key()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return storage.Lock(ctx, z.key())
}

// progress is something that differs whenever something was written.
func (z *zone) progress(ctx context.Context, storage certmagic.Storage) sum {
	data, err := storage.Load(ctx, z.key())
	if err != nil {
		return sum{}
	}
	return sha256.Sum256(data)
}

// write reads the file, makes the changes and writes it. It returns the
// changes whose outcome is its own; others have failed by themselves.
func (z *zone) write(ctx context.Context, storage certmagic.Storage, changes []*change) ([]*change, error) {
	if err := z.read(ctx, storage); err != nil {
		return changes, err
	}
	f := &z.file
	s, changes, err := z.edit(changes)
	if err != nil {
		return changes, err
	}
	if s == f.content && (!f.unsaved || f.bad != nil) {
		return changes, nil
	}
	data := s.Format()
	if err := z.checkUnchanged(ctx, storage); err != nil {
		return changes, err
	}
	if f.bad != nil {
		if err := storage.Store(ctx, z.key()+badSuffix, f.bad.data); err != nil {
			return changes, fmt.Errorf("setting the bad file of zone %s aside: %w", z.name, err)
		}
		caddy.Log().Named("nameserver").Error("zone file is no zone; setting it aside", zap.String("zone", z.name),
			zap.String("moved_to", z.key()+badSuffix), zap.Error(f.bad.err))
		z.setBadFile(&report.BadFile{File: z.key() + badSuffix, Error: f.bad.err.Error()})
	}
	if err := storage.Store(ctx, z.key(), data); err != nil {
		return changes, fmt.Errorf("storing zone %s: %w", z.name, err)
	}
	f.bad, f.content, f.unsaved, f.applied, f.seen = nil, s, false, f.wanted, sha256.Sum256(data)
	return changes, z.declareOn(s, false, false)
}

// edit makes the changes one after the other, and tells those that cannot be
// made. It returns the others.
func (z *zone) edit(changes []*change) (s *zonedata.Snapshot, made []*change, err error) {
	s = z.file.content
	draft, edited := s.Edit(), false
	for _, c := range changes {
		if c.edit != nil {
			child := draft.Child()
			err := c.edit(child)
			if err == nil {
				err = child.Check()
			}
			if err != nil {
				c.done <- err
				continue
			}
			draft.Merge(child)
			edited = true
		}
		made = append(made, c)
	}
	if !edited {
		return s, made, nil
	}
	built, err := draft.Build()
	if err != nil {
		return s, made, err
	}
	if !built.Same(s) {
		s = built.WithSerial(zonedata.NextSerial(s.SOA.Serial, time.Now().Unix()))
	}
	return s, made, nil
}

// checkUnchanged fails if the file is no longer the one that was read.
func (z *zone) checkUnchanged(ctx context.Context, storage certmagic.Storage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f := &z.file
	data, err := storage.Load(ctx, z.key())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("loading zone %s: %w", z.name, err)
	}
	if now := sha256.Sum256(data); now != f.seen && (f.bad == nil || now != f.bad.sum) {
		return errRaced
	}
	return nil
}
