package nameserver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

const (
	// pollInterval is how often zone files are looked at for changes.
	pollInterval = 2 * time.Second

	// storageTimeout bounds how long that may take.
	storageTimeout = 30 * time.Second

	// loadTimeout bounds how long Start waits for the zones.
	loadTimeout = 5 * time.Second

	// stopTimeout bounds how long Stop waits for what runs.
	stopTimeout = 5 * time.Second
)

// keeper keeps a zone for one configuration.
type keeper struct {
	*zone
	storage certmagic.Storage
	logger  *zap.Logger
	key     zoneKey
	decl    *declaration
	policy  *transferPolicy
	loaded  chan struct{} // closed when the zone was read, or could not be
	started chan struct{} // closed when the configuration has come to run

	delegation atomic.Pointer[report.DelegationStatus] // of the last check
	failed     string                                  // the last error, so that it is logged once; the zone's lock guards it
}

func newKeeper(storage certmagic.Storage, logger *zap.Logger, decl *declaration, policy *transferPolicy, origin string) *keeper {
	z, key := useZone(storage, origin)
	z.declare(decl)
	return &keeper{
		zone: z, storage: storage, logger: logger, key: key, decl: decl, policy: policy,
		loaded: make(chan struct{}), started: make(chan struct{}),
	}
}

// start lets the configuration rule the zone, which is served at once and then
// written.
func (k *keeper) start(ctx context.Context) {
	before, _ := k.declarations()
	k.run(k.decl)
	if err := k.refresh(ctx); err != nil {
		k.logger.Warn("the storage does not answer; serving what was there before for now", zap.String("zone", k.name), zap.Error(err))
	}
	close(k.started)
	if before == nil {
		// There may have been no such zone until now.
		k.tellOfEdit()
	}
}

// keep reads a zone, then takes up what others write to its file, and writes
// what is not there yet.
func (k *keeper) keep(ctx context.Context) {
	defer k.leave()
	lctx, cancel := context.WithTimeout(ctx, loadTimeout)
	_, err := k.get(lctx, k.storage)
	cancel()
	if ctx.Err() != nil {
		return
	}
	k.report(err)
	close(k.loaded)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	started := k.started
	for {
		select {
		case <-started:
			started = nil
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		sctx, cancel := context.WithTimeout(ctx, storageTimeout)
		err := k.sync(sctx, k.storage)
		cancel()
		if ctx.Err() != nil {
			return
		}
		k.report(err)
	}
}

// leave waits for a write under way, and makes a copy of the file for the next
// start to go back to.
func (k *keeper) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout/2)
	defer cancel()
	if k.take(ctx) == nil {
		defer k.release()
		k.keepGood(ctx, k.storage, true)
	}
}

func (k *keeper) report(err error) {
	msg := ""
	if err != nil {
		msg = err.Error()
	}
	k.mu.Lock()
	before := k.failed
	k.failed = msg
	k.mu.Unlock()
	switch {
	case msg == before:
	case msg == "":
		k.logger.Info("zone is up to date again", zap.String("zone", k.name))
	case k.served.Load() == nil:
		k.logger.Error("zone cannot be served; its queries are answered with SERVFAIL", zap.String("zone", k.name), zap.Error(err))
	default:
		k.logger.Error("zone is not up to date; what was served before stays in use", zap.String("zone", k.name), zap.Error(err))
	}
}

// giveBack gives the zone back.
func (k *keeper) giveBack() error {
	k.withdraw(k.decl)
	_, err := zones.Delete(k.key)
	return err
}
