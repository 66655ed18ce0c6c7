package quorum

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Cloudflare is the operator of every site's /cdn-cgi/trace, whoever owns the
// name.
const Cloudflare = "cloudflare.com"

const openDNS = "opendns.com"

// operators are those who run services under several registrable domains or at
// addresses of their own.
var operators = map[string]string{
	"icanhazip.com":         Cloudflare,
	"icanhazptr.com":        Cloudflare,
	"icanhaztrace.com":      Cloudflare,
	"icanhaztraceroute.com": Cloudflare,
	"one.one":               Cloudflare,
	"cloudflare-dns.com":    Cloudflare,
	"1.1.1.1":               Cloudflare,
	"1.0.0.1":               Cloudflare,
	"2606:4700:4700::1111":  Cloudflare,
	"2606:4700:4700::1001":  Cloudflare,

	"umbrella.com":         openDNS,
	"208.67.222.222":       openDNS,
	"208.67.220.220":       openDNS,
	"2620:119:35::35":      openDNS,
	"2620:119:53::53":      openDNS,
	"2620:0:ccc::2":        openDNS,
	"2620:0:ccd::2":        openDNS,
	"tnedi.me":             "ident.me",
	"dns.google":           "google.com",
	"8.8.8.8":              "google.com",
	"8.8.4.4":              "google.com",
	"2001:4860:4860::8888": "google.com",
	"2001:4860:4860::8844": "google.com",
}

// OperatorOf returns who runs the services of a host, which is a name or an
// address: the operator if it is known, or else the registrable domain of the
// name, or the address.
func OperatorOf(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().WithZone("").String()
	} else if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		host = domain
	}
	if operator, ok := operators[host]; ok {
		return operator
	}
	return host
}
