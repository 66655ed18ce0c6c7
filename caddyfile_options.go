package dynamicdns

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func (b *block) parseProvider() error {
	p := providerOption{token: b.Token()}
	if !b.NextArg() {
		return b.Err("provider needs the name of a dns.providers module, such as `provider cloudflare {env.CLOUDFLARE_API_TOKEN}`")
	}
	p.name = b.Val()
	rest, nested := cutNames(b.NextSegment())
	for _, tokens := range nested {
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		if d.Val() == "devices" {
			devices, err := parseDevices(d)
			if err != nil {
				return err
			}
			p.devices = append(p.devices, devices...)
			continue
		}
		zones, err := parseZones(d)
		if err != nil {
			return err
		}
		if zones == nil {
			return d.Err(errNoZones)
		}
		p.domains = append(p.domains, zones...)
	}
	d := caddyfile.NewDispenser(rest)
	d.Next()
	var err error
	p.raw, err = parseModule(d, "dns.providers", "name", "DNS provider")
	b.providers = append(b.providers, p)
	return err
}

func (b *block) parseDomains() error {
	token := b.Token()
	zones, err := parseZones(b.Dispenser)
	b.domains = append(b.domains, zones...)
	if zones == nil {
		b.empty = &token
	}
	return err
}

func (b *block) parseDevices() error {
	devices, err := parseDevices(b.Dispenser)
	b.devices = append(b.devices, devices...)
	return err
}

func (b *block) parsePrefixLength() (err error) {
	b.group.PrefixLength, err = parsePrefixLength(b.Dispenser)
	return err
}

func (b *block) parseIPSource() error {
	if !b.NextArg() {
		return b.Err("ip_source needs the name of a module, such as `ip_source interface eth0`")
	}
	b.sources = append(b.sources, b.Token())
	raw, err := parseModule(b.Dispenser, "dynamic_dns.ip_sources", "source", "IP source")
	b.group.IPSourcesRaw = append(b.group.IPSourcesRaw, raw)
	return err
}

func (b *block) parseVersions() error {
	var v4, v6 bool
	for b.NextArg() {
		version := &v4
		switch b.Val() {
		case "ipv4":
		case "ipv6":
			version = &v6
		default:
			return b.Errf("unknown IP version %q; write ipv4, ipv6 or both", b.Val())
		}
		*version = true
	}
	if !v4 && !v6 {
		return b.Err("versions needs at least one version; write ipv4, ipv6 or both")
	}
	b.group.Versions = &ipsources.IPVersions{IPv4: &v4, IPv6: &v6}
	return nil
}

func (b *block) parseRanges(ranges *[]string) error {
	name := b.Val()
	given := false
	for b.NextArg() {
		given = true
		for _, r := range conf.ExpandRanges([]string{b.Val()}) {
			if placeholders.In(r) {
				*ranges = append(*ranges, r)
				continue
			}
			if _, err := ipaddr.ParseRange(r); err != nil {
				return b.Errf("%s %q: %w", name, r, err)
			}
			*ranges = append(*ranges, r)
		}
	}
	if !given {
		return b.Errf("%s needs CIDR ranges, such as 10.0.0.0/8, or private_ranges", name)
	}
	return nil
}

func (b *block) parseDuration(duration *caddy.Duration, least time.Duration) error {
	name := b.Val()
	if !b.NextArg() {
		return b.Errf("%s needs a duration, such as 5m", name)
	}
	dur, err := caddy.ParseDuration(b.Val())
	if err != nil {
		return b.Errf("%s: %w; write a duration such as 5m", name, err)
	}
	if dur != 0 && dur < least {
		return b.Errf("%s %s is too short; write %s or more", name, b.Val(), least)
	}
	*duration = caddy.Duration(dur)
	return nil
}

func (b *block) parseFlag(flag **bool) error {
	name := b.Val()
	on := true
	if b.NextArg() {
		if b.Val() != "off" {
			return b.Errf("unexpected argument %q: write %s alone, or %s off", b.Val(), name, name)
		}
		on = false
	}
	*flag = &on
	return nil
}

func (b *block) parseWatch() error {
	if !b.NextArg() || b.Val() != "on" && b.Val() != "off" {
		return b.Err("watch is on or off; write `watch off`, or leave it out")
	}
	on := b.Val() == "on"
	b.app.Watch = &on
	return nil
}

func (b *block) parseExcept() error {
	given := false
	for b.NextArg() {
		given = true
		if !placeholders.In(b.Val()) {
			if _, err := dnsname.Host(b.Val()); err != nil {
				return b.WrapErr(fmt.Errorf("except: %w", err))
			}
		}
		b.group.Except = append(b.group.Except, b.Val())
	}
	if !given {
		return b.Err("except needs hosts, such as `except www.example.com`")
	}
	return nil
}
