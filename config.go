package dynamicdns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/finder"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	defaultCheckInterval  = 5 * time.Minute
	minCheckInterval      = time.Second
	defaultVerifyInterval = time.Hour
	minVerifyInterval     = time.Minute
)

// Group is a set of domains at one DNS provider, with the settings that
// decide what their records hold.
type Group struct {
	// The sources of this machine's addresses, in order of preference. Each
	// address family is taken from the first source that has an acceptable
	// address for it. Default: `simple_http` with its default endpoints.
	IPSourcesRaw []json.RawMessage `json:"ip_sources,omitempty" caddy:"namespace=dynamic_dns.ip_sources inline_key=source"`

	// The DNS provider that holds the zones. Any `dns.providers.*` module
	// can be used that can set records, or append and delete them. Default:
	// the one of Caddy's global option `dns`, which is `dns` of the tls app.
	DNSProviderRaw json.RawMessage `json:"dns_provider,omitempty" caddy:"namespace=dns.providers inline_key=name"`

	// The names to manage, by zone. Names are relative to their zone: "@" is
	// the zone itself, "*" its wildcard. A zone with no names means "@",
	// except with `dynamic_domains`, where it names a zone to take hosts
	// from. Placeholders are resolved. There may be no names at all where there
	// is nothing but `cluster`, for the zones of `dyndns` handlers.
	Domains map[string][]string `json:"domains,omitempty"`

	// Further names to manage, written in full, such as "www.example.com". The
	// zone of each is found while Caddy runs: it is the longest of those that
	// are listed in `domains`, here or elsewhere with the same provider
	// account, and otherwise of those that the provider lists, and otherwise
	// that of the name's start of authority in DNS. A name whose zone cannot be
	// found is not managed until it is. Placeholders are resolved.
	Hosts []string `json:"hosts,omitempty"`

	// Only change RRsets that exist; never create one. The provider must be
	// able to read records.
	UpdateOnly *bool `json:"update_only,omitempty"`

	// Take the addresses that were published away when Caddy ends for good, and
	// when a name leaves the configuration or the sites, as far as they are
	// still there. What others have added to a name stays. It is done within 5
	// seconds where that is possible, and otherwise by the next start. The
	// provider must be able to delete records.
	Withdraw *bool `json:"withdraw,omitempty"`

	// Also manage every host of the http app's sites that lies in one of the
	// zones of `domains`, unless a longer zone is listed in any other entry.
	// Without `domains`, it is every host in any zone that the provider has.
	// Names that are written in `domains`, `hosts` or `devices` come first. An
	// entry without `domains` does not take this from the settings at the top.
	DynamicDomains *bool `json:"dynamic_domains,omitempty"`

	// Hosts that `dynamic_domains` leaves out.
	Except []string `json:"except,omitempty"`

	// Other machines in this machine's IPv6 prefix: their host IDs, by zone and
	// name. A name gets an AAAA record for each ID, whose address is the
	// prefix and the ID. An ID is an IPv6 suffix, such as
	// `::21b:21ff:fe3c:4d5e`, or a MAC address, of which the modified EUI-64 is
	// made (RFC 4291, appendix A). Names and zones are written as in
	// `domains`. Placeholders are resolved.
	Devices map[string]map[string][]string `json:"devices,omitempty"`

	// How many bits of the IPv6 address that is found, or of the prefix that
	// an IP source knows, are followed by the IDs of `devices`; of a known
	// prefix that is shorter, the bits up to there are zero. Default: 64.
	// Range: 1 to 127.
	PrefixLength int `json:"prefix_length,omitempty"`

	// The address families to publish. Default: both.
	Versions *ipsources.IPVersions `json:"versions,omitempty"`

	// CIDR ranges of the only addresses that may be published. They may name
	// special-purpose ranges (RFC 6890), such as private ones, which are
	// refused otherwise.
	Include []string `json:"include,omitempty"`

	// CIDR ranges of addresses that are never published. Where an address is
	// in ranges of both lists, the more specific range decides, and `exclude`
	// on a tie.
	Exclude []string `json:"exclude,omitempty"`

	// The TTL of the records. Default: an existing record keeps its own, and
	// a new one gets 5m. It goes along with changes; a TTL that alone differs
	// is written once, for some providers raise it to a minimum of theirs.
	TTL caddy.Duration `json:"ttl,omitempty"`
}

