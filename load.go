package dynamicdns

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// pool holds what outlives a configuration.
var pool = caddy.NewUsagePool()

// poolKey names an entry of the pool: the detection of a set of sources, the
// call slots of a provider configuration, or what is there once.
type poolKey struct {
	kind, config string
}

// account is what all zones of one provider configuration share.
type account struct {
	slots provider.Slots
}

// Destruct implements caddy.Destructor.
func (*account) Destruct() error { return nil }

// group is a Group with everything it leaves out filled in and looked up.
type group struct {
	*Group
	// where is the place in the configuration, for messages.
	where       string
	provider    *provider.Provider
	providerKey string
	detector    *detect.Detector
	// zones are the canonical names to manage, by canonical zone.
	zones map[string][]string
	// partly are further names, of which only the one family is managed here.
	partly [ipaddr.Families]map[string][]string
	// except are the hosts that dynamic_domains leaves out.
	except map[string]bool
}

func (g *group) updateOnly() bool { return g.UpdateOnly != nil && *g.UpdateOnly }

func (g *group) dynamicDomains() bool { return g.DynamicDomains != nil && *g.DynamicDomains }

// enabled reports whether the group publishes addresses of the family.
func (g *group) enabled(f ipaddr.Family) bool { return g.detector.Enabled(f) }

// wanted reports whether addresses of the family are wanted.
func wanted(v *ipsources.IPVersions, f ipaddr.Family) bool {
	return f == ipaddr.V4 && v.V4Enabled() || f == ipaddr.V6 && v.V6Enabled()
}

// entry names a place below the group in the configuration.
func (g *group) entry(name string) string {
	if g.where == "" {
		return name
	}
	return g.where + "." + name
}

// at adds the place to an error.
func (g *group) at(field string, err error) error { return fmt.Errorf("%s: %w", g.entry(field), err) }

// inherit fills in what the entry leaves out from the settings of the first
// block. Domains are never inherited: each name has one place.
func (g *Group) inherit(from *Group) {
	if len(g.IPSourcesRaw) == 0 {
		g.IPSourcesRaw = slices.Clone(from.IPSourcesRaw)
	}
	if len(g.DNSProviderRaw) == 0 {
		g.DNSProviderRaw = from.DNSProviderRaw
	}
	g.UpdateOnly = cmp.Or(g.UpdateOnly, from.UpdateOnly)
	g.DynamicDomains = cmp.Or(g.DynamicDomains, from.DynamicDomains)
	g.Versions = cmp.Or(g.Versions, from.Versions)
	if g.Include == nil {
		g.Include = from.Include
	}
	if g.Exclude == nil {
		g.Exclude = from.Exclude
	}
	g.TTL = cmp.Or(g.TTL, from.TTL)
}

// provisionGroups makes groups of the settings at the top and the entries of
// providers.
func (a *App) provisionGroups() error {
	var groups []*group
	if len(a.Domains) > 0 || len(a.Providers) == 0 {
		groups = append(groups, &group{Group: &a.Group})
	}
	for i, entry := range a.Providers {
		if entry == nil {
			return fmt.Errorf("providers[%d] is null; write an object with dns_provider and domains", i)
		}
		entry.inherit(&a.Group)
		groups = append(groups, &group{Group: entry, where: fmt.Sprintf("providers[%d]", i)})
	}
	if len(a.Except) > 0 && groups[0].Group != &a.Group {
		return errors.New("except: entries of providers do not take these hosts; write except in the entries that have dynamic_domains")
	}
	l := loader{app: a, providers: make(map[string]*provider.Provider), detectors: make(map[string]*detect.Detector)}
	for _, g := range groups {
		if err := l.load(g); err != nil {
			return err
		}
	}
	a.groups = groups
	return a.checkOverlap()
}

// loader loads the modules of the groups, each distinct configuration once.
type loader struct {
	app       *App
	providers map[string]*provider.Provider
	detectors map[string]*detect.Detector
}

