package nameserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

const (
	// settled is how long after its last change a file need not be read again
	// as long as its time and size stay: some storages know the time by the
	// second only, and clocks differ.
	settled = 10 * time.Second

	// quiet is how long a file that another program wrote must stay as it is
	// before it is taken up: many editors write in place, and what they have
	// written of a file may be a zone file too.
	quiet = time.Second

	// quietTimeout bounds how long that is waited for.
	quietTimeout = 5 * time.Second

	// goodInterval is how often at most a copy of a good file is made while
	// the zone keeps changing.
	goodInterval = time.Minute
)

// errNoZone tells a caller that there is no such zone.
var errNoZone = errors.New("no such zone")

// get returns the zone as it is now, whoever wrote it.
func (z *zone) get(ctx context.Context, storage certmagic.Storage) (*zonedata.Snapshot, error) {
	if err := z.take(ctx); err != nil {
		return nil, err
	}
	defer z.release()
	if err := z.read(ctx, storage); err != nil {
		return nil, err
	}
	return z.served.Load(), nil
}

// refresh serves what the declarations say now, without looking at the file.
func (z *zone) refresh(ctx context.Context) error {
	if err := z.take(ctx); err != nil {
		return err
	}
	defer z.release()
	if z.file.content == nil {
		return nil
	}
	return z.declareOn(z.file.content, false, false)
}

func (z *zone) mayHaveChanged(ctx context.Context, storage certmagic.Storage) bool {
	f := &z.file
	info, err := storage.Stat(ctx, z.key())
	running, pending := z.declarations()
	return err != nil || f.unsaved || f.applied != running || f.wanted != running || pending != nil ||
		!info.Modified.Equal(f.modified) || info.Size != f.size || time.Since(info.Modified) < settled
}

// load returns the content of the file, once nobody is in the middle of writing
// it. What a Caddy wrote is known to be whole.
func (z *zone) load(ctx context.Context, storage certmagic.Storage) (info certmagic.KeyInfo, data []byte, s sum, err error) {
	f := &z.file
	for began := time.Now(); ; {
		info, _ = storage.Stat(ctx, z.key())
		data, err = storage.Load(ctx, z.key())
		if err != nil {
			return info, nil, s, err
		}
		s = sha256.Sum256(data)
		if s == f.seen || f.bad != nil && s == f.bad.sum || zonedata.HasChecksum(data) {
			return info, data, s, nil
		}
		if s != f.pending {
			f.pending, f.pendingSince = s, time.Now()
		}
		switch {
		case time.Since(f.pendingSince) >= quiet, !info.Modified.IsZero() && time.Since(info.Modified) >= quiet:
			return info, data, s, nil
		case time.Since(began) >= quietTimeout:
			return info, nil, s, fmt.Errorf("%s: somebody is still writing it", z.key())
		}
		select {
		case <-time.After(quiet / 4):
		case <-ctx.Done():
			return info, nil, s, ctx.Err()
		}
	}
}

// parse reads a file that another program may have written.
func (z *zone) parse(data []byte) (*zonedata.Snapshot, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", z.key())
	}
	s, err := zonedata.Parse(z.name, z.key(), data)
	if err == nil && !bytes.HasSuffix(data, []byte("\n")) {
		err = fmt.Errorf("%s: line %d: the last line does not end, so the file may not be whole: end it with a newline",
			z.key(), bytes.Count(data, []byte("\n"))+1)
	}
	return s, err
}

// read brings what is served up to date with the file and the configuration.
// A file that is no zone is not an error here: the last good content stays.
func (z *zone) read(ctx context.Context, storage certmagic.Storage) error {
	f := &z.file
	info, data, s, err := z.load(ctx, storage)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("loading zone %s: %w", z.name, err)
	}
	content, changed, byHand := f.content, false, false
	switch {
	case missing:
		f.unsaved, f.bad = true, nil
	case f.bad != nil && s == f.bad.sum:
	case content != nil && s == f.seen:
		f.bad = nil
	default:
		parsed, err := z.parse(data)
		if err != nil {
			f.bad = &badFile{err, data, s}
			if content == nil {
				content = z.lastGood(ctx, storage)
			} else {
				z.storeGood(ctx, storage, content.Format())
			}
			break
		}
		changed, byHand = true, !zonedata.HasChecksum(data)
		content, f.unsaved = z.after(f.content, parsed)
		f.bad, f.seen = nil, s
	}
	if err := z.declareOn(content, changed, byHand); err != nil {
		return err
	}
	f.modified, f.size = info.Modified, info.Size
	if byHand {
		z.setBadFile(nil) // whoever has mended it knows of it
		z.tellOfEdit()
	}
	return nil
}

