package dynamicdns

import (
	"context"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Static))
}

// Static is an IP source that gives addresses which are written in the
// configuration. They may be of special-purpose ranges.
type Static struct {
	// The addresses.
	IPs []netip.Addr `json:"ips,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Static) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dynamic_dns.ip_sources.static",
		New: func() caddy.Module { return new(Static) },
	}
}

// GetIPs returns the configured addresses.
func (s *Static) GetIPs(context.Context, IPSettings) ([]netip.Addr, error) {
	return s.IPs, nil
}
