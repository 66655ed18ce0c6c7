package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/caddyserver/certmagic"
)

// maxChanges bounds how many changes are told of. Whoever has missed more
// reads all entries.
const maxChanges = 500

// changes is what this process knows of the file that tells all processes
// which entries have changed of late, so that none has to look at each of
// them. It is written without a lock: a lock of a storage may be slow, and
// that of a dead process looks fresh for a while. Who finds that another has
// overwritten what it told tells it again.
type changes struct {
	// mine are the newest changes of this process, as long as they may have
	// to be told again.
	mine map[string]*Entry
	// unsure are hosts whose stored entry is to be looked at once more, for
	// two processes may have written it at a time.
	unsure map[string]bool
	// behind is set where changes may have been missed.
	behind bool
	// alongside is set once another process has written while this one ran.
	alongside bool
}

func (c *changes) add(e *Entry) {
	c.mine[e.Host], c.unsure[e.Host] = e, true
}

// Follow takes over what other processes have stored, and tells them what this
// one has. It is to be called every few seconds; apply is called for each
// entry that was taken over.
func (l *Ledger) Follow(ctx context.Context, storage certmagic.Storage, apply func(*Entry)) error {
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
		}
	}
	l.mu.Lock()
	behind := l.changes.behind
	unsure := slices.Sorted(maps.Keys(l.changes.unsure))
	l.mu.Unlock()
	if behind {
		if err := l.Load(ctx, storage, apply); err != nil && !errors.As(err, new(*DamagedError)) {
			return err
		}
		l.mu.Lock()
		l.changes.behind = false
		l.mu.Unlock()
	}
	for _, host := range unsure {
		if err := l.look(ctx, storage, host, apply); err != nil {
			return err
		}
	}
	return l.announce(ctx, storage, told)
}

// Refresh takes over what is stored of hosts, if other processes write there,
// too: nothing newer than what they have told of may be taken for old.
func (l *Ledger) Refresh(ctx context.Context, storage certmagic.Storage, hosts []string, apply func(*Entry)) error {
	l.mu.Lock()
	alongside := l.changes.alongside
	l.mu.Unlock()
	if !alongside {
		return nil
	}
	for _, host := range hosts {
		if err := l.look(ctx, storage, host, apply); err != nil {
			return err
		}
	}
	return nil
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
		return err
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
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.changes.unsure, name)
	return nil
}

// announce tells of what this process has changed and is not told, or has been
// overwritten by another that did not know of it.
func (l *Ledger) announce(ctx context.Context, storage certmagic.Storage, told []*Entry) error {
	seen := make(map[string]*Entry, len(told))
	for _, entry := range told {
		seen[entry.Host] = entry
	}
	l.mu.Lock()
	missing := make(map[string]*Entry)
	for name, entry := range l.changes.mine {
		switch there := seen[name]; {
		case there == nil && entry.told && len(told) >= maxChanges, there != nil && there.Compare(entry.Version) > 0:
			// It is old news.
			delete(l.changes.mine, name)
		case there == nil || there.Version != entry.Version:
			missing[name] = entry
		}
	}
	l.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	told, err := readChanges(ctx, storage)
	if err != nil {
		return err
	}
	told = slices.DeleteFunc(told, func(there *Entry) bool {
		entry := missing[there.Host]
		if entry != nil && there.Compare(entry.Version) > 0 {
			delete(missing, there.Host)
			return false
		}
		return entry != nil
	})
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		told = append(told, missing[name])
	}
	told = told[max(0, len(told)-maxChanges):]
	lines := make([]json.RawMessage, len(told))
	for i, entry := range told {
		if lines[i], err = entry.encode(); err != nil {
			return err
		}
	}
	data, err := json.Marshal(lines)
	if err != nil {
		return err
	}
	if err := storage.Store(ctx, changesKey, data); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entry := range missing {
		entry.told = true
	}
	return nil
}

// readChanges returns the changes of which somebody has told, the newest last.
// What makes no sense is left out, and is gone with the next change.
func readChanges(ctx context.Context, storage certmagic.Storage) ([]*Entry, error) {
	data, err := storage.Load(ctx, changesKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []json.RawMessage
	if json.Unmarshal(data, &lines) != nil {
		return nil, nil
	}
	var told []*Entry
	for _, line := range lines {
		if entry, err := decode("", line); err == nil {
			told = append(told, entry)
		}
	}
	return told, nil
}
