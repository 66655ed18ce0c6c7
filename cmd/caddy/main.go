// Command caddy is Caddy with its standard modules, the dynamic_dns app and
// the DNS providers of this repository compiled in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
)

func main() {
	caddycmd.Main()
}
