// Command caddy is Caddy with the dynamic_dns app and a storage in Redis.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/redisstorage"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/rfc2136"
)

func main() { caddycmd.Main() }
