package dynamicdns

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("dynamic_dns", parseApp)
}

// parseApp sets up the app from the global option. Syntax:
//
//	dynamic_dns {
//		provider <name> [<args...>] {
//			<options of the provider...>
//			domains {
//				<zone> [<names...>]
//			}
//		}
//		domains {
//			<zone> [<names...>]
//		}
//		ip_source <module> [<args...>]
//		versions  ipv4|ipv6...
//		include   private_ranges|<CIDRs...>
//		exclude   private_ranges|<CIDRs...>
//		ttl       <duration>
//		update_only     [off]
//		dynamic_domains [off]
//		except    <hosts...>
//
//		check_interval  <duration>
//		verify_interval <duration>
//		watch           on|off
//	}
//
// A provider without `domains` of its own takes those of the block. The option
// may occur again: what a further block leaves out, other than `domains` and
// `except`, comes from the first. The last three options belong to the first
// block alone.
func parseApp(d *caddyfile.Dispenser, prev any) (any, error) {
	b := &block{Dispenser: d, seen: make(map[string]string)}
	if first, ok := prev.(httpcaddyfile.App); ok {
		b.further = true
		if err := json.Unmarshal(first.Value, &b.app); err != nil {
			return nil, fmt.Errorf("reading the first dynamic_dns block: %w", err)
		}
	}
	if err := b.parse(); err != nil {
		return nil, err
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	value, err := json.Marshal(&b.app)
	if err != nil {
		return nil, b.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "dynamic_dns", Value: value}, nil
}

// block is the state of parsing one dynamic_dns block.
type block struct {
	*caddyfile.Dispenser
	start caddyfile.Token
	app   App
	// further tells that this is not the first block of the configuration.
	further bool

	group     Group
	providers []providerOption
	domains   []zoneOption
	// empty is an option `domains` without a zone.
	empty *caddyfile.Token
	// seen tells where each option occurred first.
	seen map[string]string
}

// providerOption is an occurrence of the option `provider`.
type providerOption struct {
	token   caddyfile.Token
	name    string
	raw     json.RawMessage
	domains []zoneOption
}

type blockOption struct {
	parse func(*block) error
	// repeats tells that the option may occur several times in a block.
	repeats bool
	// appWide tells that the option belongs to the first block alone.
	appWide bool
}

var blockOptions = map[string]blockOption{
	"provider":        {parse: (*block).parseProvider, repeats: true},
	"domains":         {parse: (*block).parseDomains, repeats: true},
	"ip_source":       {parse: (*block).parseIPSource, repeats: true},
	"versions":        {parse: (*block).parseVersions},
	"include":         {parse: func(b *block) error { return b.parseRanges(&b.group.Include) }, repeats: true},
	"exclude":         {parse: func(b *block) error { return b.parseRanges(&b.group.Exclude) }, repeats: true},
	"ttl":             {parse: func(b *block) error { return b.parseDuration(&b.group.TTL, time.Second) }},
	"update_only":     {parse: func(b *block) error { return b.parseFlag(&b.group.UpdateOnly) }},
	"dynamic_domains": {parse: func(b *block) error { return b.parseFlag(&b.group.DynamicDomains) }},
	"except":          {parse: (*block).parseExcept, repeats: true},
	"check_interval":  {parse: func(b *block) error { return b.parseDuration(&b.app.CheckInterval, minCheckInterval) }, appWide: true},
	"verify_interval": {parse: func(b *block) error { return b.parseDuration(&b.app.VerifyInterval, minVerifyInterval) }, appWide: true},
	"watch":           {parse: (*block).parseWatch, appWide: true},
}

func (b *block) parse() error {
	b.Next() // consume option name
	b.start = b.Token()
	if b.NextArg() {
		return b.Errf("unexpected argument %q: dynamic_dns takes a block only", b.Val())
	}
	for b.NextBlock(0) {
		name := b.Val()
		option, ok := blockOptions[name]
		if !ok {
			return b.Errf("unrecognized option %q%s", name, didYouMean(name, slices.Collect(maps.Keys(blockOptions))))
		}
		if option.appWide && b.further {
			return b.Errf("%s belongs to the app and not to a group of domains; write it in the first dynamic_dns block", name)
		}
		token, before := b.Token(), b.settings()
		if err := option.parse(b); err != nil {
			return err
		}
		first, again := b.seen[name]
		if again && !option.repeats && b.settings() != before {
			return errorAt(token, "%s is set to something else, at %s; write only one of these two lines", name, first)
		}
		if !again {
			b.seen[name] = position(token)
		}
		if b.NextArg() {
			return b.Errf("unexpected argument %q after %s", b.Val(), name)
		}
		if opensBlock(b.Dispenser) {
			return b.Errf("%s takes no block", name)
		}
	}
	if len(b.seen) == 0 {
		return errorAt(b.start, "dynamic_dns needs a block that is not empty; write at least `provider <name>` and `domains` in it")
	}
	return nil
}

// settings tells whether an option that occurs again changes anything.
func (b *block) settings() string {
	settings, _ := json.Marshal([]any{b.group, b.app.CheckInterval, b.app.VerifyInterval, b.app.Watch})
	return string(settings)
}

func (b *block) parseProvider() error {
	p := providerOption{token: b.Token()}
	if !b.NextArg() {
		return b.Err("provider needs the name of a dns.providers module, such as `provider cloudflare {env.CLOUDFLARE_API_TOKEN}`")
	}
	p.name = b.Val()
	rest, nested := cutDomains(b.NextSegment())
	for _, tokens := range nested {
		d := caddyfile.NewDispenser(tokens)
		d.Next()
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

func (b *block) parseIPSource() error {
	if !b.NextArg() {
		return b.Err("ip_source needs the name of a module, such as `ip_source interface eth0`")
	}
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

// finish gives the app what the block said, once all of it is known.
func (b *block) finish() error {
	dynamic := b.group.DynamicDomains
	if dynamic == nil {
		dynamic = b.app.DynamicDomains // of the first block
	}
	n := namer{dynamic: dynamic != nil && *dynamic, places: make(map[string]string)}
	if b.empty != nil && b.domains == nil && !n.dynamic {
		return errorAt(*b.empty, errNoZones)
	}
	if len(b.group.Except) > 0 && !n.dynamic {
		return errorAt(b.start, "except (at %s) leaves hosts out of dynamic_domains, which is not on; write dynamic_domains too, or leave except out", b.seen["except"])
	}
	if b.further {
		b.noteEarlier(&n)
	}
	shared, err := n.domains(b.domains)
	if err != nil {
		return err
	}
	entries, err := b.entries(n, shared)
	if err != nil {
		return err
	}
	if entries != nil && !b.further {
		b.app.Group, b.app.Providers = b.group, entries
		b.app.Except = nil // is not inherited, so the entries have it
		return nil
	}
	if entries == nil {
		flat := &Group{Domains: shared}
		if len(b.providers) > 0 {
			flat.DNSProviderRaw = b.providers[0].raw
		}
		entries = []*Group{flat}
	}
	for _, entry := range entries {
		g := b.group
		g.DNSProviderRaw, g.Domains = entry.DNSProviderRaw, entry.Domains
		switch {
		case !b.further:
			b.app.Group = g
			continue
		case g.Domains == nil:
			return errorAt(b.start, "this further dynamic_dns block has no domains, and takes none from the first; write `domains` in it")
		case g.DNSProviderRaw == nil && b.app.DNSProviderRaw == nil:
			return errorAt(b.start, "this further dynamic_dns block has no provider, and the first has not exactly one to take; write `provider` in it")
		}
		b.app.Providers = append(b.app.Providers, &g)
	}
	return nil
}

// noteEarlier tells the namer of the names that earlier blocks keep for a
// family that this block keeps too.
func (b *block) noteEarlier(n *namer) {
	versions := cmp.Or(b.group.Versions, b.app.Versions)
	for _, entry := range append([]*Group{&b.app.Group}, b.app.Providers...) {
		g := *entry
		g.inherit(&b.app.Group)
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if enabledIn(versions, f) && enabledIn(g.Versions, f) {
				n.earlier(&g)
			}
		}
	}
}

// entries makes an entry of each provider, or none where the only provider
// takes the domains of the block.
func (b *block) entries(n namer, shared map[string][]string) ([]*Group, error) {
	var entries []*Group
	var taker *providerOption
	for i := range b.providers {
		p := &b.providers[i]
		if taker != nil && p.domains == nil && bytes.Equal(p.raw, taker.raw) {
			continue
		}
		domains, err := n.domains(p.domains)
		if err != nil {
			return nil, err
		}
		if p.domains == nil {
			if taker != nil {
				return nil, errorAt(p.token, "the providers %s (at %s) and %s have no domains of their own; write a `domains` block inside of each",
					taker.name, position(taker.token), p.name)
			}
			taker, domains = p, shared
		}
		entries = append(entries, &Group{DNSProviderRaw: p.raw, Domains: domains, Except: b.group.Except})
	}
	switch {
	case len(entries) == 0 || len(entries) == 1 && taker != nil:
		return nil, nil
	case taker == nil && shared != nil:
		return nil, errorAt(b.domains[0].zone, "these domains belong to no provider, for every provider of the block has its own; write them inside of a `provider`")
	case taker != nil && shared == nil:
		return nil, errorAt(taker.token, "the provider %s has no domains; write a `domains` block inside of it", taker.name)
	}
	return entries, nil
}
