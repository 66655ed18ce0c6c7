package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// Found is which addresses of a family are to be published, and the source that
// gave them.
type Found struct {
	Addrs  []netip.Addr
	Source string
}

// Find returns what the group's sources come to: the first with an address that
// may be published, or what their votes agree upon together.
func (g *Group) Find(f ipaddr.Family) Found {
	voters := make(map[netip.Addr]map[string]bool)
	for _, a := range g.Answers {
		if a.Family != f {
			continue
		}
		var good []netip.Addr
		for _, addr := range a.Addrs {
			if addr.Refused == "" {
				good = append(good, addr.Addr)
			}
		}
		if len(good) > 0 {
			return Found{ipaddr.Sort(good), a.Source}
		}
		for _, v := range a.Votes {
			if voters[v.Addr] == nil {
				voters[v.Addr] = make(map[string]bool)
			}
			if voters[v.Addr][v.Operator] = true; len(voters[v.Addr]) > 1 {
				return Found{[]netip.Addr{v.Addr}, a.Source}
			}
		}
		if a.Hold {
			break
		}
	}
	return Found{}
}

// addresses says what each source answers, and what comes of it.
func (j *judge) addresses(g *Group) {
	j.about = "addresses"
	if len(j.Groups) > 1 {
		j.about += " of " + g.Name
	}
	var found [ipaddr.Families]Found
	any := false
	for f := range found {
		found[f] = g.Find(ipaddr.Family(f))
		any = any || len(found[f].Addrs) > 0
	}
	for _, a := range g.Answers {
		j.answer(a, found[a.Family], any)
	}
	for f := ipaddr.V4; f < ipaddr.Families; f++ {
		if g.Families[f] {
			j.family(g, f, found[f], any)
		}
	}
}

// answer judges what a source says. One that does not know what others know
// does no harm.
func (j *judge) answer(a Answer, found Found, any bool) {
	who := fmt.Sprintf("%s, %s", a.Source, familyNames[a.Family])
	for _, addr := range a.Addrs {
		if addr.Refused != "" {
			verdict := status.VerdictOK
			if !any {
				verdict = status.VerdictWrong
			}
			j.add(verdict, "%s: %s, which is not published: %s", who, addr, addr.Refused)
			continue
		}
		by := ""
		if len(a.ConfirmedBy) > 0 {
			by = " (by " + strings.Join(a.ConfirmedBy, ", ") + ")"
		}
		j.ok("%s: %s%s", who, addr, by)
	}
	switch {
	case len(a.Addrs) > 0:
	case a.Err == "" || a.NoFamily && any:
		j.ok("%s: none%s", who, because(a.Err))
	case len(found.Addrs) > 0 || any:
		j.unknown("%s%s", who, because(a.Err))
	default:
		j.wrong("%s%s", who, because(a.Err))
	}
}

// family says what is published of a family, and what to change where that is
// nothing.
func (j *judge) family(g *Group, f ipaddr.Family, found Found, any bool) {
	rrtype := f.RRType()
	switch {
	case len(found.Addrs) > 0:
		j.ok("%s: %s from %s is what %s records should hold", familyNames[f], list(found.Addrs), found.Source, rrtype)
	case any && f == ipaddr.V6:
		why, do := j.noIPv6(g)
		advise(j.ok("no IPv6 address can be published, so AAAA records stay as they are: %s", why), do)
	case any:
		advise(j.ok("no IPv4 address can be published, so A records stay as they are"), "If this machine is to be reached over IPv6 alone, say so:", "versions ipv6")
	case f == ipaddr.V4:
		advise(j.wrong("no IPv4 address can be published"), j.noIPv4(g))
	default:
		why, do := j.noIPv6(g)
		advise(j.wrong("no IPv6 address can be published: %s", why), do)
	}
}

// noIPv4 says what to do. What the network has to do with it was said before.
func (j *judge) noIPv4(g *Group) string {
	switch {
	case j.Paths[ipaddr.V4].Interface == "":
		return "See that this machine has a default route."
	case slices.ContainsFunc(g.Answers, func(a Answer) bool { return a.Kind == Echo }):
		return "See above what each source says: where services do not answer, something between here and the internet is in the way."
	}
	return "Where the router cannot tell a public address, services on the web can: write `ip_source simple_http` below the sources that there are. Behind carrier-grade NAT that address leads to nobody; see above."
}

// noIPv6 says why there is none, and what to do.
func (j *judge) noIPv6(g *Group) (why, do string) {
	path := j.Paths[ipaddr.V6]
	if path.Interface == "" {
		return "this machine has no route to the internet over IPv6", "Switch IPv6 on in the router, and see that this machine takes part (in a container: that its network has IPv6). Without it, nothing is missing."
	}
	var refused []string
	for _, a := range path.Addrs {
		if a.Refused == "" {
			if !asks(g, "interface") {
				return fmt.Sprintf("the sources do not know it, and %s has %s", path.Interface, a), "Write `ip_source interface` below the sources that there are."
			}
			return "the sources do not answer", "See above what each of them says."
		}
		if !a.IsLinkLocalUnicast() {
			refused = append(refused, fmt.Sprintf("%s is %s", a, a.Refused))
		}
	}
	if refused == nil {
		return path.Interface + " has no IPv6 address", "See that the router announces a prefix, and that this machine takes an address of it."
	}
	return strings.Join(refused, ", "), "See that this machine has a permanent public address: not one for privacy alone (sysctl net.ipv6.conf.all.use_tempaddr), nor one of the local network alone."
}

// asks reports whether the group has the source.
func asks(g *Group, source string) bool {
	return slices.ContainsFunc(g.Answers, func(a Answer) bool { return a.Source == source })
}
