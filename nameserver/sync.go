package nameserver

import (
	"context"
	"errors"

	"github.com/caddyserver/certmagic"
)

// sync serves what others wrote to the file, and writes what is not in it yet.
// It fails, if it does nothing else, with what is wrong with the file or with
// the configuration.
func (z *zone) sync(ctx context.Context, storage certmagic.Storage) error {
	if err := z.take(ctx); err != nil {
		return err
	}
	f := &z.file
	if z.mayHaveChanged(ctx, storage) {
		if err := z.read(ctx, storage); err != nil {
			z.release()
			return err
		}
	}
	running, pending := z.declarations()
	write := f.unsaved && f.bad == nil && (running != nil || pending == nil)
	if !write {
		z.keepGood(ctx, storage, false)
	}
	err := errors.Join(f.problem, f.bad.error(z.key()))
	z.release()
	if write {
		err = errors.Join(z.update(ctx, storage, nil), err)
	}
	return err
}
