package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
)

const (
	// maxInVain bounds how many entries that cannot be read are tried in vain at
	// a time, for some storages are paid by the request.
	maxInVain = 10
	// maxListed bounds how many an error lists.
	maxListed = 5
)

// DamagedError is the error of entries that can be read, but make no sense.
type DamagedError struct{ error }

// UnreadError is the error of entries that cannot be read although others can.
// They are tried again by Follow.
type UnreadError struct{ error }

// Partly reports whether an error is of single entries alone, and all others
// were read.
func Partly(err error) bool {
	switch e := err.(type) {
	case nil, *DamagedError, *UnreadError:
		return true
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(err error) bool { return !Partly(err) })
	}
	return false
}

// Load reads all entries, and calls apply with those that are new or newer. One
// that is damaged counts as missing, and of one that cannot be read nothing is
// known: once the others are read, the error is a [*DamagedError], an
// [*UnreadError], or both.
func (l *Ledger) Load(ctx context.Context, storage certmagic.Storage, apply func(*Entry)) error {
	keys, err := storage.List(ctx, hostsDirectory, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasSuffix(key, ".json") })
	if err = l.readAll(ctx, storage, keys, len(keys), apply); !Partly(err) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
	return err
}

// readAll takes over the entries of keys, until so many could not be read, and
// returns what is the matter with any of them, and with those before that could
// not be read.
func (l *Ledger) readAll(ctx context.Context, storage certmagic.Storage, keys []string, inVain int, apply func(*Entry)) error {
	var damaged []error
	for _, key := range keys {
		err := l.read(ctx, storage, key, apply)
		switch {
		case errors.As(err, new(*DamagedError)):
			damaged = append(damaged, err)
		case !Partly(err):
			return err
		case err != nil:
			inVain--
		}
		if inVain == 0 {
			break
		}
	}
	unread := l.unreadError()
	if len(damaged) == 0 {
		return unread
	}
	return errors.Join(&DamagedError{errors.Join(damaged...)}, unread)
}

// read takes over the entry of a key.
func (l *Ledger) read(ctx context.Context, storage certmagic.Storage, key string, apply func(*Entry)) error {
	data, err := storage.Load(ctx, key)
	switch err := l.note(key, err); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	entry, err := decode("", data)
	if err != nil {
		return &DamagedError{fmt.Errorf("%s: %w", key, err)}
	}
	l.adopt(entry, apply)
	return nil
}

// note remembers whether an entry could be read, and returns what became of
// that. That a storage does not answer in time says nothing of the entry.
func (l *Ledger) note(key string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		delete(l.unread, key)
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", key, err)
	}
	if l.unread[key] == nil {
		l.unread[key] = err
	}
	return &UnreadError{fmt.Errorf("%s: %w", key, err)}
}

// retry tries some of the entries again that could not be read.
func (l *Ledger) retry(ctx context.Context, storage certmagic.Storage, apply func(*Entry)) error {
	l.mu.Lock()
	// In no order, so that each has its turn where there are many.
	keys := slices.Collect(maps.Keys(l.unread))
	l.mu.Unlock()
	return l.readAll(ctx, storage, keys, maxInVain, apply)
}

// unreadError is the error of all that could not be read, which is the same as
// long as nothing changes.
func (l *Ledger) unreadError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) == 0 {
		return nil
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(l.unread)) {
		if len(errs) == maxListed {
			errs = append(errs, fmt.Errorf("and %d more", len(l.unread)-maxListed))
			break
		}
		errs = append(errs, fmt.Errorf("%s: %w", key, l.unread[key]))
	}
	return &UnreadError{errors.Join(errs...)}
}

// Unread returns the hosts of which nothing is known because their entries could
// not be read, sorted.
func (l *Ledger) Unread() (hosts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.unread {
		host := strings.Replace(strings.TrimSuffix(path.Base(k), ".json"), "@", "*", 1)
		if h := l.hosts[host]; key(host) == k && (h == nil || h.entry == nil) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// awaits reports whether the host's entry could not be read.
func (l *Ledger) awaits(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unread[key(host)] != nil
}

// load returns the entry of a host as it is stored, or nil.
func load(ctx context.Context, storage certmagic.Storage, host string) (*Entry, error) {
	data, err := storage.Load(ctx, key(host))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entry, err := decode(host, data)
	if err != nil {
		return nil, &DamagedError{err}
	}
	return entry, nil
}
