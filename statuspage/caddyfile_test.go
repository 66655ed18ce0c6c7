package statuspage

import (
	"testing"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/adapttest"
)

func TestAdapt(t *testing.T) { adapttest.Run(t) }
