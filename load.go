package dynamicdns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/observe"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// loader loads the modules of the groups, each distinct configuration once.
type loader struct {
	ctx       caddy.Context
	pooled    *conf.Pooled
	observer  *observe.Observer
	logger    *zap.Logger
	providers *conf.Providers
	detectors map[string]*detect.Detector
	written   places.Map
}

func newLoader(ctx caddy.Context, pooled *conf.Pooled, observer *observe.Observer, written places.Map) *loader {
	return &loader{
		ctx: ctx, pooled: pooled, observer: observer, logger: ctx.Logger(),
		providers: conf.NewProviders(ctx, pooled, observer), detectors: make(map[string]*detect.Detector),
		written: written,
	}
}

// load makes groups of the settings at the top and the entries of providers.
func (l *loader) load(top *Group, entries []*Group) ([]*group, error) {
	var groups []*group
	if len(top.Domains) > 0 || len(top.Hosts) > 0 || len(top.Devices) > 0 || len(entries) == 0 || takesAlone(top, entries) {
		groups = append(groups, &group{Group: top, written: l.written})
	}
	for i, entry := range entries {
		if entry == nil {
			return nil, fmt.Errorf("providers[%d] is null; write an object with dns_provider and domains", i)
		}
		g := &group{Group: entry, where: fmt.Sprintf("providers[%d]", i), written: l.written}
		if err := g.checkPrefixLength(); err != nil {
			return nil, err
		}
		entry.inherit(top)
		groups = append(groups, g)
	}
	if len(top.Except) > 0 && groups[0].Group != top {
		return nil, errors.New("except: entries of providers do not take these hosts; write except in the entries that have dynamic_domains")
	}
	if !slices.ContainsFunc(groups, func(g *group) bool { return len(g.Devices) > 0 }) {
		if err := (&group{Group: top, written: l.written}).checkPrefixLength(); err != nil {
			return nil, err
		}
	}
	for _, g := range groups {
		if err := l.loadGroup(g); err != nil {
			return nil, err
		}
	}
	locate(groups)
	return groups, settleOverlap(groups, l.logger)
}

// takesAlone reports whether dynamic_domains at the top, with a provider of its own
// and without names, is no default of any entry, and so is for its own sake.
func takesAlone(top *Group, entries []*Group) bool {
	return top.DynamicDomains != nil && *top.DynamicDomains && len(top.DNSProviderRaw) > 0 &&
		!slices.ContainsFunc(entries, func(e *Group) bool { return e != nil && len(e.Domains) > 0 && e.DynamicDomains == nil })
}

func (l *loader) loadGroup(g *group) error {
	if len(g.DNSProviderRaw) == 0 {
		var err error
		if g.DNSProviderRaw, err = conf.GlobalProvider(l.ctx); err != nil {
			return g.at("dns_provider", err)
		}
	}
	if err := g.validate(); err != nil {
		return err
	}
	if err := g.canonicalize(); err != nil {
		return err
	}
	if err := g.canonicalizeHosts(); err != nil {
		return err
	}
	if err := g.canonicalizeDevices(); err != nil {
		return err
	}
	if err := l.loadProvider(g); err != nil {
		return err
	}
	if len(g.hosts) > 0 || g.open() {
		known, err := l.pooled.Hold(conf.Key{Kind: "zones", Config: g.providerKey}, func() caddy.Destructor { return new(finder.Known) })
		if err != nil {
			return err
		}
		g.known = known.(*finder.Known)
	}
	if g.open() && !g.provider.CanRead() && !g.provider.CanList() {
		return g.at("dynamic_domains", fmt.Errorf("without domains, the DNS provider has to tell which zones it has, and %q can neither list zones nor read records (it implements neither libdns.ZoneLister nor libdns.RecordGetter); write the zones, as in `domains {\n\texample.com\n}`", g.provider.Name))
	}
	if g.updateOnly() && !g.provider.CanRead() {
		return g.at("update_only", fmt.Errorf("this needs to know which records exist, and the DNS provider %q cannot read records (it does not implement libdns.RecordGetter); leave update_only out", g.provider.Name))
	}
	if g.withdraw() && !g.provider.CanDelete() {
		return g.at("withdraw", fmt.Errorf("the DNS provider %q cannot delete records (it does not implement libdns.RecordDeleter), so nothing can be withdrawn; leave withdraw out", g.provider.Name))
	}
	if err := l.loadDetector(g); err != nil {
		return err
	}
	if err := g.checkSite(); err != nil {
		return err
	}
	for f := range g.detector.Families {
		g.detector.Families[f] = g.detector.Families[f] || g.needs(ipaddr.Family(f))
	}
	g.detector.Prefix = g.detector.Prefix || len(g.devices) > 0
	return nil
}

