package dyndns

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
)

const (
	// followEvery is how often the storage is asked what other processes have
	// taken in, and followSoon the same while a client waits for one of them.
	followEvery = 2 * time.Second
	followSoon  = 500 * time.Millisecond
	// followSoonest is how soon it is done where there is something to tell.
	followSoonest = 100 * time.Millisecond
)

func (f *follower) pause() time.Duration {
	if f.waiting.Load() > 0 {
		return followSoon
	}
	return followEvery
}

// follow reads what is on record, and then what others put there.
func (k *keeper) follow(ctx context.Context) {
	complaint := ""
	for {
		complaint = k.complain(complaint, k.followOnce(ctx))
		select {
		case <-time.After(k.shared.pause()):
		case <-k.shared.hurried:
			select {
			case <-time.After(followSoonest):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return
		}
	}
}

func (k *keeper) followOnce(ctx context.Context) error {
	s := k.shared
	storage := k.storage
	terms, first := k.terms(), false
	var loaded error
	select {
	case <-s.ledger.Ready():
	default:
		first = true
		loaded = s.ledger.Load(ctx, storage, func(*ledger.Entry) {})
		k.reclaim()
		k.place()
		if !ledger.Partly(loaded) {
			return loaded
		}
	}
	err := s.ledger.Follow(ctx, storage, func(e *ledger.Entry) {
		if newest := s.newest(); newest != nil {
			newest.set(e)
		}
	}, k.judge())
	if ledger.Partly(err) {
		k.catchUp(terms, first)
	}
	if errors.As(loaded, new(*ledger.DamagedError)) {
		return loaded
	}
	return err
}

// complain logs what is the matter with the storage, once, and returns what it has
// said. The error of a storage may be another one each time, for it names ports.
func (k *keeper) complain(before string, err error) string {
	const all = "all"
	switch {
	case errors.Is(err, context.Canceled):
		return before
	case errors.As(err, new(*ledger.DamagedError)):
		k.logger.Error("some of what is on record of the clients' hosts is damaged; those hosts are left alone until their clients come again", zap.Error(err))
		return before
	case err == nil:
		if before != "" {
			k.logger.Info("what is on record of the clients' hosts can be read again")
		}
		return ""
	case ledger.Partly(err):
		if err.Error() != before {
			k.logger.Error("cannot read what is on record of some of the clients' hosts; those hosts are left alone, and their clients are answered `911`; trying again", zap.Error(err))
		}
		return err.Error()
	case before != all:
		k.logger.Error("cannot read all that is on record of the clients' hosts; trying again", zap.Error(err))
	}
	return all
}