// inherit fills in what the entry leaves out from the settings of the first
// block. Domains, hosts and devices are never inherited: each name has one
// place.
func (g *Group) inherit(from *Group) {
	if len(g.IPSourcesRaw) == 0 {
		g.IPSourcesRaw = slices.Clone(from.IPSourcesRaw)
	}
	if len(g.DNSProviderRaw) == 0 {
		g.DNSProviderRaw = from.DNSProviderRaw
	}
	g.UpdateOnly = cmp.Or(g.UpdateOnly, from.UpdateOnly)
	g.Withdraw = cmp.Or(g.Withdraw, from.Withdraw)
	if len(g.Domains) > 0 {
		g.DynamicDomains = cmp.Or(g.DynamicDomains, from.DynamicDomains)
	}
	g.Versions = cmp.Or(g.Versions, from.Versions)
	if g.Include == nil {
		g.Include = from.Include
	}
	if g.Exclude == nil {
		g.Exclude = from.Exclude
	}
	g.TTL = cmp.Or(g.TTL, from.TTL)
	g.PrefixLength = cmp.Or(g.PrefixLength, from.PrefixLength)
}

// enabledIn reports whether the versions include the family.
func enabledIn(v *ipsources.IPVersions, f ipaddr.Family) bool {
	return f == ipaddr.V4 && v.V4Enabled() || f == ipaddr.V6 && v.V6Enabled()
}

// group is a Group with everything it leaves out filled in and looked up.
type group struct {
	*Group
	// where is the place in the configuration, for messages.
	where string
	// written is where the parts of the configuration were written, if that
	// is known.
	written     places.Map
	provider    *provider.Provider
	providerKey string
	detector    *detect.Detector
	// zones are the canonical names to manage, by canonical zone.
	zones map[string][]string
	// places are where these were written, as far as that is known, by name
	// and zone; that of the zone itself is under the empty name.
	places map[string]string
	// partly are further names, of which only the one family is managed here.
	partly [ipaddr.Families]map[string][]string
	// devices are the host IDs of other machines, by canonical zone and name,
	// and devicePlaces where these were written, as places.
	devices      map[string]map[string][]ipaddr.HostID
	devicePlaces map[string]string
	// except are the hosts that dynamic_domains leaves out.
	except map[string]bool
	// hosts are the names in full, hostPlaces where they were written, and
	// located the zones of those that are in a zone of the configuration.
	hosts      []string
	hostPlaces map[string]string
	located    map[string]string
	// known is what is known of the provider's zones, and search looks for them,
	// if the group has names whose zones are to be found: its hosts, and those
	// that are offered by the sites.
	known   *finder.Known
	search  *finder.Search
	offered []string
}

func (g *group) updateOnly() bool { return g.UpdateOnly != nil && *g.UpdateOnly }

func (g *group) withdraw() bool { return g.Withdraw != nil && *g.Withdraw }

func (g *group) dynamicDomains() bool { return g.DynamicDomains != nil && *g.DynamicDomains }

// open reports whether the group takes hosts from the sites in whatever zones
// the provider has.
func (g *group) open() bool { return g.dynamicDomains() && len(g.Domains) == 0 }

// enabled reports whether the group publishes addresses of the family.
func (g *group) enabled(f ipaddr.Family) bool { return enabledIn(g.Versions, f) }

// needs reports whether the group's own names need addresses of the family.
func (g *group) needs(f ipaddr.Family) bool {
	return g.enabled(f) && (len(g.zones) > 0 || len(g.Hosts) > 0 || g.open())
}

// finds reports whether anything of the family is to be found for the group.
func (g *group) finds(f ipaddr.Family) bool {
	return g.needs(f) || f == ipaddr.V6 && len(g.devices) > 0
}

