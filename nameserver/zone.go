package nameserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

// storagePrefix is where the zone files are in Caddy's storage.
const storagePrefix = "nameserver"

// zones is the zones in use in this process, by storage and name. They outlive
// configurations, and the app and the providers find each other here.
var zones = caddy.NewUsagePool()

// zone is a zone in use: what is served of it, what is said of it, and who
// waits for what.
type zone struct {
	name   string // canonical, with the trailing dot
	served atomic.Pointer[zonedata.Snapshot]

	turn chan struct{} // holds a token while somebody reads or writes the file
	file zoneFile      // belongs to who holds the turn

	queue changeQueue

	queries queryCounts

	mu       sync.Mutex
	declared []*declaration
	watchers []chan struct{}
	edited   map[*subscription]bool
	setAside *report.BadFile   // the last file that was no zone
	told     map[string]uint32 // the serial that each secondary was told of
}

// subscription is of somebody who wants to know of edits by hand.
type subscription struct{ changed func() }

type zoneKey struct{ storage, name string }

func useZone(storage certmagic.Storage, name string) (*zone, zoneKey) {
	key := zoneKey{storageID(storage), name}
	val, _ := zones.LoadOrStore(key, newZone(name))
	return val.(*zone), key
}

func newZone(name string) *zone {
	return &zone{
		name:   name,
		turn:   make(chan struct{}, 1),
		edited: make(map[*subscription]bool),
		told:   make(map[string]uint32),
	}
}

// storageID tells storages apart. Each configuration makes its own instance of
// one and the same storage, so the instance cannot be the identity.
func storageID(storage certmagic.Storage) string {
	if s, ok := storage.(fmt.Stringer); ok {
		return s.String()
	}
	if b, err := json.Marshal(storage); err == nil && string(b) != "{}" {
		return fmt.Sprintf("%T%s", storage, b)
	}
	return fmt.Sprintf("%T%p", storage, storage)
}

const (
	zoneSuffix = ".zone"

	// maxFileName leaves room for what storages and this package append to the
	// names of files, which have 255 bytes at most.
	maxFileName = 200
)

// key is where the zone's file is in the storage. Names that are too long for
// a file are cut, and told apart by a hash.
func (z *zone) key() string {
	name := certmagic.StorageKeys.Safe(strings.TrimSuffix(z.name, "."))
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(z.name))
		name = name[:maxFileName-17] + "~" + hex.EncodeToString(sum[:8])
	}
	return storagePrefix + "/" + name + zoneSuffix
}

// storedZones lists the zones that have a file.
func storedZones(ctx context.Context, storage certmagic.Storage) ([]string, error) {
	keys, err := storage.List(ctx, storagePrefix, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing zones: %w", err)
	}
	var names []string
	for _, key := range keys {
		name, ok := strings.CutSuffix(strings.TrimPrefix(key, storagePrefix+"/"), zoneSuffix)
		switch {
		case !ok:
		case strings.Contains(name, "~"):
			if data, err := storage.Load(ctx, key); err == nil && zonedata.OriginOf(data) != "" {
				names = append(names, zonedata.OriginOf(data))
			}
		default:
			names = append(names, dns.CanonicalName(name))
		}
	}
	return names, nil
}

// watch returns a channel that gets a value after changes of the zone.
func (z *zone) watch() chan struct{} {
	z.mu.Lock()
	defer z.mu.Unlock()
	c := make(chan struct{}, 1)
	z.watchers = append(z.watchers, c)
	return c
}

func (z *zone) unwatch(c chan struct{}) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.watchers = slices.DeleteFunc(z.watchers, func(o chan struct{}) bool { return o == c })
}

func (z *zone) serve(s *zonedata.Snapshot) {
	z.served.Store(s)
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, c := range z.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// subscribe calls a function after each edit by hand, in a goroutine of its
// own, until it is cancelled.
func (z *zone) subscribe(changed func()) (cancel func()) {
	s := &subscription{changed}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.edited[s] = true
	return func() {
		z.mu.Lock()
		defer z.mu.Unlock()
		delete(z.edited, s)
	}
}

func (z *zone) setBadFile(bad *report.BadFile) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.setAside = bad
}

func (z *zone) tellOfEdit() {
	z.mu.Lock()
	defer z.mu.Unlock()
	for s := range z.edited {
		go s.changed()
	}
}

// declare adds a declaration. The last one that runs rules. Until it runs, it
// is served where there is none that does, and nothing is written for it.
func (z *zone) declare(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.declared = append(z.declared, d)
}

// run marks a declaration as one of a configuration that has come to run.
func (z *zone) run(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	d.running = true
}

// withdraw takes a declaration back, so that the one before it rules again.
func (z *zone) withdraw(d *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.declared = slices.DeleteFunc(z.declared, func(o *declaration) bool { return o == d })
}

// declarations returns the declaration that rules, and the newest one that
// does not run yet.
func (z *zone) declarations() (running, pending *declaration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, d := range slices.Backward(z.declared) {
		switch {
		case d.running:
			return d, pending
		case pending == nil:
			pending = d
		}
	}
	return nil, pending
}

func (z *zone) isDeclared() bool {
	running, pending := z.declarations()
	return running != nil || pending != nil
}

// take waits for the turn to read and write the file.
func (z *zone) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case z.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (z *zone) release() { <-z.turn }
