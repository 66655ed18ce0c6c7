package nameserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// storagePrefix is where the zone files are in Caddy's storage.
const storagePrefix = "nameserver"

// settled is how long after its last change a file need not be read again as
// long as its time and size stay: some storages know the time by the second
// only, and clocks differ.
const settled = 10 * time.Second

const (
	// quiet is how long a file that another program wrote must stay as it is
	// before it is taken up: many editors write in place, and what they have
	// written of a file may be a zone file too.
	quiet = time.Second

	// quietTimeout bounds how long that is waited for.
	quietTimeout = 5 * time.Second
)

// errNoZone tells a caller that there is no such zone.
var errNoZone = errors.New("no such zone")

// zones is the zones in use in this process, by storage and name. They outlive
// configurations, and the app and the providers find each other here.
var zones = caddy.NewUsagePool()

// zone is a zone in use: what is served of it, and how it stands to its file.
type zone struct {
	name   string // canonical, with the trailing dot
	served atomic.Pointer[snapshot]

	turn chan struct{} // holds a token while somebody reads or writes the file

	// The following belong to who holds the turn.
	seen         [sha256.Size]byte // of the file's content that is served
	pending      [sha256.Size]byte // of content that may not be whole yet
	pendingSince time.Time
	modified     time.Time
	size         int64
	unsaved      bool         // what is served is not yet in the file
	wanted       *declaration // is in what is served
	applied      *declaration // is in the file

	mu       sync.Mutex
	declared []*declaration
	watchers []chan struct{}
	told     map[string]uint32 // the serial that each secondary was told of
}

type zoneKey struct{ storage, name string }

func useZone(storage certmagic.Storage, name string) (*zone, zoneKey) {
	key := zoneKey{storageID(storage), name}
	val, _ := zones.LoadOrStore(key, newZone(name))
	return val.(*zone), key
}

