package dynamicdns

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
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
//			devices {
//				<zone> <name> <host IDs...>
//			}
//			hosts <full names...>
//		}
//		domains {
//			<zone> [<names...>]
//		}
//		hosts <full names...>
//		devices {
//			<zone> <name> <host IDs...>
//		}
//		prefix_length <bits>
//		ip_source <module> [<args...>]
//		versions  ipv4|ipv6...
//		include   private_ranges|<CIDRs...>
//		exclude   private_ranges|<CIDRs...>
//		ttl       <duration>
//		update_only     [off]
//		withdraw        [off]
//		dynamic_domains [off]
//		except    <hosts...>
//
//		check_interval  <duration>
//		verify_interval <duration>
//		watch           on|off
//		cluster         [all|first] { name <id>; lease <duration> }
//		heartbeat       <url> [<failure url>]
//	}
//
// A provider without `domains`, `devices` and `hosts` of its own takes those of
// the block. The option may occur again: what a further block leaves out, other
// than `domains`, `devices`, `hosts` and `except`, comes from the first. The last
// five options belong to the first block alone.
func parseApp(d *caddyfile.Dispenser, prev any) (any, error) {
	b := &block{Dispenser: d, seen: make(map[string]string), written: make(places.Map)}
	if first, ok := prev.(httpcaddyfile.App); ok {
		b.further = true
		if err := json.Unmarshal(first.Value, &b.app); err != nil {
			return nil, fmt.Errorf("reading the first dynamic_dns block: %w", err)
		}
		maps.Copy(b.written, b.app.written)
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
	places.Remember(value, b.written)
	return httpcaddyfile.App{Name: "dynamic_dns", Value: value}, nil
}

// entry is what becomes a Group of its own.
type entry struct {
	provider *providerOption
	domains  map[string][]string
	devices  map[string]map[string][]string
	hosts    []string
	// written is where the zones and names of the domains are, by the rest of
	// their path, and so are writtenDevices and writtenHosts.
	written, writtenDevices, writtenHosts places.Map
}

// named reports whether the entry has names.
func (e entry) named() bool { return e.domains != nil || e.devices != nil || e.hosts != nil }

type blockOption struct {
	parse func(*block) error
	// repeats tells that the option may occur several times in a block.
	repeats bool
	// list tells that the option takes a list of words.
	list bool
	// appWide tells that the option belongs to the first block alone.
	appWide bool
}

var blockOptions = map[string]blockOption{
	"provider":        {parse: (*block).parseProvider, repeats: true},
	"domains":         {parse: (*block).parseDomains, repeats: true},
	"devices":         {parse: (*block).parseDevices, repeats: true},
	"hosts":           {parse: (*block).parseHosts, repeats: true, list: true},
	"prefix_length":   {parse: (*block).parsePrefixLength},
	"ip_source":       {parse: (*block).parseIPSource, repeats: true, list: true},
	"versions":        {parse: (*block).parseVersions, list: true},
	"include":         {parse: func(b *block) error { return b.parseRanges(&b.group.Include) }, repeats: true, list: true},
	"exclude":         {parse: func(b *block) error { return b.parseRanges(&b.group.Exclude) }, repeats: true, list: true},
	"ttl":             {parse: func(b *block) error { return b.parseDuration(&b.group.TTL, time.Second) }},
	"update_only":     {parse: func(b *block) error { return b.parseFlag(&b.group.UpdateOnly) }},
	"withdraw":        {parse: func(b *block) error { return b.parseFlag(&b.group.Withdraw) }},
	"dynamic_domains": {parse: func(b *block) error { return b.parseFlag(&b.group.DynamicDomains) }},
	"except":          {parse: (*block).parseExcept, repeats: true, list: true},
	"check_interval":  {parse: func(b *block) error { return b.parseDuration(&b.app.CheckInterval, minCheckInterval) }, appWide: true},
	"verify_interval": {parse: func(b *block) error { return b.parseDuration(&b.app.VerifyInterval, minVerifyInterval) }, appWide: true},
	"watch":           {parse: (*block).parseWatch, appWide: true},
	"cluster":         {parse: (*block).parseCluster, appWide: true},
	"heartbeat":       {parse: (*block).parseHeartbeat, appWide: true},
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
			return b.Errf("unrecognized option %q%s", name, advice.Option(name, slices.Collect(maps.Keys(blockOptions))))
		}
		if option.appWide && b.further {
			return b.Errf("%s belongs to the app and not to a group of domains; write it in the first dynamic_dns block", name)
		}
		token, before := b.Token(), b.settings()
		if err := checkWords(b.Dispenser, option.list); err != nil {
			return err
		}
		if err := option.parse(b); err != nil {
			if unset := placeholders.UnsetInLines(token.File, token.Line, b.Line()); unset != nil && !strings.Contains(err.Error(), unset.Error()) {
				err = fmt.Errorf("%w; %w", err, unset)
			}
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
		return errorAt(b.start, "dynamic_dns needs a block that is not empty; write at least `provider cloudflare {env.CLOUDFLARE_API_TOKEN}` and `domains {\n\texample.com @ www\n}` in it")
	}
	return nil
}

