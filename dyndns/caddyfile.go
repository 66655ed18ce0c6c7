package dyndns

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("dyndns", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("dyndns", httpcaddyfile.Before, "respond")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	value, err := json.Marshal(h)
	if err != nil {
		return nil, helper.WrapErr(err)
	}
	places.Remember(value, h.written)
	return h, nil
}

// UnmarshalCaddyfile parses a handler:
//
//	dyndns {
//		provider <name> [<args...>]
//		zone <zones...>
//		user <name> [<hash>] {
//			hosts <full names...>
//			device <full name> <host IDs...>
//			from <ranges...>
//		}
//		ttl <duration>
//		include <ranges...>
//		exclude <ranges...>
//		prefix_length <bits>
//		query_auth
//		allow_offline
//		withdraw
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	h.written = places.Map{"": position(d)}
	if d.NextArg() {
		return d.Errf("unexpected argument %q; write the settings in a block: dyndns { ... }", d.Val())
	}
	once := make(map[string]bool)
	p := &parser{handler: h}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		parse, ok := options[option]
		if !ok {
			return d.Errf("unrecognized subdirective %q; there are %s", option, strings.Join(optionNames, ", "))
		}
		if once[option] && !repeated[option] {
			return d.Errf("%s is there twice; write it once", option)
		}
		once[option] = true
		if err := parse(p, d); err != nil {
			return err
		}
	}
	if len(h.Users) == 0 {
		return d.Err("there are no users, so that nobody could update anything; write `user home {env.HOME_HASH} {\n\thosts home.example.com\n}`")
	}
	if err := p.checkIDs(); err != nil {
		return err
	}
	return p.checkZones()
}

// parser is what is known of a handler while it is parsed.
type parser struct {
	handler *Handler
	// hosts and ids are what users may update, and the host IDs of devices.
	hosts, ids []word
}

// word is something that is looked at once all is parsed.
type word struct {
	text string
	// refuse makes an error with file and line.
	refuse func(format string, args ...any) error
}

// position is where the current word is.
func position(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// here returns the current word.
func here(d *caddyfile.Dispenser, text string) word {
	token := d.Token()
	return word{text, func(format string, args ...any) error {
		at := caddyfile.NewDispenser([]caddyfile.Token{token})
		at.Next()
		return at.Errf(format, args...)
	}}
}

// options are the subdirectives.
var options = map[string]func(*parser, *caddyfile.Dispenser) error{
	"provider": func(p *parser, d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.Err("write the name of a DNS provider: provider <name> [<args...>]")
		}
		name := d.Val()
		unm, err := caddyfile.UnmarshalModule(d, "dns.providers."+name)
		if err != nil {
			return d.WrapErr(err)
		}
		p.handler.DNSProviderRaw = caddyconfig.JSONModuleObject(unm, "name", name, nil)
		return nil
	},
	"zone": func(p *parser, d *caddyfile.Dispenser) error {
		zones, err := several(d, "the zones that the hosts are in")
		for _, z := range zones {
			if placeholders.In(z) {
				continue
			}
			if _, err := dnsname.Zone(z); err != nil {
				return d.WrapErr(err)
			}
		}
		p.handler.Zones = append(p.handler.Zones, zones...)
		return err
	},
	"user": (*parser).parseUser,
	"ttl": func(p *parser, d *caddyfile.Dispenser) error {
		s, err := one(d, "a duration, such as 1m")
		if err != nil {
			return err
		}
		ttl, err := caddy.ParseDuration(s)
		if err != nil {
			return d.Errf("ttl %q is no duration; write a number with a unit, such as 1m", s)
		}
		if ttl < time.Second {
			return d.Errf("ttl %s is too short; write 1s or more", ttl)
		}
		p.handler.TTL = caddy.Duration(ttl)
		return nil
	},
	"include": func(p *parser, d *caddyfile.Dispenser) (err error) {
		p.handler.Include, err = parseRanges(d, p.handler.Include)
		return err
	},
	"exclude": func(p *parser, d *caddyfile.Dispenser) (err error) {
		p.handler.Exclude, err = parseRanges(d, p.handler.Exclude)
		return err
	},
	"prefix_length": func(p *parser, d *caddyfile.Dispenser) error {
		s, err := one(d, "a number of bits, such as 64")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(s)
		if err == nil {
			err = ipaddr.CheckPrefixLength(n)
		}
		if err != nil {
			return d.Errf("prefix_length %q: write the number of bits that the router's prefix has, such as 64", s)
		}
		p.handler.PrefixLength = n
		return nil
	},
	"query_auth": func(p *parser, d *caddyfile.Dispenser) error {
		p.handler.QueryAuth = true
		return none(d)
	},
	"allow_offline": func(p *parser, d *caddyfile.Dispenser) error {
		p.handler.AllowOffline = true
		return none(d)
	},
	"withdraw": func(p *parser, d *caddyfile.Dispenser) error {
		p.handler.Withdraw = true
		return none(d)
	},
}

var optionNames = []string{"provider", "zone", "user", "ttl", "include", "exclude", "prefix_length", "query_auth", "allow_offline", "withdraw"}

// repeated are options that may be there several times.
var repeated = map[string]bool{"zone": true, "user": true, "include": true, "exclude": true}

