package dyndns

import (
	"testing"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/adapttest"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
)

func TestAdapt(t *testing.T) { adapttest.Run(t) }