// settings tells whether an option that occurs again changes anything.
func (b *block) settings() string {
	settings, _ := json.Marshal([]any{b.group, b.app.CheckInterval, b.app.VerifyInterval, b.app.Watch})
	return string(settings)
}

// finish gives the app what the block said, once all of it is known.
func (b *block) finish() error {
	dynamic := b.group.DynamicDomains
	if dynamic == nil && b.hasDomains() {
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
	entries, err := b.entries(n)
	if err != nil {
		return err
	}
	devices := slices.Clone(b.devices)
	for _, p := range b.providers {
		devices = append(devices, p.devices...)
	}
	if len(devices) > 0 && !enabledIn(cmp.Or(b.group.Versions, b.app.Versions), ipaddr.V6) {
		return errorAt(devices[0].zone, "%w", errDevicesOfIPv4)
	}
	if err := checkDevices(devices, cmp.Or(b.group.PrefixLength, b.app.PrefixLength, ipaddr.DefaultPrefixLength)); err != nil {
		return err
	}
	if len(entries) > 1 && !b.further || len(entries) == 1 && !b.further && entries[0].nested() {
		b.app.Group = b.group
		b.app.Except = nil // is not inherited, so the entries have it
		b.note("", entry{})
		for _, e := range entries {
			b.note(fmt.Sprintf("providers[%d]", len(b.app.Providers)), e)
			g := &Group{DNSProviderRaw: e.provider.raw, Domains: e.domains, Devices: e.devices, Hosts: e.hosts, Except: b.group.Except}
			if g.Domains == nil {
				g.DynamicDomains = b.group.DynamicDomains // is not inherited either
			}
			b.app.Providers = append(b.app.Providers, g)
		}
		return nil
	}
	for _, e := range entries {
		g := b.group
		g.Domains, g.Devices, g.Hosts = e.domains, e.devices, e.hosts
		if e.provider != nil {
			g.DNSProviderRaw = e.provider.raw
		}
		switch {
		case !b.further:
			b.app.Group = g
			b.note("", e)
			continue
		case !e.named() && !n.dynamic:
			return errorAt(b.start, "this further dynamic_dns block has no domains, and takes none from the first; write `domains {\n\texample.com @ www\n}` in it")
		}
		b.note(fmt.Sprintf("providers[%d]", len(b.app.Providers)), e)
		b.app.Providers = append(b.app.Providers, &g)
	}
	return nil
}

// hasDomains reports whether the block has the option `domains`, be it inside of a
// provider.
func (b *block) hasDomains() bool {
	return b.domains != nil || slices.ContainsFunc(b.providers, func(p providerOption) bool { return p.domains != nil })
}

// nested reports whether the entry's names are written inside its provider.
func (e entry) nested() bool { return e.provider != nil && !e.provider.takes() }

// note remembers where the settings of an entry are, which is at the path in
// the JSON.
func (b *block) note(path string, e entry) {
	b.written[path] = position(b.start)
	below := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	for option, place := range b.seen {
		b.written[below(option)] = place
	}
	for i, source := range b.sources {
		b.written[below(fmt.Sprintf("ip_sources[%d]", i))] = position(source)
	}
	if e.provider != nil {
		b.written[below("dns_provider")] = position(e.provider.token)
	}
	for rest, place := range e.written {
		b.written[below("domains"+rest)] = place
	}
	for rest, place := range e.writtenDevices {
		b.written[below("devices"+rest)] = place
	}
	for rest, place := range e.writtenHosts {
		b.written[below("hosts"+rest)] = place
	}
}

// noteEarlier tells the namer of the names that earlier blocks keep for a
// family that this block keeps too.
func (b *block) noteEarlier(n *namer) {
	versions := cmp.Or(b.group.Versions, b.app.Versions)
	for i, entry := range append([]*Group{&b.app.Group}, b.app.Providers...) {
		g, path := *entry, "domains"
		if i > 0 {
			path = fmt.Sprintf("providers[%d].domains", i-1)
		}
		g.inherit(&b.app.Group)
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if enabledIn(versions, f) && enabledIn(g.Versions, f) {
				n.earlier(&g, func(rest string) string { return b.app.written.At(path + rest) })
			}
		}
	}
}

