// Command caddy is Caddy with its standard modules, the dynamic_dns app and
// the DNS providers of this repository compiled in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/notify"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/cloudflare"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/rfc2136"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/route53"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage"
)

func main() {
	caddycmd.Main()
}
