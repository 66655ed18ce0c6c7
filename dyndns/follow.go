package dyndns

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

const (
	// followEvery is how often the storage is asked what other processes have
	// taken in, and followSoon the same while a client waits for one of them.
	followEvery = 2 * time.Second
	followSoon  = 500 * time.Millisecond
	// followSoonest is how soon it is done where there is something to tell.
	followSoonest = 100 * time.Millisecond
)

// follower is what this process knows of following others. It outlives
// configurations.
type follower struct {
	// hurried has something when there is something to tell.
	hurried chan struct{}
	// waiting counts clients that wait for what another process does.
	waiting atomic.Int32
	mu      sync.Mutex
	// caught are the terms in which this instance writes zones for all and
	// knows what others have taken in before.
	caught map[lease.ZoneID]uint64
	// vouched are the terms in which this instance has last seen that DNS
	// holds what is on record.
	vouched map[voucher]uint64
}

type voucher struct {
	host   string
	family int
}

func newFollower() *follower {
	return &follower{hurried: make(chan struct{}, 1), caught: make(map[lease.ZoneID]uint64), vouched: make(map[voucher]uint64)}
}

// hasCaught reports whether a term is one of those.
func (f *follower) hasCaught(id lease.ZoneID, term uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caught[id] == term
}

func (f *follower) catch(id lease.ZoneID, term uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caught[id] = term
}

// vouch returns what this instance says of whether DNS holds what is on record,
// from what it sees. What it cannot see is as it was, but not as the one has
// told that wrote the zone before.
func (f *follower) vouch(of voucher, term uint64, holds *bool) *bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if holds != nil && *holds {
		f.vouched[of] = term
	}
	if holds == nil && f.vouched[of] != term {
		return new(false)
	}
	return holds
}

func (f *follower) hurry() {
	select {
	case f.hurried <- struct{}{}:
	default:
	}
}

func (f *follower) pause() time.Duration {
	if f.waiting.Load() > 0 {
		return followSoon
	}
	return followEvery
}

// follow reads what is on record, and then what others put there.
func (a *App) follow(ctx context.Context) {
	complaint := ""
	for {
		complaint = a.complain(complaint, a.followOnce(ctx))
		select {
		case <-time.After(a.shared.pause()):
		case <-a.shared.hurried:
			select {
			case <-time.After(followSoonest):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) followOnce(ctx context.Context) error {
	s := a.shared
	storage := a.storage
	terms, first := a.terms(), false
	select {
	case <-s.ledger.Ready():
	default:
		first = true
		err := s.ledger.Load(ctx, storage, func(*ledger.Entry) {})
		a.reclaim()
		a.place()
		if err != nil {
			return err
		}
	}
	err := s.ledger.Follow(ctx, storage, func(e *ledger.Entry) {
		if newest := s.newest(); newest != nil {
			newest.set(e)
		}
	}, a.judge())
	if err == nil {
		a.catchUp(terms, first)
	}
	return err
}

// complain logs what is the matter with the storage, once, and returns it.
func (a *App) complain(before string, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return before
	case errors.As(err, new(*ledger.DamagedError)):
		a.logger.Error("some of what is on record of the clients' hosts is damaged; those hosts are left alone until their clients come again", zap.Error(err))
		return before
	case err == nil && before != "":
		a.logger.Info("what is on record of the clients' hosts can be read again")
		return ""
	case err == nil:
		return ""
	case err.Error() != before:
		a.logger.Error("cannot read all that is on record of the clients' hosts; trying again", zap.Error(err))
	}
	return err.Error()
}
