package upnp

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
)

const (
	// After a subscription has ended, the next one is tried in firstPause, and
	// ever later up to maxPause while that fails.
	firstPause = 5 * time.Second
	maxPause   = 15 * time.Minute
)

var errNoEvents = errors.New("the router has no events to subscribe to")

// Notify subscribes to the router's events, and again when the router has
// forgotten that, as after a restart.
func (u *UPnP) Notify(ctx context.Context, changed func()) {
	pause, again := firstPause, false
	for {
		err := u.follow(ctx, changed, again)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, igd.ErrEnded) {
			// Something may have changed since.
			pause, again = firstPause, true
		}
		u.logger.Debug("not subscribed to the router's events", zap.Error(err), zap.Duration("retry_in", pause))
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return
		}
	}
}

// follow subscribes to the router's events until that ends. With initial, it
// begins with an event.
func (u *UPnP) follow(ctx context.Context, changed func(), initial bool) error {
	r, _, err := u.find(ctx)
	if err != nil {
		return err
	}
	events := r.events()
	if events == nil {
		return errNoEvents
	}
	local, err := netmon.LocalTo(r.Peer)
	if err != nil {
		return err
	}
	s := igd.Subscription{
		Client: r.client, Events: events,
		Local: local, Router: r.Peer,
		Initial: initial,
		Changed: func() {
			u.logger.Debug("the router notifies of a change", zap.Stringer("router", r.location))
			changed()
		},
	}
	err = s.Run(ctx)
	if errors.Is(err, igd.ErrEnded) {
		// After a restart, the description may be another one.
		u.forget(r)
	}
	return err
}
