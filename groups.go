package dynamicdns

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// pool holds what outlives a configuration.
var pool = caddy.NewUsagePool()

// poolKey names an entry of the pool: a zone at a provider configuration, the
// detection of a set of sources, or the call slots of a provider
// configuration.
type poolKey struct {
	kind, config, zone string
}

// account is what all zones of one provider configuration share.
type account struct {
	slots chan struct{}
}

// Destruct implements caddy.Destructor.
func (*account) Destruct() error { return nil }

// group is a Group with everything it leaves out filled in and looked up.
type group struct {
	*Group
	// where is the place in the configuration, for messages.
	where       string
	provider    *provider
	providerKey string
	detector    *detect.Detector
	detectorKey string
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
	l := loader{app: a, providers: make(map[string]*provider), detectors: make(map[string]*detect.Detector)}
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
	providers map[string]*provider
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
	if g.updateOnly() && g.provider.getter == nil {
		return g.at("update_only", fmt.Errorf("this needs to know which records exist, and the DNS provider %q cannot read records (it does not implement libdns.RecordGetter); leave update_only out", g.provider.name))
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
		return &account{slots: make(chan struct{}, maxCalls)}
	})
	if err != nil {
		return err
	}
	g.provider, err = newProvider(name, module, shared.(*account).slots, redact, l.app.logger)
	if err != nil {
		return g.at("dns_provider", err)
	}
	g.provider.witness = l.app.witness
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
	g.detectorKey = key
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
		Filter:   filter, Observer: l.app.witness, Logger: l.app.logger,
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

// nameSet are names of one zone of which the same families are managed.
type nameSet struct {
	zone     string
	names    []string
	families [ipaddr.Families]bool
}

// nameSets returns the names of the group, those of dynamic_domains too, in
// a stable order.
func (g *group) nameSets() []nameSet {
	var sets []nameSet
	add := func(zones map[string][]string, enabled [ipaddr.Families]bool) {
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			if names := slices.Sorted(slices.Values(zones[zone])); len(names) > 0 {
				sets = append(sets, nameSet{zone, slices.Clip(names), enabled})
			}
		}
	}
	add(g.zones, [ipaddr.Families]bool{ipaddr.V4: g.enabled(ipaddr.V4), ipaddr.V6: g.enabled(ipaddr.V6)})
	add(g.partly[ipaddr.V4], [ipaddr.Families]bool{ipaddr.V4: true})
	add(g.partly[ipaddr.V6], [ipaddr.Families]bool{ipaddr.V6: true})
	return sets
}

// jitter gives each round of a schedule its random numbers. Tests put in what
// can be repeated.
var jitter = func(int) func() float64 { return rand.Float64 }

// newSchedule makes the keepers and the schedule that feeds them.
func (a *App) newSchedule() *detect.Schedule {
	type reader struct {
		keeper   *keeper
		claim    int
		families [ipaddr.Families]bool
	}
	readers := make(map[*detect.Detector][]reader)
	keepers := make(map[poolKey]*keeper)
	var detectors []*detect.Detector
	for _, g := range a.groups {
		a.witness.counts.expect(g)
		for _, s := range g.nameSets() {
			zoneName := s.zone
			if !slices.Contains(detectors, g.detector) {
				detectors = append(detectors, g.detector)
			}
			key := poolKey{kind: "zone", config: g.providerKey, zone: zoneName}
			k, ok := keepers[key]
			if !ok {
				shared, _ := a.hold(key, func() caddy.Destructor { return newZone(zoneName) })
				k = newKeeper(shared.(*zone), key, g.provider, memory{a.ctx.Storage(), g.providerKey[:8]}, time.Duration(a.VerifyInterval), nil, a.logger)
				k.witness = a.witness
				keepers[key] = k
				a.keepers = append(a.keepers, k)
			}
			readers[g.detector] = append(readers[g.detector], reader{k, len(k.claims), s.families})
			c := claim{
				names:      s.names,
				detection:  g.detectorKey,
				enabled:    s.families,
				ttl:        time.Duration(g.TTL),
				updateOnly: g.updateOnly(),
			}
			// What was known before a reload is known from the start.
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if found := g.detector.Known.Family(f); s.families[f] {
					c.addrs[f], c.source[f] = found.Addrs, found.Source
				}
			}
			k.claims = append(k.claims, c)
		}
	}
	tell := func(d *detect.Detector, f ipaddr.Family, found detect.Found) {
		for _, r := range readers[d] {
			if !r.families[f] {
				continue
			}
			r.keeper.wish(r.claim, f, found.Addrs, found.Source)
		}
	}
	s := detect.NewSchedule(detectors, time.Duration(a.CheckInterval), tell, a.logger)
	s.Randomize(jitter)
	return s
}

// logManaged says once per start what is managed.
func (a *App) logManaged() {
	var zones []string
	names := 0
	for _, k := range a.keepers {
		zones = append(zones, strings.TrimSuffix(k.zone.name, "."))
		for _, c := range k.claims {
			names += len(c.names)
		}
	}
	slices.Sort(zones)
	a.logger.Info("managing DNS records", zap.Strings("zones", slices.Compact(zones)), zap.Int("names", names))
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
