package ledger

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
)

// ErrStorage is the error of what could not be stored, and so did not happen.
var ErrStorage = errors.New("the update cannot be stored")

// Ledger has the entries of all hosts in memory.
type Ledger struct {
	// writer names this process among those that share the storage.
	writer string

	// ready is closed once all entries were read that can be.
	ready chan struct{}

	// telling is had by who tells other processes.
	telling chan struct{}

	mu      sync.Mutex
	hosts   map[string]*host
	changes changes
	// unread are the keys of entries that could not be read.
	unread map[string]error
	// changed is closed when something has.
	changed chan struct{}
}

// host is what is known of a host. Its turn is taken by whoever writes it.
type host struct {
	entry *Entry
	turn  chan struct{}
}

// New returns a ledger that knows nothing yet. The writer must be another for
// each process.
func New(writer string) *Ledger {
	return &Ledger{
		writer: writer, ready: make(chan struct{}), hosts: make(map[string]*host),
		telling: make(chan struct{}, 1), changed: make(chan struct{}),
		changes: changes{mine: make(map[string]change), unsure: make(map[string]bool)},
		unread:  make(map[string]error),
	}
}

// Ready returns a channel that is closed once all entries were read that can be.
// Before that, nobody knows what is on record.
func (l *Ledger) Ready() <-chan struct{} { return l.ready }

// Changed returns a channel that is closed when other processes have told
// something, or Notify is called.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Notify wakes those who wait for Changed.
func (l *Ledger) Notify() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notify()
}

func (l *Ledger) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Lookup returns what is on record of a host, which may be nothing.
func (l *Ledger) Lookup(name string) *Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.hosts[name]; h != nil && h.entry != nil {
		return h.entry
	}
	return &Entry{Host: name}
}

// Under calls fn with all entries, under the lock under which entries are
// applied.
func (l *Ledger) Under(fn func(iter.Seq[*Entry])) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(func(yield func(*Entry) bool) {
		for _, h := range l.hosts {
			if h.entry != nil && !yield(h.entry) {
				return
			}
		}
	})
}

// Apply applies what is on record of a host once more.
func (l *Ledger) Apply(name string, apply func(*Entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.hosts[name]; h != nil && h.entry != nil {
		apply(h.entry)
	}
}

// adopt takes over what is newer than what is known. apply is called under the
// lock, so that what is newest is applied last.
func (l *Ledger) adopt(entry *Entry, apply func(*Entry)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.keep(entry) {
		return false
	}
	apply(l.hosts[entry.Host].entry)
	l.notify()
	return true
}

// keep has the newer of what is known and an entry known from now on. Where
// each has something that the other lacks, that is a new entry, which is then
// stored and told. The caller has the lock.
func (l *Ledger) keep(entry *Entry) (changed bool) {
	h := l.host(entry.Host)
	if h.entry == nil {
		h.entry = entry
		return true
	}
	joined := h.entry.join(entry, l.writer)
	if joined == h.entry {
		return false
	}
	if joined != entry {
		l.changes.add(joined)
	}
	h.entry = joined
	return true
}

func (l *Ledger) host(name string) *host {
	h := l.hosts[name]
	if h == nil {
		h = new(host)
		l.hosts[name] = h
	}
	return h
}

// Lock takes the turns of hosts, in an order in which no two callers wait for
// each other. It returns a function that gives them back.
func (l *Ledger) Lock(ctx context.Context, names []string) (func(), error) {
	var taken []*host
	release := func() {
		for _, h := range taken {
			<-h.turn
		}
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		l.mu.Lock()
		h := l.host(name)
		if h.turn == nil {
			h.turn = make(chan struct{}, 1)
		}
		l.mu.Unlock()
		if slices.Contains(taken, h) {
			continue
		}
		select {
		case h.turn <- struct{}{}:
			taken = append(taken, h)
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// Together says whether other processes take updates at the same time, so that
// nothing is to be believed that they may have overtaken.
func (l *Ledger) Together(together bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes.together = together
}

// Behind has the next Follow read all entries: something may have been missed.
func (l *Ledger) Behind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes.behind = true
}

// Alongside reports whether other processes take updates, too.
func (l *Ledger) Alongside() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes.alongside || l.changes.together
}
