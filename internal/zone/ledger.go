package zone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// ledgerTimeout bounds how long something that is to be written to a provider
// waits for Caddy's storage, which may be slow or away.
const ledgerTimeout = 3 * time.Second

// Ledger knows what was published of the RRsets of one zone whose addresses are
// to be taken away once nobody desires them. It is kept in Caddy's storage, and
// written there before the provider is, so that a crash leaves nothing behind
// that nobody knows of. It outlives configurations.
type Ledger struct {
	path string
	// turn is had by who uses the storage.
	turn chan struct{}

	mu      sync.Mutex
	storage certmagic.Storage
	loaded  bool
	sets    map[plan.Key][]netip.Addr
	// kept is what the storage has.
	kept []byte
}

// NewLedger returns the ledger that the owner, which is one of Caddy's modules
// on one machine, has of a zone at a provider.
func NewLedger(owner, provider, zone string) *Ledger {
	safe := certmagic.StorageKeys.Safe
	return &Ledger{
		path: "dynamic_dns/published/" + safe(owner) + "/" + safe(provider) + "/" + safe(dnsname.Display(zone)) + ".json",
		turn: make(chan struct{}, 1),
		sets: make(map[plan.Key][]netip.Addr),
	}
}

// Use has the ledger be kept in the storage of the newest configuration.
func (l *Ledger) Use(storage certmagic.Storage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storage = storage
}

// Forget has Load read the storage anew, for somebody else has kept the ledger
// since.
func (l *Ledger) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loaded, l.kept = false, nil
	clear(l.sets)
}

// Load reads what earlier processes have left, once.
func (l *Ledger) Load(ctx context.Context) error { return l.exclusively(ctx, l.load) }

// Published returns what was published of an RRset, and may still be there.
func (l *Ledger) Published(key plan.Key) []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sets[key]
}

// Keys returns the RRsets of which something was published, in order.
func (l *Ledger) Keys() []plan.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.sets), plan.Key.Compare)
}

// Store keeps what has changed.
func (l *Ledger) Store(ctx context.Context) error { return l.exclusively(ctx, l.store) }

// note takes in what is about to be written.
func (l *Ledger) note(writes []plan.Write) {
	for _, w := range writes {
		l.add(w.Key, w.Addrs)
	}
}

// publish keeps what is about to be written, beside what earlier processes have
// left.
func (l *Ledger) publish(ctx context.Context) error {
	return l.exclusively(context.WithoutCancel(ctx), func(ctx context.Context, s certmagic.Storage) error {
		return errors.Join(l.load(ctx, s), l.store(ctx, s))
	})
}

// add notes what we have published before it was to be withdrawn.
func (l *Ledger) add(key plan.Key, addrs []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sets[key] = ipaddr.Sort(slices.Concat(l.sets[key], addrs))
}

// holds notes what an RRset was seen to hold: of what was published, the rest
// is gone. It is stored when something else is.
func (l *Ledger) holds(key plan.Key, addrs []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(l.sets[key]), func(addr netip.Addr) bool { return !slices.Contains(addrs, addr) })
	if l.sets[key] = rest; len(rest) == 0 {
		delete(l.sets, key)
	}
}

// exclusively does something with the storage, and waits no longer than
// ledgerTimeout for it.
func (l *Ledger) exclusively(ctx context.Context, do func(context.Context, certmagic.Storage) error) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return ctx.Err()
	}
	l.mu.Lock()
	storage := l.storage
	l.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		defer cancel()
		defer func() { <-l.turn }()
		result <- do(ctx, storage)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Ledger) load(ctx context.Context, storage certmagic.Storage) error {
	l.mu.Lock()
	loaded := l.loaded
	l.mu.Unlock()
	if loaded {
		return nil
	}
	data, err := storage.Load(ctx, l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var stored []remembered
	if err == nil {
		err = json.Unmarshal(data, &stored)
	} else {
		err = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loaded, l.kept = true, data
	for _, s := range stored {
		key := s.key()
		l.sets[key] = ipaddr.Sort(slices.Concat(l.sets[key], s.Addrs))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	return nil
}

func (l *Ledger) store(ctx context.Context, storage certmagic.Storage) error {
	l.mu.Lock()
	stored := make([]remembered, 0, len(l.sets))
	for _, key := range slices.SortedFunc(maps.Keys(l.sets), plan.Key.Compare) {
		stored = append(stored, remembered{Name: key.Name, Type: key.Family.RRType(), Addrs: l.sets[key]})
	}
	kept := l.kept
	l.mu.Unlock()
	data, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	switch {
	case len(stored) > 0 && bytes.Equal(data, kept), len(stored) == 0 && kept == nil:
		return nil
	case len(stored) > 0:
		err = storage.Store(ctx, l.path, data)
	default:
		data, err = nil, storage.Delete(ctx, l.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		l.mu.Lock()
		l.kept = data
		l.mu.Unlock()
	}
	return err
}
