package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// Judge says of entries, in their order, in which families DNS holds what is
// on record. It is nil where that is for another process to say, or cannot be
// told.
type Judge func([]*Entry) [][ipaddr.Families]*bool

// news is what others are to be told of an entry.
type news struct {
	entry *Entry
	// confirmed is what this process knows of it, if it is for this one to say.
	confirmed [ipaddr.Families]bool
	judged    bool
}

// Ask has others told of a host once more, so that the one who knows says
// whether DNS holds what is on record.
func (l *Ledger) Ask(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.hosts[host]; h != nil && h.entry != nil {
		l.changes.mine[host] = change{entry: h.entry}
	}
}

// hear takes over what another process says of an entry that is known.
func (l *Ledger) hear(entry *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hosts[entry.Host]
	if h == nil || h.entry == nil || h.entry.Version != entry.Version || h.entry.Confirmed == entry.Confirmed {
		return
	}
	heard := *h.entry
	heard.Confirmed = entry.Confirmed
	h.entry = &heard
	l.notify()
}

// news returns what others are to be told: what this process has changed and is
// not told, or has been overwritten by another that did not know of it, and
// what it knows better of whether DNS has followed.
func (l *Ledger) news(told []*Entry, judge Judge) map[string]news {
	all := make(map[string]news)
	seen := make(map[string]*Entry, len(told))
	for _, entry := range told {
		seen[entry.Host] = entry
	}
	var doubtful []*Entry
	l.mu.Lock()
	for name, mine := range l.changes.mine {
		switch there := seen[name]; {
		case there == nil && mine.told && len(told) >= maxChanges, there != nil && there.Compare(mine.entry.Version) > 0:
			// It is old news.
			delete(l.changes.mine, name)
		case there == nil || there.Version != mine.entry.Version:
			all[name] = news{entry: mine.entry}
		}
	}
	for name, h := range l.hosts {
		if there := seen[name]; h.entry != nil && (there != nil && there.Version == h.entry.Version || h.entry.Confirmed != [ipaddr.Families]bool{}) {
			doubtful = append(doubtful, h.entry)
		}
	}
	l.mu.Unlock()
	if judge == nil {
		return all
	}
	for i, verdict := range judge(doubtful) {
		entry := doubtful[i]
		confirmed := entry.Confirmed
		for f, holds := range verdict {
			if holds != nil {
				confirmed[f] = *holds
			}
		}
		// Meanwhile the verdict may have become that of a newer one.
		if confirmed != entry.Confirmed && l.Lookup(entry.Host).Version == entry.Version {
			all[entry.Host] = news{entry, confirmed, true}
		}
	}
	return all
}

// tell adds to what processes tell each other.
func (l *Ledger) tell(ctx context.Context, storage certmagic.Storage, all map[string]news) error {
	select {
	case l.telling <- struct{}{}:
		defer func() { <-l.telling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	told, err := readChanges(ctx, storage)
	if err != nil {
		return err
	}
	rest := maps.Clone(all)
	told = slices.DeleteFunc(told, func(there *Entry) bool {
		n, ok := rest[there.Host]
		if !ok {
			return false
		}
		if order := there.Compare(n.entry.Version); order > 0 || order == 0 && !n.judged {
			delete(rest, there.Host)
			return false
		}
		return true
	})
	var lines []json.RawMessage
	add := func(entry *Entry, confirmed [ipaddr.Families]bool) {
		line, failed := entry.encodeWith(confirmed)
		lines, err = append(lines, line), errors.Join(err, failed)
	}
	for _, entry := range told {
		add(entry, entry.Confirmed)
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		add(rest[name].entry, rest[name].confirmed)
	}
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		data, err := json.Marshal(lines[max(0, len(lines)-maxChanges):])
		if err != nil {
			return err
		}
		if err := storage.Store(ctx, changesKey, data); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, n := range all {
		if mine, ok := l.changes.mine[name]; ok && mine.entry.Version == n.entry.Version {
			mine.told = true
			l.changes.mine[name] = mine
		}
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
