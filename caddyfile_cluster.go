package dynamicdns

import (
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
)

// parseCluster parses the option `cluster`. Syntax:
//
//	cluster [all|first] {
//		name  <id>
//		lease <duration>
//	}
func (b *block) parseCluster() error {
	c := &Cluster{}
	if b.NextArg() {
		c.Share = b.Val()
		if !slices.Contains([]string{"all", "first"}, c.Share) {
			return b.Errf("unknown way to share %q; write `cluster all` or `cluster first`", c.Share)
		}
	}
	if b.NextArg() {
		return b.Errf("unexpected argument %q after cluster", b.Val())
	}
	for nesting := b.Nesting(); b.NextBlock(nesting); {
		option := b.Val()
		if !b.NextArg() {
			return b.Errf("%s needs an argument; write `name web1` or `lease 15s`", option)
		}
		switch {
		case option == "name" && c.Name != "" || option == "lease" && c.Lease != 0:
			return b.Errf("%s is already set; write it once", option)
		case option == "name":
			c.Name = b.Val()
		case option == "lease":
			dur, err := caddy.ParseDuration(b.Val())
			if err != nil || dur < lease.MinLease || dur > lease.MaxLease {
				return b.Errf("lease %q is not possible; write a duration from %s to %s, such as `lease %s`", b.Val(), lease.MinLease, lease.MaxLease, defaultLease)
			}
			c.Lease = caddy.Duration(dur)
		default:
			return b.Errf("unrecognized subdirective %q; cluster has name and lease", option)
		}
		if b.NextArg() {
			return b.Errf("unexpected argument %q after %s", b.Val(), option)
		}
	}
	b.app.Cluster = c
	return nil
}
