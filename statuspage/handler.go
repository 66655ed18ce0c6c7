// Package statuspage is a Caddy HTTP handler that shows how the dynamic_dns app
// is doing, with the clients of the DDNS server and the name server's zones.
package statuspage

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler answers every request with a page that shows how dynamic DNS is
// doing, whatever the path: whether all is well, the addresses of this machine,
// the zones with their records, other machines, the clients of the DDNS server,
// the other instances, the zones of the name server, and what happened last.
// Clients that prefer JSON get what the admin endpoint answers at
// `/dynamic_dns/status`. The page needs nothing from elsewhere, and no
// JavaScript; with it, it keeps itself up to date.
//
// Nothing can be changed by it. Who may see it is the site's business, as by
// `basic_auth` in front.
type Handler struct {
	// Whether there is a button by which the addresses are looked for and the
	// records are compared now, at most once in 10 seconds. Default: false.
	AllowCheck bool `json:"allow_check,omitempty"`

	logger *zap.Logger
	// ending is done once the configuration ends.
	ending context.Context

	mu      sync.Mutex
	checked time.Time
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.dynamic_dns_status",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler. It does not look for the apps, which need not
// be there: each request finds those that are running then.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger, h.ending = ctx.Logger(), ctx
	return nil
}

var _ caddy.Provisioner = (*Handler)(nil)
