package statuspage

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("dynamic_dns_status", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("dynamic_dns_status", httpcaddyfile.Before, "respond")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile parses a handler:
//
//	dynamic_dns_status {
//		allow_check
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected argument %q; write dynamic_dns_status alone, or with a block: dynamic_dns_status {\n\tallow_check\n}", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "allow_check" {
			return d.Errf("unrecognized subdirective %q; there is allow_check", d.Val())
		}
		if h.AllowCheck {
			return d.Err("allow_check is there twice; write it once")
		}
		if d.NextArg() {
			return d.Errf("allow_check takes no argument; take %q out", d.Val())
		}
		h.AllowCheck = true
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
