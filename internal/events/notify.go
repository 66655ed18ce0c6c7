package events

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// notifier is the event handler notify, which a build need not have.
type notifier interface {
	// EachRecipient calls fn for each URL that messages are sent to, with an
	// ID, its name without a secret, and a function that sends to it.
	EachRecipient(fn func(id, name string, send func(ctx context.Context, title, text string) error))
}

// TestNotify sends a message to each recipient of a configuration, and returns
// who has taken it.
func TestNotify(ctx context.Context, config caddy.Context) (*status.NotifyTest, error) {
	if _, err := caddy.GetModule("events.handlers.notify"); err != nil {
		return nil, errors.New("this Caddy has no notify handler; build it with `--with github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify`")
	}
	title := "Test of notifications"
	if host, err := os.Hostname(); err == nil {
		title = host + ": " + title
	}
	const text = "If you can read this, Caddy can tell you what happens here."
	result := &status.NotifyTest{Recipients: []status.NotifyRecipient{}}
	asked := make(map[string]bool)
	var sends []func(ctx context.Context, title, text string) error
	for _, n := range notifiers(config) {
		n.EachRecipient(func(id, name string, send func(ctx context.Context, title, text string) error) {
			if !asked[id] {
				asked[id] = true
				sends = append(sends, send)
				result.Recipients = append(result.Recipients, status.NotifyRecipient{URL: name})
			}
		})
	}
	if len(sends) == 0 {
		return nil, errors.New("no notify handler is configured; write one, such as `on update_failed notify ntfy://ntfy.sh/<topic>` into the block events of the global options")
	}
	var wg sync.WaitGroup
	for i, send := range sends {
		wg.Go(func() {
			if err := send(ctx, title, text); err != nil {
				result.Recipients[i].Error = err.Error()
			} else {
				result.Recipients[i].Taken = true
			}
		})
	}
	wg.Wait()
	result.Time = time.Now().UTC().Truncate(time.Second)
	return result, nil
}

func notifiers(config caddy.Context) (all []notifier) {
	app, err := config.AppIfConfigured("events")
	if err != nil {
		return nil
	}
	for _, subscription := range app.(*caddyevents.App).Subscriptions {
		for _, handler := range subscription.Handlers {
			if n, ok := handler.(notifier); ok {
				all = append(all, n)
			}
		}
	}
	return all
}
