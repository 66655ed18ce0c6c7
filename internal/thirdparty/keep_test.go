package thirdparty

import _ "github.com/caddy-dynamic-dns/caddy-dynamic-dns"