// after returns what others wrote, with a serial after the one that whoever
// fetched the zone from here has seen, and whether that has to be written.
func (z *zone) after(old, s *zonedata.Snapshot) (*zonedata.Snapshot, bool) {
	switch {
	case old == nil:
		return s, false
	case s.Same(old) && s.SOA.Serial == old.SOA.Serial:
		return old, false
	case zonedata.SerialLess(old.SOA.Serial, s.SOA.Serial):
		return s, false
	case old.SOA.Serial != s.SOA.Serial:
		caddy.Log().Named("nameserver").Warn("the zone file has an older serial than what is served; taking it up with a new one",
			zap.String("zone", z.name), zap.Uint32("file", s.SOA.Serial), zap.Uint32("served", old.SOA.Serial))
	}
	return s.WithSerial(zonedata.NextSerial(old.SOA.Serial, time.Now().Unix())), true
}

// declareOn takes up content with what the configuration says, and serves it.
func (z *zone) declareOn(content *zonedata.Snapshot, changed, byHand bool) (err error) {
	f := &z.file
	running, pending := z.declarations()
	declared, problem, rival := content, f.problem, false
	switch {
	case content == nil && running == nil && pending == nil:
		return z.errUnknown()
	case content == nil && running == nil:
		declared, problem, err = pending.apply(z.name, nil)
	case running == nil:
	case running != f.wanted, content == nil, changed && (running != f.applied || f.problem != nil && !f.rival):
		declared, problem, err = running.apply(z.name, content)
	case byHand:
		declared, err = running.restore(z.name, content)
	case changed && running.isIn(content):
		problem = nil
	case changed:
		rival = true
		declared, _, err = running.apply(z.name, content)
		problem = fmt.Errorf("zone %s: another Caddy on this storage has the name %s too, and another configuration of the zone; "+
			"this one serves its own and leaves the file alone: give each Caddy a name with the option name", z.name, running.owner())
	default:
		rival = f.rival
	}
	if err != nil {
		return err
	}
	if declared != content && !rival {
		f.unsaved = true
	}
	if !f.unsaved {
		f.applied = running
	}
	f.content, f.wanted, f.problem, f.rival = declared, running, problem, rival
	served := declared
	if running == nil && pending != nil && content != nil {
		if s, _, err := pending.apply(z.name, content); err == nil {
			served = s
		}
	}
	if old := z.served.Load(); served != old && (old == nil || served.SOA.Serial != old.SOA.Serial || !served.Same(old)) {
		z.serve(served)
	}
	return nil
}

func (z *zone) errUnknown() error {
	if bad := z.file.bad; bad != nil {
		return bad.error(z.key())
	}
	return fmt.Errorf("%w %s: add `zone %[2]s` to the nameserver option", errNoZone, strings.TrimSuffix(z.name, "."))
}

// lastGood returns the content of the good copy, if there is one.
func (z *zone) lastGood(ctx context.Context, storage certmagic.Storage) *zonedata.Snapshot {
	data, err := storage.Load(ctx, z.key()+goodSuffix)
	if err != nil {
		return nil
	}
	s, err := zonedata.Parse(z.name, z.key()+goodSuffix, data)
	if err != nil {
		return nil
	}
	z.file.kept = sha256.Sum256(data)
	return s
}

// keepGood makes a copy of the file if it is a good one, once no more changes
// come, so that there is one to go back to also after a restart.
func (z *zone) keepGood(ctx context.Context, storage certmagic.Storage, now bool) {
	f := &z.file
	if f.content == nil || f.unsaved || f.bad != nil || f.seen == f.kept ||
		!now && time.Since(f.modified) < settled && time.Since(f.keptAt) < goodInterval {
		return
	}
	data, err := storage.Load(ctx, z.key())
	if err == nil && sha256.Sum256(data) == f.seen {
		z.storeGood(ctx, storage, data)
	}
}

func (z *zone) storeGood(ctx context.Context, storage certmagic.Storage, data []byte) {
	f := &z.file
	f.kept, f.keptAt = sha256.Sum256(data), time.Now()
	if err := storage.Store(ctx, z.key()+goodSuffix, data); err != nil {
		f.kept = sum{}
		caddy.Log().Named("nameserver").Warn("keeping a copy of the zone file", zap.String("zone", z.name), zap.Error(err))
	}
}
