package statuspage

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// app is the app dynamic_dns, or dyndns where that is alone, as far as the page
// is concerned.
type app interface {
	// Status is what the admin endpoint answers.
	Status(now time.Time) *status.Status
	// Check has everything looked at now. The channel is closed when that is
	// done.
	Check() <-chan struct{}
}

// nameServer is the app nameserver, as far as the page is concerned.
type nameServer interface {
	// Report returns what is known without asking anybody.
	Report() *report.Status
}

// running returns the apps of the configuration that is running, which may be
// newer than the handler's, or nil.
func running() (app, nameServer) {
	ctx := caddy.ActiveContext()
	server, _ := find[nameServer](ctx, "nameserver")
	for _, name := range []string{"dynamic_dns", "dyndns"} {
		if found, ok := find[app](ctx, name); ok {
			return found, server
		}
	}
	return nil, server
}

func find[T any](ctx caddy.Context, name string) (found T, ok bool) {
	value, err := ctx.AppIfConfigured(name)
	if err == nil {
		found, ok = value.(T)
	}
	return found, ok
}
