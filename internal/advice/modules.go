package advice

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const ourModule = "github.com/caddy-dynamic-dns/caddy-dynamic-dns"

// ours are the packages of providers that are in this repository.
var ours = map[string]string{
	"cloudflare": "/providers/cloudflare",
	"route53":    "/providers/route53",
	"rfc2136":    "/providers/rfc2136",
	"nameserver": "/nameserver",
}

// alsoCalled are providers by the names of what they reach.
var alsoCalled = map[string]string{
	"bind": "rfc2136", "bind9": "rfc2136", "named": "rfc2136", "knot": "rfc2136", "nsupdate": "rfc2136", "tsig": "rfc2136",
	"aws": "route53", "amazon": "route53", "cf": "cloudflare",
}

var moduleName = regexp.MustCompile(`^[a-z0-9_]{1,31}$`)

// Provider says what to do about a DNS provider that this build of Caddy does
// not have, where these are known. A token in its place is not repeated.
func Provider(name string, known []string) string {
	if !moduleName.MatchString(name) {
		return "this is not the name of a DNS provider; write it first, as in " + provider
	}
	called := name
	if other := alsoCalled[name]; slices.Contains(known, other) {
		return fmt.Sprintf("unknown DNS provider %q; write `provider %s`", name, other)
	} else if other != "" {
		name = other
	}
	if best := Closest(name, known); best != "" && ours[name] == "" {
		return fmt.Sprintf("unknown DNS provider %q; did you mean %q?", name, best)
	}
	pkg, ok := ours[name]
	if ok {
		pkg = ourModule + pkg
	} else {
		pkg = "github.com/caddy-dns/" + strings.ReplaceAll(name, "_", "-")
	}
	return fmt.Sprintf("unknown DNS provider %q: this build of Caddy has no module dns.providers.%s; build one that has, with `xcaddy build --with %s=. --with %s` in a checkout of %s", called, name, ourModule, pkg, ourModule)
}

// interfaceName matches what systems call network interfaces.
var interfaceName = regexp.MustCompile(`^(eth|en|em|wl|ww|ppp|pppoe|br|bond|vmbr|veth|tun|tap|wg|tailscale|zt|utun|igb|ix|re|vtnet|wan|lan|usb)[a-z0-9.@-]*\d[a-z0-9.@-]*$|^(wan|lan|lo)$`)

// Source says what to do about an IP source that this build of Caddy does not
// have, where these are known. args are what follows its name.
func Source(name string, args, known []string) string {
	hint := sourceHint(name, args, known)
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		name = shown(u)
	}
	return fmt.Sprintf("unknown IP source %q%s", name, hint)
}

func sourceHint(name string, args, known []string) string {
	u, err := url.Parse(name)
	_, notAddr := netip.ParseAddr(name)
	switch {
	case err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"):
		return fmt.Sprintf("; write `ip_source simple_http %s`", shown(u))
	case name == "endpoint" && len(args) > 0:
		if u, err := url.Parse(args[0]); err == nil {
			return fmt.Sprintf("; write `ip_source simple_http %s`", shown(u))
		}
	case notAddr == nil:
		return fmt.Sprintf("; write `ip_source static %s`", name)
	case slices.Contains([]string{"web", "http", "https", "url", "icanhazip", "ipify", "endpoint"}, name):
		return "; write " + web
	case slices.Contains([]string{"pcp", "nat_pmp", "nat-pmp", "router", "gateway"}, name):
		return "; write `ip_source natpmp`, or `ip_source upnp`, as the router speaks it"
	case slices.Contains([]string{"igd", "upnp_igd"}, name):
		return "; write `ip_source upnp`"
	case slices.Contains([]string{"fritz", "avm"}, name):
		return "; write `ip_source fritzbox`"
	case name == "command", name == "cmd":
		return fmt.Sprintf(": it runs programs, so it is compiled in only where a build asks for it; add `--with %s/ipsources/command` to the build, and write `ip_source command <program>`", ourModule)
	case interfaceName.MatchString(name):
		return fmt.Sprintf("; write `ip_source interface %s`", name)
	}
	if best := Closest(name, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return fmt.Sprintf(": this build of Caddy has no module dynamic_dns.ip_sources.%s; write one of %s", name, strings.Join(slices.Sorted(slices.Values(known)), ", "))
}

// shown is a URL without what could be a secret.
func shown(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return bare.String()
}