// entries makes an entry of each provider, or a single one where there is
// none.
func (b *block) entries(n namer) ([]entry, error) {
	own, err := n.entry(b.domains, b.devices, b.hosts)
	if err != nil {
		return nil, err
	}
	var entries []entry
	var taker *providerOption
	for i := range b.providers {
		p := &b.providers[i]
		if taker != nil && p.takes() && bytes.Equal(p.raw, taker.raw) {
			continue
		}
		e, err := n.entry(p.domains, p.devices, p.hosts)
		if err != nil {
			return nil, err
		}
		e.provider = p
		if p.takes() {
			if taker != nil && (own.named() || !n.dynamic) {
				return nil, errorAt(p.token, "the providers %s (at %s) and %s have no domains of their own; write these inside of each, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\tdomains {\n\t\texample.com @ www\n\t}\n}`",
					taker.name, position(taker.token), p.name)
			}
			taker, e = p, own
			e.provider = p
		}
		entries = append(entries, e)
	}
	switch {
	case len(entries) == 0:
		return []entry{own}, nil
	case taker == nil && own.domains != nil:
		return nil, errorAt(b.domains[0].zone, "these domains belong to no provider, for every provider of the block has its own; write them inside of one, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\tdomains {\n\t\texample.com @ www\n\t}\n}`")
	case taker == nil && own.devices != nil:
		return nil, errorAt(b.devices[0].zone, "these devices belong to no provider, for every provider of the block has names of its own; write them inside of one, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\tdevices {\n\t\texample.com nas 00:1b:21:3c:4d:5e\n\t}\n}`")
	case taker == nil && own.hosts != nil:
		return nil, errorAt(b.hosts[0], "these hosts belong to no provider, for every provider of the block has names of its own; write them inside of one, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\thosts www.example.com\n}`")
	case taker != nil && len(entries) > 1 && !own.named() && !n.dynamic:
		return nil, errorAt(taker.token, "the provider %s has no domains; write them inside of it, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN} {\n\tdomains {\n\t\texample.com @ www\n\t}\n}`", taker.name)
	}
	return entries, nil
}

// entry makes the JSON form of the names that one provider has.
func (n *namer) entry(domains []zoneOption, devices []deviceOption, hosts []caddyfile.Token) (e entry, err error) {
	if e.domains, e.written, err = n.domains(domains); err != nil {
		return e, err
	}
	if e.devices, e.writtenDevices, err = devicesByZone(devices); err != nil {
		return e, err
	}
	e.hosts, e.writtenHosts, err = n.hosts(hosts)
	return e, err
}