func (l *loader) load(g *group) error {
	switch ttl := time.Duration(g.TTL); {
	case len(g.DNSProviderRaw) == 0:
		return g.at("dns_provider", errors.New("no DNS provider is configured; write `provider <name> ...` (JSON: dns_provider) with a dns.providers module"))
	case len(g.Domains) == 0 && g.dynamicDomains():
		return g.at("domains", errors.New("dynamic_domains has no zones to take hosts for; write them in `domains`, such as `domains { example.com }`"))
	case len(g.Domains) == 0:
		return g.at("domains", errors.New("no domains are configured; write `domains { example.com @ www }`, or use dynamic_domains to take hosts from the sites"))
	case len(g.Except) > 0 && !g.dynamicDomains():
		return g.at("except", errors.New("these hosts are left out of dynamic_domains, which is not on; write dynamic_domains too, or leave except out"))
	case ttl != 0 && ttl < time.Second:
		return g.at("ttl", fmt.Errorf("%s is too short; write 1s or more", ttl))
	}
	if err := l.loadZones(g); err != nil {
		return err
	}
	if err := l.loadProvider(g); err != nil {
		return err
	}
	if g.updateOnly() && !g.provider.CanRead() {
		return g.at("update_only", fmt.Errorf("this needs to know which records exist, and the DNS provider %q cannot read records (it does not implement libdns.RecordGetter); leave update_only out", g.provider.Name))
	}
	return l.loadDetector(g)
}

// loadZones brings the names into canonical form.
func (l *loader) loadZones(g *group) error {
	repl := caddy.NewReplacer()
	g.except = make(map[string]bool, len(g.Except))
	for _, raw := range g.Except {
		host, err := repl.ReplaceOrErr(raw, true, true)
		if err == nil {
			host, err = dnsname.Host(host)
		}
		if err != nil {
			return g.at("except", fmt.Errorf("%q: %w", raw, err))
		}
		g.except[host] = true
	}
	g.zones = make(map[string][]string, len(g.Domains))
	for _, rawZone := range slices.Sorted(maps.Keys(g.Domains)) {
		resolved, err := repl.ReplaceOrErr(rawZone, true, true)
		if err != nil {
			return g.at("domains", fmt.Errorf("zone %q: %w", rawZone, err))
		}
		zone, err := dnsname.Zone(resolved)
		if err != nil {
			return g.at("domains", err)
		}
		if _, ok := g.zones[zone]; ok {
			return g.at("domains", fmt.Errorf("zone %q is listed twice; put all its names in one entry", strings.TrimSuffix(zone, ".")))
		}
		rawNames := g.Domains[rawZone]
		if len(rawNames) == 0 && !g.dynamicDomains() {
			rawNames = []string{"@"}
		}
		names := make([]string, 0, len(rawNames))
		for _, rawName := range rawNames {
			resolved, err := repl.ReplaceOrErr(rawName, true, true)
			if err != nil {
				return g.at("domains", fmt.Errorf("zone %q: name %q: %w", rawZone, rawName, err))
			}
			name, err := dnsname.Name(resolved, zone)
			if err != nil {
				return g.at("domains", fmt.Errorf("zone %q: %w", rawZone, err))
			}
			names = append(names, name)
		}
		g.zones[zone] = names
	}
	return nil
}

func (l *loader) loadProvider(g *group) error {
	config := resolve(g.DNSProviderRaw)
	g.providerKey = fingerprint(slices.Concat(config, storagePath(l.app.ctx.Storage())))
	if p, ok := l.providers[g.providerKey]; ok {
		g.provider = p
		return nil
	}
	name := inlineKey(g.DNSProviderRaw, "name")
	redact := redactor(g.DNSProviderRaw)
	module, err := l.app.ctx.LoadModule(g.Group, "DNSProviderRaw")
	if err != nil {
		return g.at("dns_provider", errors.New(redact(err.Error())))
	}
	shared, err := l.app.hold(poolKey{kind: "account", config: g.providerKey}, func() caddy.Destructor {
		return &account{slots: provider.NewSlots()}
	})
	if err != nil {
		return err
	}
	g.provider, err = provider.New(name, module, shared.(*account).slots, redact, l.app.observer, l.app.logger)
	if err != nil {
		return g.at("dns_provider", err)
	}
	l.providers[g.providerKey] = g.provider
	return nil
}

