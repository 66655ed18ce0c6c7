package quorum

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Cloudflare is the operator of every site's /cdn-cgi/trace, whoever owns the
// name.
const Cloudflare = "cloudflare.com"

const openDNS = "opendns.com"

// operators are those who run services under several registrable domains.
var operators = map[string]string{
	"icanhazip.com":         Cloudflare,
	"icanhazptr.com":        Cloudflare,
	"icanhaztrace.com":      Cloudflare,
	"icanhaztraceroute.com": Cloudflare,
	"one.one":               Cloudflare,
	"cloudflare-dns.com":    Cloudflare,
	"umbrella.com":          openDNS,
	"tnedi.me":              "ident.me",
	"dns.google":            "google.com",
}

// networks are those of operators whose services are asked at bare addresses, of
// which each has several: 1.1.1.2 is 1.1.1.1 with a filter.
var networks = map[netip.Prefix]string{
	netip.MustParsePrefix("1.1.1.0/24"):          Cloudflare,
	netip.MustParsePrefix("1.0.0.0/24"):          Cloudflare,
	netip.MustParsePrefix("2606:4700:4700::/48"): Cloudflare,
	netip.MustParsePrefix("208.67.216.0/21"):     openDNS,
	netip.MustParsePrefix("2620:119:35::/48"):    openDNS,
	netip.MustParsePrefix("2620:119:53::/48"):    openDNS,
	netip.MustParsePrefix("2620:0:ccc::/48"):     openDNS,
	netip.MustParsePrefix("2620:0:ccd::/48"):     openDNS,
	netip.MustParsePrefix("8.8.4.0/24"):          "google.com",
	netip.MustParsePrefix("8.8.8.0/24"):          "google.com",
	netip.MustParsePrefix("2001:4860:4860::/48"): "google.com",
}

// OperatorOf returns who runs the services of a host, which is a name or an
// address: the operator if it is known, or else the registrable domain of the
// name, or the address.
func OperatorOf(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap().WithZone("")
		for network, operator := range networks {
			if network.Contains(addr) {
				return operator
			}
		}
		return addr.String()
	}
	// An international name and its ASCII form are one host.
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		host = domain
	}
	if operator, ok := operators[host]; ok {
		return operator
	}
	return host
}
