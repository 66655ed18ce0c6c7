package dynamicdns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

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
	devices   []deviceOption
	hosts     []caddyfile.Token
	// empty is an option `domains` without a zone.
	empty   *caddyfile.Token
	sources []caddyfile.Token
	// seen tells where each option occurred first.
	seen map[string]string
	// written is where all blocks so far have what they say.
	written places.Map
}

// providerOption is an occurrence of the option `provider`.
type providerOption struct {
	token   caddyfile.Token
	name    string
	raw     json.RawMessage
	domains []zoneOption
	devices []deviceOption
	hosts   []caddyfile.Token
}

// takes reports whether the provider takes the names of the block.
func (p *providerOption) takes() bool { return p.domains == nil && p.devices == nil && p.hosts == nil }

func (b *block) parseProvider() error {
	p := providerOption{token: b.Token()}
	if !b.NextArg() {
		return b.Err("provider needs the name of a dns.providers module, such as `provider cloudflare {env.CLOUDFLARE_API_TOKEN}`")
	}
	p.name = b.Val()
	rest, nested := cutNames(b.NextSegment())
	for _, token := range rest[1:] {
		if variable := advice.Variable(token.Text); variable != "" {
			return errorAt(token, "%s is not replaced by the value of the environment variable; write `{env.%s}`", token.Text, variable)
		}
	}
	for _, tokens := range nested {
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		if err := p.parseNames(d); err != nil {
			return err
		}
	}
	d := caddyfile.NewDispenser(rest)
	d.Next()
	var err error
	if p.raw, err = parseModule(d, "dns.providers", "name", "DNS provider"); err != nil {
		return errors.New(conf.Redactor(values(rest[1:]))(err.Error()))
	}
	b.providers = append(b.providers, p)
	return nil
}

// parseNames parses an option with names that stands inside of the provider.
func (p *providerOption) parseNames(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "hosts":
		if err := checkWords(d, true); err != nil {
			return err
		}
		hosts, err := parseHosts(d)
		p.hosts = append(p.hosts, hosts...)
		return err
	case "devices":
		devices, err := parseDevices(d)
		p.devices = append(p.devices, devices...)
		return err
	}
	zones, err := parseZones(d)
	if err == nil && zones == nil {
		err = d.Err(errNoZones)
	}
	p.domains = append(p.domains, zones...)
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

func (b *block) parseHosts() error {
	hosts, err := parseHosts(b.Dispenser)
	b.hosts = append(b.hosts, hosts...)
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
	if b.Val() == "interface" && strings.Contains(next(b.Dispenser), ",") {
		return b.Err(severalInterfaces(next(b.Dispenser)))
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
			if early := readEarly(b.Val(), "ipv4 ipv6"); early != "" {
				return b.Errf("versions are read together with the Caddyfile; write `versions %s`", early)
			}
			return b.Errf("unknown IP version %q; write `versions ipv4`, `versions ipv6` or `versions ipv4 ipv6`", b.Val())
		}
		*version = true
	}
	if !v4 && !v6 {
		return b.Err("versions needs at least one version; write `versions ipv4`, `versions ipv6` or `versions ipv4 ipv6`")
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
		return b.Errf("%s needs CIDR ranges; write them as in `%s 192.168.0.0/16`, or `%s private_ranges`", name, name, name)
	}
	return nil
}

func (b *block) parseDuration(duration *caddy.Duration, least time.Duration) error {
	name := b.Val()
	usual := cmp.Or(map[string]string{"verify_interval": "1h"}[name], "5m")
	if !b.NextArg() {
		return b.Errf("%s needs a duration; write `%s %s`", name, name, usual)
	}
	dur, err := caddy.ParseDuration(b.Val())
	if err != nil {
		if early := readEarly(b.Val(), "5m"); early != "" {
			return b.Errf("%s is read together with the Caddyfile; write `%s %s`", name, name, early)
		}
		if _, notNumber := strconv.Atoi(b.Val()); notNumber == nil {
			return b.Errf("%s %s has no unit; write `%s %ss`", name, b.Val(), name, b.Val())
		}
		return b.Errf("%s: %w; write a duration, as in `%s %s`", name, err, name, usual)
	}
	if dur != 0 && dur < least {
		return b.Errf("%s %s is too short; write `%s %s` or more", name, b.Val(), name, short(least))
	}
	*duration = caddy.Duration(dur)
	return nil
}

func (b *block) parseFlag(flag **bool) error {
	name := b.Val()
	on := true
	if b.NextArg() {
		if b.Val() != "off" {
			return b.Errf("unexpected argument %q; write `%s`, or `%s off`", b.Val(), name, name)
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
			if _, err := fullName("except", b.Val()); err != nil {
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

// checkWords refuses a list that was written with commas or brackets, and what
// was to be a placeholder.
func checkWords(d *caddyfile.Dispenser, isList bool) error {
	name := d.Val()
	words := args(d)
	if name == "ip_source" && len(words) > 0 && words[0] == "command" {
		return nil // whatever follows is the program's
	}
	for _, word := range words {
		if variable := advice.Variable(word); variable != "" {
			return d.Errf("%s is not replaced by the value of the environment variable; write `{env.%s}`", word, variable)
		}
	}
	if !isList || len(words) > 0 && words[0] == "interface" {
		return nil
	}
	if list := advice.List(words); list != nil {
		return d.Errf("the words of a list are separated by spaces alone; write `%s %s`", name, strings.Join(list, " "))
	}
	return nil
}

// severalInterfaces says how to ask several interfaces, of which a list was
// given as one name.
func severalInterfaces(names string) string {
	var lines []string
	for _, name := range advice.List([]string{names}) {
		lines = append(lines, "ip_source interface "+name)
	}
	return fmt.Sprintf("interface takes one name; write `%s`", strings.Join(lines, "\n"))
}

// short is a duration without the zeros at its end.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// readEarly returns the form of an environment variable's placeholder that
// Caddy replaces while it reads the Caddyfile, with a default.
func readEarly(word, otherwise string) string {
	name, ok := strings.CutPrefix(strings.TrimSuffix(word, "}"), "{env.")
	if !ok {
		return ""
	}
	return fmt.Sprintf("{$%s:%s}", name, otherwise)
}
