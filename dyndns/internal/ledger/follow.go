package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/certmagic"
)

// Follow takes over what other processes have stored, and tells them what this
// one has. It is to be called every few seconds; apply is called for each
// entry that was taken over. judge may be nil.
func (l *Ledger) Follow(ctx context.Context, storage certmagic.Storage, apply func(*Entry), judge Judge) error {
	told, err := readChanges(ctx, storage)
	if err != nil {
		l.mu.Lock()
		l.changes.behind = true
		l.mu.Unlock()
		return err
	}
	for i, entry := range told {
		if l.adopt(entry, apply) {
			l.mu.Lock()
			l.changes.unsure[entry.Host], l.changes.alongside = true, true
			// What was pushed out of a full file may be news, too.
			l.changes.behind = l.changes.behind || i == 0 && len(told) >= maxChanges
			l.mu.Unlock()
		} else {
			l.hear(entry)
		}
	}
	l.mu.Lock()
	behind := l.changes.behind
	unsure := slices.Sorted(maps.Keys(l.changes.unsure))
	l.mu.Unlock()
	if behind {
		if err := l.Load(ctx, storage, apply); !Partly(err) {
			return err
		}
		l.mu.Lock()
		l.changes.behind = false
		l.mu.Unlock()
	}
	for _, host := range unsure {
		if l.taken(host) || l.awaits(host) {
			// Nobody else is to wait for a call that hangs.
			continue
		}
		if err = l.look(ctx, storage, host, apply); !Partly(err) {
			break
		}
	}
	if Partly(err) {
		err = l.retry(ctx, storage, apply)
	}
	// Where one entry cannot be read, others are told of the rest all the same.
	if news := l.news(told, judge); len(news) > 0 {
		err = errors.Join(err, l.tell(ctx, storage, news))
	}
	return err
}

// Refresh takes over what is stored of hosts, if other processes write there,
// too: nothing newer than what they have told of may be taken for old.
func (l *Ledger) Refresh(ctx context.Context, storage certmagic.Storage, hosts []string, apply func(*Entry)) error {
	if !l.Alongside() {
		return nil
	}
	for _, host := range hosts {
		if err := l.look(ctx, storage, host, apply); err != nil {
			return err
		}
	}
	return nil
}

// taken reports whether somebody has the host's turn.
func (l *Ledger) taken(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.host(name).turn) > 0
}

// look takes over the stored entry of a host if it is newer than what is known,
// and stores what is known if that is newer.
func (l *Ledger) look(ctx context.Context, storage certmagic.Storage, name string, apply func(*Entry)) error {
	release, err := l.Lock(ctx, []string{name})
	if err != nil {
		return err
	}
	defer release()
	there, err := load(ctx, storage, name)
	if err != nil && !errors.As(err, new(*DamagedError)) {
		return l.note(key(name), err)
	}
	if there != nil {
		l.adopt(there, apply)
	}
	known := l.Lookup(name)
	if known.Sequence > 0 && (there == nil || there.Compare(known.Version) < 0) {
		data, err := known.encode()
		if err != nil {
			return err
		}
		if err := storage.Store(ctx, key(name), data); err != nil {
			return fmt.Errorf("%s: %w", key(name), err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.changes.unsure, name)
	return nil
}