func (l *loader) loadProvider(g *group) error {
	if variable := advice.VariableIn(g.DNSProviderRaw); variable != "" {
		return g.at("dns_provider", fmt.Errorf("a value is not replaced by that of the environment variable %s; write `{env.%s}`", variable, variable))
	}
	unset := cmp.Or(placeholders.CheckEnv(string(g.DNSProviderRaw)), placeholders.UnsetAt(g.written.At(g.entry("dns_provider"))))
	var err error
	g.provider, g.providerKey, err = l.providers.Load(g.DNSProviderRaw)
	switch {
	case err != nil && unset != nil:
		return g.at("dns_provider", fmt.Errorf("%w; %w", err, unset))
	case err != nil:
		return g.at("dns_provider", err)
	case unset != nil:
		l.logger.Warn("the DNS provider is configured with a variable that is empty", zap.Error(g.at("dns_provider", unset)))
	}
	g.DNSProviderRaw = nil
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
	key := conf.Fingerprint(conf.Resolve(id))
	if d, ok := l.detectors[key]; ok {
		g.detector = d
		return nil
	}
	filter, err := g.filter()
	if err != nil {
		return err
	}
	d := &detect.Detector{
		Filter: filter, Observer: l.observer, Logger: l.logger,
	}
	for i, raw := range g.IPSourcesRaw {
		place, name := fmt.Sprintf("ip_sources[%d]", i), conf.InlineKey(raw, "source")
		if name == "" {
			return g.at(place, errors.New("the IP source is not named; write its name beside its settings, as in `\"ip_sources\": [{\"source\": \"simple_http\"}]`"))
		}
		if err := conf.Lacking("dynamic_dns.ip_sources", name); err != nil {
			return g.at(place, err)
		}
		one := struct {
			Raw json.RawMessage `caddy:"namespace=dynamic_dns.ip_sources inline_key=source"`
		}{raw}
		module, err := l.ctx.LoadModule(&one, "Raw")
		if err != nil {
			return g.at(place, err)
		}
		src, ok := module.(ipsources.IPSource)
		if !ok {
			return g.at(place, fmt.Errorf("the module %q is no IP source: it does not implement dynamicdns.IPSource", name))
		}
		d.Sources = append(d.Sources, detect.NewSource(name, src))
	}
	if at, err := detect.JoinVoters(d.Sources); err != nil {
		return g.at(fmt.Sprintf("ip_sources[%d]", at), err)
	}
	l.warnOfSpecial(g, d)
	known, err := l.pooled.Hold(conf.Key{Kind: "detection", Config: key}, func() caddy.Destructor { return new(detect.Known) })
	if err != nil {
		return err
	}
	d.Known = known.(*detect.Known)
	l.detectors[key] = d
	g.detector = d
	return nil
}

// warnOfSpecial says at load that a source can give nothing that may be
// published, which nobody would notice otherwise. A private address beside a
// source that finds the public one is nothing unusual.
func (l *loader) warnOfSpecial(g *group, d *detect.Detector) {
	special := make([][]string, len(d.Sources))
	certain := make([]bool, len(d.Sources))
	hope := false
	for i, source := range d.Sources {
		special[i], certain[i] = onlySpecial(source.IPSource, d.Filter, g.Versions)
		hope = hope || special[i] == nil
	}
	for i, source := range d.Sources {
		if special[i] == nil || hope && !certain[i] {
			continue
		}
		line, path := "include "+strings.Join(special[i], " "), g.entry(fmt.Sprintf("ip_sources[%d]", i))
		place := g.written.At(path)
		if place == "" {
			line, place = fmt.Sprintf(`"include": ["%s"]`, strings.Join(special[i], `", "`)), path
		}
		l.logger.Warn(fmt.Sprintf("the internet cannot reach the addresses of an IP source, so they are not published; if they are meant for a network of yours, write `%s`", line),
			zap.String("source", source.Name), zap.String("at", place))
	}
}

// onlySpecial returns the special-purpose ranges that a source's addresses are
// in, if all are in such and none may be published, and whether that is so
// whatever happens.
func onlySpecial(source ipsources.IPSource, filter *ipaddr.Filter, versions *ipsources.IPVersions) (ranges []string, certain bool) {
	foreteller, ok := source.(ipsources.Foreteller)
	if _, configured := source.(ipsources.Configured); !ok || configured {
		return nil, false
	}
	for _, prefix := range foreteller.Foretell() {
		addr := prefix.Addr()
		if !enabledIn(versions, ipaddr.FamilyOf(addr)) {
			continue
		}
		if refusal := filter.Refuse(addr, false); refusal == "" || strings.HasPrefix(refusal, "excluded") || ipaddr.SpecialPurpose(addr) == "" {
			return nil, false
		}
		if certain = !prefix.IsSingleIP(); !certain {
			prefix = ipaddr.SpecialRange(addr)
		}
		if r := prefix.String(); !slices.Contains(ranges, r) {
			ranges = append(ranges, r)
		}
	}
	return ranges, certain
}