func newZone(name string) *zone {
	return &zone{name: name, turn: make(chan struct{}, 1), told: make(map[string]uint32)}
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

func (z *zone) key() string {
	return storagePrefix + "/" + certmagic.StorageKeys.Safe(strings.TrimSuffix(z.name, ".")) + ".zone"
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

func (z *zone) serve(s *snapshot) {
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

// take waits for the turn to read and write the file.
func (z *zone) take(ctx context.Context) error {
	select {
	case z.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (z *zone) release() { <-z.turn }

// get returns the zone as it is now, whoever wrote it.
func (z *zone) get(ctx context.Context, storage certmagic.Storage) (*snapshot, error) {
	if err := z.take(ctx); err != nil {
		return nil, err
	}
	defer z.release()
	if err := z.read(ctx, storage); err != nil {
		return nil, err
	}
	return z.served.Load(), nil
}

// sync serves what others wrote to the file, and writes what is not in it yet.
func (z *zone) sync(ctx context.Context, storage certmagic.Storage) error {
	if err := z.take(ctx); err != nil {
		return err
	}
	defer z.release()
	if !z.mayHaveChanged(ctx, storage) {
		return nil
	}
	if err := z.read(ctx, storage); err != nil || !z.unsaved {
		return err
	}
	return z.locked(ctx, storage, nil)
}

// update changes the records of the zone and returns when the change is in
// the file. If edit leaves them as they are, nothing is written.
func (z *zone) update(ctx context.Context, storage certmagic.Storage, edit func(*snapshot) ([]record, error)) error {
	if err := z.take(ctx); err != nil {
		return err
	}
	defer z.release()
	return z.locked(ctx, storage, edit)
}

// lockPatience is how long a lock is waited for. A write holds it for moments,
// and that of a process that died is stale after 10 seconds.
const lockPatience = 15 * time.Second

// lock takes the storage's lock. One that is held for far longer than any
// write takes is broken: certmagic's file storage keeps a lock file fresh for
// as long as it is there, also when by now it is that of a process which died
// with it, and would wait for itself for ever.
func (z *zone) lock(ctx context.Context, storage certmagic.Storage) error {
	patient, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	err := storage.Lock(patient, z.key())
	if err == nil || ctx.Err() != nil || patient.Err() == nil {
		return err
	}
	caddy.Log().Named("nameserver").Warn("taking a lock that is held for too long", zap.String("zone", z.name), zap.Duration("waited", lockPatience))
	if err := storage.Unlock(ctx, z.key()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return storage.Lock(ctx, z.key())
}

// locked reads, edits and writes the file under the storage's lock.
func (z *zone) locked(ctx context.Context, storage certmagic.Storage, edit func(*snapshot) ([]record, error)) (err error) {
	if err := z.lock(ctx, storage); err != nil {
		return fmt.Errorf("locking zone %s: %w", z.name, err)
	}
	defer func() {
		if uerr := storage.Unlock(context.WithoutCancel(ctx), z.key()); uerr != nil && err == nil && !errors.Is(uerr, fs.ErrNotExist) {
			err = fmt.Errorf("unlocking zone %s: %w", z.name, uerr)
		}
	}()
	if err := z.read(ctx, storage); err != nil {
		return err
	}
	s, write := z.served.Load(), z.unsaved
	if edit != nil {
		records, err := edit(s)
		if err != nil {
			return err
		}
		edited, err := buildZone(z.name, s.soa, records)
		if err != nil {
			return err
		}
		if !edited.same(s) {
			s, write = edited.withSerial(nextSerial(s.soa.Serial, time.Now().Unix())), true
		}
	}
	if !write {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	data := s.format()
	if err := s.checkFile(data); err != nil {
		return err
	}
	if err := storage.Store(ctx, z.key(), data); err != nil {
		return fmt.Errorf("storing zone %s: %w", z.name, err)
	}
	z.seen, z.unsaved, z.applied = sha256.Sum256(data), false, z.wanted
	if s != z.served.Load() {
		z.serve(s)
	}
	return nil
}

func (z *zone) mayHaveChanged(ctx context.Context, storage certmagic.Storage) bool {
	info, err := storage.Stat(ctx, z.key())
	decl := z.declaration()
	return err != nil || z.unsaved || z.applied != decl || z.wanted != decl ||
		!info.Modified.Equal(z.modified) || info.Size != z.size || time.Since(info.Modified) < settled
}

// load returns the content of the file, once nobody is in the middle of writing
// it. What a Caddy wrote is known to be whole.
func (z *zone) load(ctx context.Context, storage certmagic.Storage) (info certmagic.KeyInfo, data []byte, err error) {
	for began := time.Now(); ; {
		info, _ = storage.Stat(ctx, z.key())
		data, err = storage.Load(ctx, z.key())
		if err != nil {
			return info, nil, err
		}
		sum := sha256.Sum256(data)
		if sum == z.seen || hasChecksum(data) {
			return info, data, nil
		}
		if sum != z.pending {
			z.pending, z.pendingSince = sum, time.Now()
		}
		switch {
		case time.Since(z.pendingSince) >= quiet, !info.Modified.IsZero() && time.Since(info.Modified) >= quiet:
			if !bytes.HasSuffix(data, []byte("\n")) {
				return info, nil, fmt.Errorf("%s: line %d: the last line does not end, so the file may not be whole: end it with a newline",
					z.key(), bytes.Count(data, []byte("\n"))+1)
			}
			return info, data, nil
		case time.Since(began) >= quietTimeout:
			return info, nil, fmt.Errorf("%s: somebody is still writing it", z.key())
		}
		select {
		case <-time.After(quiet / 4):
		case <-ctx.Done():
			return info, nil, ctx.Err()
		}
	}
}

// read brings what is served up to date with the file and the configuration.
// On an error, what was served stays.
func (z *zone) read(ctx context.Context, storage certmagic.Storage) error {
	info, data, err := z.load(ctx, storage)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("loading zone %s: %w", z.name, err)
	}
	decl := z.declaration()
	old := z.served.Load()
	if missing && old == nil && decl == nil {
		return fmt.Errorf("%w %s: add `zone %[2]s` to the nameserver option", errNoZone, strings.TrimSuffix(z.name, "."))
	}
	sum := sha256.Sum256(data)
	s, byHand := old, false
	switch {
	case missing:
		z.unsaved = true
	case old == nil || sum != z.seen:
		if s, err = parseZone(z.name, z.key(), data); err != nil {
			return fmt.Errorf("refusing zone file: %w", err)
		}
		z.unsaved, byHand = false, !hasChecksum(data)
	}
	if old != nil && s != old {
		// Others were here. Whoever has fetched the zone from us must see a later serial.
		switch {
		case s.same(old) && s.soa.Serial == old.soa.Serial:
			s = old
		case !serialLess(old.soa.Serial, s.soa.Serial):
			if old.soa.Serial != s.soa.Serial {
				caddy.Log().Named("nameserver").Warn("the zone file has an older serial than what is served; taking it up with a new one",
					zap.String("zone", z.name), zap.Uint32("file", s.soa.Serial), zap.Uint32("served", old.soa.Serial))
			}
			s = s.withSerial(nextSerial(old.soa.Serial, time.Now().Unix()))
			z.unsaved = true
		}
	}
	if decl != nil {
		declared, err := s, error(nil)
		switch {
		case decl != z.applied || decl != z.wanted:
			declared, err = decl.apply(z.name, s)
		case byHand:
			declared, err = decl.restore(z.name, s)
		}
		if err != nil {
			return err
		}
		if declared != s {
			s, z.unsaved = declared, true
		}
	}
	z.seen, z.modified, z.size, z.wanted = sum, info.Modified, info.Size, decl
	if !z.unsaved {
		z.applied = decl
	}
	if s != old {
		z.serve(s)
	}
	return nil
}

// storedZones lists the zones that have a file.
func storedZones(ctx context.Context, storage certmagic.Storage) ([]string, error) {
	keys, err := storage.List(ctx, storagePrefix, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing zones: %w", err)
	}
	var names []string
	for _, key := range keys {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(key, storagePrefix+"/"), ".zone"); ok {
			names = append(names, dns.CanonicalName(name))
		}
	}
	return names, nil
}
