package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
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

// Update is what one request makes of a host.
type Update struct {
	Host string
	// Records are what is desired from now on. Those with the state Unknown
	// stay as they are.
	Records [ipaddr.Families]Record
	// Settled is set for families in which DNS is known to have followed what
	// was on record.
	Settled [ipaddr.Families]bool
	User    string
	// Zone and Provider are where the host is, as far as that is known.
	Zone, Provider string
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

// Store makes an update durable and then calls apply, under the lock of Under,
// with what is on record then: another process's, if that is newer after all.
// The caller has the host's turn. What others have stored meanwhile is taken
// for older, until the deadline of ctx: whoever has waited for it until then may
// have told another process something newer.
func (l *Ledger) Store(ctx context.Context, storage certmagic.Storage, u *Update, now time.Time, apply func(*Entry)) error {
	deadline, bounded := ctx.Deadline()
	late := func() bool { return bounded && !time.Now().Before(deadline) }
	ctx = context.WithoutCancel(ctx)
	known, err := l.newest(ctx, storage, u.Host)
	if err != nil {
		return fmt.Errorf("%w: reading what is on record of the host: %w", ErrStorage, err)
	}
	if late() {
		return fmt.Errorf("%w: it was too slow to read", ErrStorage)
	}
	entry := &Entry{
		Version: Version{known.Sequence + 1, l.writer},
		Host:    u.Host, Records: known.Records, User: u.User, Updated: now.UTC().Truncate(time.Second),
		Zone: cmp.Or(u.Zone, known.Zone), Provider: cmp.Or(u.Provider, known.Provider),
	}
	for f, r := range u.Records {
		if r.State != plan.Unknown {
			entry.Records[f] = r.after(known.Records[f], u.Settled[f])
			entry.Records[f].Since = entry.Version
		}
	}
	data, err := entry.encode()
	if err != nil {
		return err
	}
	if err := storage.Store(ctx, key(u.Host), data); err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	if late() && l.restore(ctx, storage, entry) {
		return fmt.Errorf("%w: it was so slow that another process has stored something newer", ErrStorage)
	}
	l.mu.Lock()
	l.changes.add(entry)
	together := l.changes.together
	l.mu.Unlock()
	if together {
		// Before anything is done with it: whoever goes on where this process
		// ends is to know of it. If it fails, Follow does it.
		_ = l.tell(ctx, storage, map[string]news{u.Host: {entry: entry}})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(entry)
	apply(l.hosts[u.Host].entry)
	return nil
}

// newest returns the newest of what is known of a host, what is stored, and what
// other processes have told: a slow one may have stored something older over it.
func (l *Ledger) newest(ctx context.Context, storage certmagic.Storage, host string) (*Entry, error) {
	known := l.Lookup(host)
	others, err := load(ctx, storage, host)
	if err != nil && !errors.As(err, new(*DamagedError)) {
		return nil, err
	}
	if others != nil {
		known = known.join(others, l.writer)
	}
	if !l.Alongside() {
		return known, nil
	}
	told, err := readChanges(ctx, storage)
	for _, there := range told {
		if there.Host == host {
			known = known.join(there, l.writer)
		}
	}
	return known, err
}

// restore puts back what an entry has overwritten that was stored too late.
func (l *Ledger) restore(ctx context.Context, storage certmagic.Storage, late *Entry) bool {
	told, _ := readChanges(ctx, storage)
	for _, there := range told {
		if there.Host != late.Host || there.Sequence < late.Sequence {
			continue
		}
		if data, err := there.encode(); err == nil && storage.Store(ctx, key(late.Host), data) == nil {
			return true
		}
	}
	return false
}