func (l *loader) loadDetector(g *group) error {
	if !g.Versions.V4Enabled() && !g.Versions.V6Enabled() {
		return g.at("versions", errors.New("both IPv4 and IPv6 are disabled, so there is nothing to publish; enable one"))
	}
	if len(g.IPSourcesRaw) == 0 {
		g.IPSourcesRaw = []json.RawMessage{[]byte(`{"source":"simple_http"}`)}
	}
	id, err := json.Marshal([]any{g.IPSourcesRaw, g.Versions.V4Enabled(), g.Versions.V6Enabled(), g.Include, g.Exclude})
	if err != nil {
		return err
	}
	key := fingerprint(resolve(id))
	if d, ok := l.detectors[key]; ok {
		g.detector = d
		return nil
	}
	for option, ranges := range map[string][]string{"include": g.Include, "exclude": g.Exclude} {
		if slices.Contains(ranges, privateRanges) {
			return errors.New(g.entry(fmt.Sprintf("%s %q: this word is for the Caddyfile: in JSON, write the ranges %q", option, privateRanges, expandRanges([]string{privateRanges}))))
		}
	}
	filter, err := ipaddr.NewFilter(g.Include, g.Exclude)
	if err != nil {
		return errors.New(g.entry(err.Error()))
	}
	d := &detect.Detector{
		Families: [ipaddr.Families]bool{ipaddr.V4: g.Versions.V4Enabled(), ipaddr.V6: g.Versions.V6Enabled()},
		Filter:   filter, Observer: l.app.observer, Logger: l.app.logger,
	}
	for i, raw := range g.IPSourcesRaw {
		place := fmt.Sprintf("ip_sources[%d]", i)
		one := struct {
			Raw json.RawMessage `caddy:"namespace=dynamic_dns.ip_sources inline_key=source"`
		}{raw}
		module, err := l.app.ctx.LoadModule(&one, "Raw")
		if err != nil {
			return g.at(place, err)
		}
		name := inlineKey(raw, "source")
		src, ok := module.(ipsources.IPSource)
		if !ok {
			return g.at(place, fmt.Errorf("the module %q is no IP source: it does not implement dynamicdns.IPSource", name))
		}
		d.Sources = append(d.Sources, detect.NewSource(name, src))
	}
	known, err := l.app.hold(poolKey{kind: "detection", config: key}, func() caddy.Destructor { return new(detect.Known) })
	if err != nil {
		return err
	}
	d.Known = known.(*detect.Known)
	l.detectors[key] = d
	g.detector = d
	return nil
}

// hold takes an entry of the pool, or makes it, until Cleanup.
func (a *App) hold(key poolKey, make func() caddy.Destructor) (any, error) {
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make(), nil })
	if err == nil {
		a.held = append(a.held, key)
	}
	return value, err
}

// resolve returns the configuration with its placeholders replaced, so that
// other credentials behind the same placeholder are seen to be others.
func resolve(raw json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	repl := caddy.NewReplacer()
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			return repl.ReplaceAll(v, "")
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	out, err := json.Marshal(walk(v))
	if err != nil {
		return raw
	}
	return out
}

// storagePath returns where Caddy's storage is, for a provider may keep its
// zones there: with another storage they are others.
func storagePath(storage certmagic.Storage) []byte {
	if files, ok := storage.(*certmagic.FileStorage); ok {
		return []byte(files.Path)
	}
	return nil
}

func fingerprint(config []byte) string {
	sum := sha256.Sum256(config)
	return hex.EncodeToString(sum[:])
}

// inlineKey returns the value of the key that names a module.
func inlineKey(raw json.RawMessage, key string) string {
	var fields map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &fields) == nil {
		_ = json.Unmarshal(fields[key], &name)
	}
	return name
}