// nameless reports whether nothing is configured of any name, so that there is
// nothing to publish.
func (g *Group) nameless() bool {
	return reflect.DeepEqual(*g, Group{DNSProviderRaw: g.DNSProviderRaw})
}

// name is what status and metrics call the group.
func (g *group) name() string {
	if g.where == "" {
		return "default"
	}
	return g.where
}

// entry names a place below the group in the configuration.
func (g *group) entry(name string) string {
	if g.where == "" {
		return name
	}
	return g.where + "." + name
}

// at adds the place to an error.
func (g *group) at(field string, err error) error {
	path := g.entry(field)
	if place := g.written.At(path); place != "" {
		return fmt.Errorf("%s: %w, at %s", path, err, place)
	}
	if g.where == "" {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w%s", path, err, g.contents())
}

// contents tells an entry from others by what people find in a Caddyfile, where
// entries have no numbers.
func (g *group) contents() string {
	words := ""
	for _, names := range [][]string{slices.Sorted(maps.Keys(g.Domains)), g.Hosts, slices.Sorted(maps.Keys(g.Devices))} {
		if words == "" && len(names) > 0 {
			words = " with " + names[0]
		}
	}
	// What is no module's name may be a token.
	if name := conf.InlineKey(g.DNSProviderRaw, "name"); g.provider != nil {
		words += " at " + g.provider.Name
	} else if name != "" && conf.Lacking("dns.providers", name) == nil {
		words += " at " + name
	}
	if words == "" {
		return ""
	}
	return ", in the entry" + words
}

// validate refuses settings that make no sense together.
func (g *group) validate() error {
	switch ttl := time.Duration(g.TTL); {
	case len(g.Domains) == 0 && len(g.Hosts) == 0 && len(g.Devices) == 0 && !g.dynamicDomains():
		return g.at("domains", errors.New("no domains are configured; write some, as in `domains {\n\texample.com @ www\n}` (JSON: `\"domains\": {\"example.com\": [\"@\", \"www\"]}`), or full names, as in `hosts www.example.com`, or `dynamic_domains` to take hosts from the sites"))
	case len(g.DNSProviderRaw) == 0:
		return g.at("dns_provider", errors.New("no DNS provider is configured, and the global option dns names none; write one, as in `provider cloudflare {env.CLOUDFLARE_API_TOKEN}` (JSON: `\"dns_provider\": {\"name\": \"cloudflare\", \"api_token\": \"{env.CLOUDFLARE_API_TOKEN}\"}`)"))
	case len(g.Except) > 0 && !g.dynamicDomains():
		return g.at("except", errors.New("these hosts are left out of dynamic_domains, which is not on; write dynamic_domains too, or leave except out"))
	case ttl != 0 && ttl < time.Second:
		return g.at("ttl", fmt.Errorf("%s is too short; write 1s or more", ttl))
	}
	return nil
}

// filter makes the filter of include and exclude, in which a placeholder may
// stand for several ranges.
func (g *group) filter() (*ipaddr.Filter, error) {
	lists := map[string][]string{"include": g.Include, "exclude": g.Exclude}
	for _, option := range []string{"include", "exclude"} {
		ranges := lists[option]
		if slices.Contains(ranges, conf.PrivateRanges) {
			return nil, g.at(option, fmt.Errorf("%q: this word is for the Caddyfile: in JSON, write the ranges %q", conf.PrivateRanges, conf.ExpandRanges([]string{conf.PrivateRanges})))
		}
		lists[option] = nil
		for _, raw := range ranges {
			words, err := placeholders.Words([]string{raw})
			if err != nil {
				return nil, g.at(option, err)
			}
			for _, word := range conf.ExpandRanges(words) {
				if _, err := ipaddr.ParseRange(word); err != nil {
					return nil, g.at(option, placeholders.Behind(raw, fmt.Errorf("%q: %w", word, err)))
				}
				lists[option] = append(lists[option], word)
			}
		}
	}
	return ipaddr.NewFilter(lists["include"], lists["exclude"])
}
