package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

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
