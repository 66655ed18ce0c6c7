package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// cgn is what providers of connections use between their customers and the
// router that all of them share (RFC 6598).
var cgn = netip.MustParsePrefix("100.64.0.0/10")

// container is what Docker and Podman mostly give containers.
var container = netip.MustParsePrefix("172.16.0.0/12")

// network says how this machine reaches the internet, and what translates
// addresses between.
func (j *judge) network() {
	j.about = "network"
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if !slices.ContainsFunc(j.Groups, func(g Group) bool { return g.Families[f] }) {
			continue
		}
		j.path(f)
		if f == ipaddr.V4 {
			j.nat()
		}
	}
}

func (j *judge) path(f ipaddr.Family) {
	p := j.Paths[f]
	switch {
	case p.Err != "":
		j.unknown("%s: the way to the internet cannot be told: %s", familyNames[f], p.Err)
		return
	case p.Interface == "" && f == ipaddr.V4 && j.Paths[ipaddr.V6].Interface == "":
		advise(j.wrong("this machine has no default route, so it is not on the internet"), "See that the network is up:", "ip route; ip -6 route")
		return
	case p.Interface == "":
		j.ok("%s: there is no default route", familyNames[f])
		return
	}
	through := "no gateway"
	if p.Gateway.IsValid() {
		through = "the gateway " + p.Gateway.String()
	}
	j.ok("%s: through %s and %s, from %s", familyNames[f], p.Interface, through, p.Local)
	var addrs []string
	for _, a := range p.Addrs {
		if a.IsLinkLocalUnicast() {
			continue
		}
		if a.Refused == "" {
			addrs = append(addrs, a.String()+" is public")
		} else {
			addrs = append(addrs, fmt.Sprintf("%s is not public: %s", a, a.Refused))
		}
	}
	if len(addrs) > 0 {
		j.ok("%s of %s: %s", familyNames[f], p.Interface, strings.Join(addrs, "; "))
	}
}

// nat compares what this machine, its router and services on the internet take
// for its IPv4 address.
func (j *judge) nat() {
	local := j.Paths[ipaddr.V4].Local
	if !local.IsValid() {
		return
	}
	router, says := j.router()
	echo := j.echo()
	bare := ipaddr.SpecialPurpose(local) == ""
	const change = "Ask the provider of the connection for a public IPv4 address, or be reached over IPv6 alone:"
	switch {
	case bare && (!echo.IsValid() || echo == local):
		j.ok("no NAT: %s is this machine's own", local)
	case bare:
		advise(j.unknown("services on the web see %s, and not this machine's own %s: a VPN or a proxy is on the way", echo, local),
			"If the machine's own is meant, ask for it instead of simple_http:", "ip_source interface")
	case router.IsValid() && cgn.Contains(router), says.DoubleNAT && mentions(says.Err, cgn):
		advise(j.wrong("carrier-grade NAT: the router has no public IPv4 address (%s), but shares one with other customers of its provider, so nobody can reach this machine over IPv4", text(router, says)),
			change, "versions ipv6")
	case router.IsValid() && ipaddr.SpecialPurpose(router) != "", says.DoubleNAT:
		advise(j.wrong("double NAT: there is another router between this one and the internet (%s)", text(router, says)),
			"Make the outer router a bridge (modem), or have it forward ports 80 and 443 to the inner one, which forwards them here. If the outer one is not yours, be reached over IPv6 alone:", "versions ipv6")
	case router.IsValid() && echo.IsValid() && echo != router:
		advise(j.wrong("the router says that its address is %s, and services on the web see %s: a VPN or a second NAT is on the way", router, echo),
			"Where a VPN is the default route, ask past it through the interface to the router:", "ip_source simple_http {", "    interface eth0", "}")
	case router.IsValid():
		advise(j.ok("NAT: the router has %s%s", router, seen(echo)), j.forward(local))
	case says.NoAddress:
		advise(j.wrong("NAT: %s", says.Err),
			"See whether the router is online, and whether its address at its own page is public. Where it begins with 10., 192.168. or 172.16. to 172.31., there is a second router; where with 100.64. to 100.127., carrier-grade NAT.")
	case echo.IsValid():
		advise(j.unknown("NAT: services on the web see %s, and the router does not say whether that is its address", echo),
			fmt.Sprintf("Look at the router's own page for its internet address. If it is %s, all is well, and %s If not, there is a second router, or carrier-grade NAT.", echo, lower(j.forward(local))))
	default:
		j.unknown("NAT: %s is not public, and nobody says which address the internet sees", local)
	}
}

// mentions reports whether a text has an address of the range in it.
func mentions(text string, in netip.Prefix) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }), func(word string) bool {
		addr, err := netip.ParseAddr(word)
		return err == nil && in.Contains(addr)
	})
}

func seen(echo netip.Addr) string {
	if echo.IsValid() {
		return ", and services on the web see the same"
	}
	return ""
}

func text(router netip.Addr, says Answer) string {
	if router.IsValid() {
		return fmt.Sprintf("%s says %s", says.Source, router)
	}
	return says.Source + ": " + says.Err
}

// forward says what the router has to do.
func (j *judge) forward(local netip.Addr) string {
	to := local.String()
	if container.Contains(local) {
		to += " (or if that is a container, to its host, which has to publish them)"
	}
	return fmt.Sprintf("The router has to forward ports 80 and 443 to %s; whether it does cannot be tried from in here.", to)
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// router returns the address that the router says it has. If it has none, says
// is who told why.
func (j *judge) router() (addr netip.Addr, says Answer) {
	answers := slices.Clone(j.Routers)
	for _, g := range j.Groups {
		answers = append(answers, g.Answers...)
	}
	for _, a := range answers {
		if a.Kind != Router || a.Family != ipaddr.V4 {
			continue
		}
		for _, addr := range a.Addrs {
			return addr.Addr, a
		}
		if a.DoubleNAT || a.NoAddress && !says.DoubleNAT {
			says = a
		}
	}
	return netip.Addr{}, says
}

// echo returns the IPv4 address that services on the internet see.
func (j *judge) echo() netip.Addr {
	for _, g := range j.Groups {
		for _, a := range g.Answers {
			if a.Kind == Echo && a.Family == ipaddr.V4 && len(a.Addrs) > 0 {
				return a.Addrs[0].Addr
			}
		}
	}
	return netip.Addr{}
}
