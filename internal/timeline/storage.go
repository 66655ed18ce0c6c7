package timeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// folder has a file for each instance, so that none overwrites another's.
const folder = "dynamic_dns/timeline"

// Kept is where a timeline is kept.
type Kept struct {
	Storage certmagic.Storage
	// Instance names this Caddy among those that use the storage. It may take a
	// moment.
	Instance func() string
	Logger   *zap.Logger
}

// exchange reads what is stored, and stores that and the events, unless it is
// the same. It returns what is stored then. Two processes that have one name by
// mistake lose hardly anything by that.
func exchange(ctx context.Context, kept Kept, events []status.Event) (stored []status.Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the storage panicked: %v", r)
		}
	}()
	path := folder + "/" + certmagic.StorageKeys.Safe(cmp.Or(kept.Instance(), "caddy")) + ".json"
	before, err := kept.Storage.Load(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		var damage error
		if stored, damage = read(before); damage != nil {
			kept.Logger.Warn("the timeline of changes in the storage is damaged; going on with what can be read of it", zap.String("file", path), zap.Error(damage))
		}
	}
	all := merge(stored, events, time.Now())
	after, err := json.Marshal(all)
	if err != nil {
		return stored, err
	}
	if string(after) == string(before) {
		return all, nil
	}
	return all, kept.Storage.Store(ctx, path, after)
}

// read returns the events of a file, as far as it can be read.
func read(file []byte) (events []status.Event, damage error) {
	var each []json.RawMessage
	if err := json.Unmarshal(file, &each); err != nil {
		return nil, err
	}
	for _, raw := range each[max(0, len(each)-Most):] {
		var e status.Event
		switch err := json.Unmarshal(raw, &e); {
		case err != nil:
			damage = err
		case e.Name == "" || e.Time.IsZero():
			damage = errors.New("there is an event without a name or a time")
		default:
			e.Time = stamp(e.Time)
			events = append(events, shorten(e))
		}
	}
	return events, damage
}
