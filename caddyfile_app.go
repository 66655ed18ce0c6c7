package dynamicdns

import (
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/heartbeat"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lease"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
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

// parseHeartbeat parses the option `heartbeat`. Syntax:
//
//	heartbeat <url> [<failure url>]
func (b *block) parseHeartbeat() error {
	urls := b.RemainingArgs()
	if len(urls) < 1 || len(urls) > 2 {
		return b.Err("heartbeat takes one or two URLs; write `heartbeat https://hc-ping.com/<uuid>`, and behind it the URL to ask when something fails")
	}
	for _, u := range urls {
		if placeholders.In(u) {
			continue
		}
		if _, err := heartbeat.Parse(u); err != nil {
			return b.Errf("heartbeat: %w", err)
		}
	}
	if len(urls) == 2 && urls[0] == urls[1] {
		return b.WrapErr(errOneURL)
	}
	b.app.Heartbeat = &Heartbeat{URL: urls[0]}
	if len(urls) == 2 {
		b.app.Heartbeat.FailureURL = urls[1]
	}
	return nil
}