func (p *parser) parseUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		// What is too much may be a password with a space in it.
		return d.Err("write a user with a name, the hash of the password and hosts, such as `user home {env.HOME_HASH} {\n\thosts home.example.com\n}`")
	}
	u := &User{Name: args[0]}
	if slices.ContainsFunc(p.handler.Users, func(other *User) bool { return other.Name == u.Name }) {
		return d.Errf("user %q is there twice; write all its hosts in one place", u.Name)
	}
	if len(args) == 2 {
		u.Password = args[1]
		if !placeholders.In(u.Password) {
			if _, err := auth.ParseHash(u.Password); err != nil {
				return d.Errf("user %q: %v", u.Name, err)
			}
		}
	}
	p.handler.Users = append(p.handler.Users, u)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "hosts":
			hosts, err := p.parseHosts(d)
			if err != nil {
				return err
			}
			u.Hosts = append(u.Hosts, hosts...)
		case "device":
			args, err := several(d, "a full name and host IDs, such as nas.example.com ::21b:21ff:fe3c:4d5e")
			if err != nil {
				return err
			}
			if len(args) < 2 {
				return d.Errf("device %q has no host ID; write the lower part of its IPv6 address, such as ::21b:21ff:fe3c:4d5e, or its MAC address", args[0])
			}
			if u.Devices[args[0]] != nil {
				return d.Errf("device %q is there twice; write all its host IDs in one line", args[0])
			}
			if u.Devices == nil {
				u.Devices = make(map[string][]string)
			}
			u.Devices[args[0]] = args[1:]
			for _, id := range args[1:] {
				p.ids = append(p.ids, here(d, id))
			}
			if err := p.addHost(d, args[0]); err != nil {
				return err
			}
		case "from":
			ranges, err := parseRanges(d, u.From)
			if err != nil {
				return err
			}
			u.From = ranges
		default:
			return d.Errf("unrecognized subdirective %q of user; there are hosts, device, from", option)
		}
	}
	if len(u.Hosts) == 0 && len(u.Devices) == 0 {
		// Without the brace, what follows is no block of the user's.
		return d.Errf("user %q has no hosts; end its line with { and write those it may update below: `user %[1]s ... {\n\thosts home.example.com\n}`", u.Name)
	}
	return nil
}

// parseHosts keeps the quotes of a wildcard, which say that the record itself
// is meant.
func (p *parser) parseHosts(d *caddyfile.Dispenser) ([]string, error) {
	var hosts []string
	for d.NextArg() {
		host := d.Val()
		if d.Token().Quoted() && strings.HasPrefix(host, "*.") {
			host = `"` + host + `"`
		}
		hosts = append(hosts, host)
		if err := p.addHost(d, host); err != nil {
			return nil, err
		}
	}
	if len(hosts) == 0 {
		return nil, d.Err("write the full names that the user may update, such as hosts home.example.com")
	}
	return hosts, nil
}

// addHost refuses what is no full name, and remembers where it is written.
func (p *parser) addHost(d *caddyfile.Dispenser, host string) error {
	if placeholders.In(host) {
		return nil
	}
	if _, err := auth.ParseHosts([]string{host}); err != nil {
		return d.WrapErr(err)
	}
	p.hosts = append(p.hosts, here(d, host))
	if name, err := dnsname.Host(strings.Trim(host, `"`)); err == nil {
		p.handler.written[name] = position(d)
	}
	return nil
}

// checkIDs refuses host IDs that do not fit below the prefix.
func (p *parser) checkIDs() error {
	for _, id := range p.ids {
		if placeholders.In(id.text) {
			continue
		}
		if _, err := ipaddr.ParseHostID(id.text, cmp.Or(p.handler.PrefixLength, defaultPrefixLength)); err != nil {
			return id.refuse("device: %v", err)
		}
	}
	return nil
}

// checkZones refuses hosts in none of the zones, as far as those are written
// here.
func (p *parser) checkZones() error {
	var zones []string
	for _, raw := range p.handler.Zones {
		if placeholders.In(raw) {
			return nil
		}
		z, err := dnsname.Zone(raw)
		if err != nil {
			return nil
		}
		zones = append(zones, z)
	}
	if len(zones) == 0 {
		return nil
	}
	for _, h := range p.hosts {
		bare := strings.TrimPrefix(strings.Trim(h.text, `"`), "*.")
		host, err := dnsname.Host(bare)
		if err != nil {
			continue
		}
		if _, _, ok := dnsname.Match(host, zones); !ok {
			return h.refuse("the host %q is in none of the zones %s; add its zone, or correct the name", h.text, displays(zones))
		}
	}
	return nil
}

func parseRanges(d *caddyfile.Dispenser, ranges []string) ([]string, error) {
	option := d.Val()
	args, err := several(d, "CIDR ranges, such as 203.0.113.0/24")
	for _, s := range conf.ExpandRanges(args) {
		if !placeholders.In(s) {
			if _, err := ipaddr.ParseRange(s); err != nil {
				return nil, d.Errf("%s: %v", option, err)
			}
		}
		ranges = append(ranges, s)
	}
	return ranges, err
}

// several returns the arguments of an option that needs some.
func several(d *caddyfile.Dispenser, what string) ([]string, error) {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, d.Errf("%s: write %s", option, what)
	}
	return args, nil
}

// one returns the argument of an option that needs just one.
func one(d *caddyfile.Dispenser, what string) (string, error) {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", d.Errf("%s: write %s", option, what)
	}
	return args[0], nil
}

// none refuses arguments.
func none(d *caddyfile.Dispenser) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no argument; take %q out", option, d.Val())
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
