package request

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// eitherParams give addresses of both families.
var eitherParams = []string{"myip", "ip"}

// addrParams are the parameters that may say something of a family. The first
// that does decides.
var addrParams = [ipaddr.Families][]string{
	ipaddr.V4: {"myip", "myipv4", "ip", "ipv4", "ipaddr"},
	ipaddr.V6: {"myipv6", "ipv6", "myip6", "ip6", "ip6addr", "myip", "ip"},
}

// overrideParams are followed by the hosts for which they are.
var overrideParams = [ipaddr.Families]string{ipaddr.V4: "myipv4:", ipaddr.V6: "myipv6:"}

// prefixParams give the IPv6 prefix of the network behind a router.
var prefixParams = []string{"ip6lanprefix", "ipv6prefix"}

// asked is what a request asks of one family of a host.
type asked struct {
	// named is set where a parameter says something of the family, be it
	// that it stays as it is.
	named bool
	// override is set where that parameter is for this host alone.
	override bool
	state    plan.State
	items    []item
}

// item is an address, or a prefix below which a host keeps its own bits.
type item struct {
	addr   netip.Addr
	prefix netip.Prefix
	// position is its place among all that was sent.
	position int
}

func (i item) family() ipaddr.Family {
	if i.prefix.IsValid() {
		return ipaddr.FamilyOf(i.prefix.Addr())
	}
	return ipaddr.FamilyOf(i.addr)
}

// list is what one parameter says.
type list struct {
	preserve bool
	items    []item
}

// parseAddrs reads all that is sent of addresses. What is malformed is an
// error, also where something else decides.
func (r *Request) parseAddrs(params Params) error {
	position := 0
	lists := make(map[string]*list)
	for _, p := range params {
		p.value = strings.TrimSpace(p.value)
		var err error
		switch {
		case p.name == "offline":
			r.Offline = strings.EqualFold(p.value, "YES")
		case slices.Contains(prefixParams, p.name):
			err = r.parsePrefixes(p, &position)
		case slices.Contains(addrParams[ipaddr.V4], p.name), slices.Contains(addrParams[ipaddr.V6], p.name):
			either := slices.Contains(eitherParams, p.name)
			if p.value == "" && either {
				continue
			}
			if lists[p.name] == nil {
				lists[p.name] = new(list)
			}
			err = lists[p.name].parse(p, &position)
			if err == nil && !either {
				err = lists[p.name].only(familyOfParam(p.name), p.name)
			}
		case strings.HasPrefix(p.name, overrideParams[ipaddr.V4]):
			err = r.parseOverride(p, ipaddr.V4, &position)
		case strings.HasPrefix(p.name, overrideParams[ipaddr.V6]):
			err = r.parseOverride(p, ipaddr.V6, &position)
		}
		if err != nil {
			return err
		}
	}
	for family := range ipaddr.Families {
		for _, name := range addrParams[family] {
			if l := lists[name]; l != nil && !r.all[family].named {
				r.all[family] = l.of(family, slices.Contains(eitherParams, name))
			}
		}
		r.addressed = r.addressed || r.all[family].named
	}
	return r.checkNumber()
}

func familyOfParam(name string) ipaddr.Family {
	if slices.Contains(addrParams[ipaddr.V4], name) {
		return ipaddr.V4
	}
	return ipaddr.V6
}

// parseOverride reads what is for some hosts alone, and names them.
func (r *Request) parseOverride(p param, family ipaddr.Family, position *int) error {
	hosts, err := r.name(strings.TrimPrefix(p.name, overrideParams[family]))
	if err != nil {
		return err
	}
	var l list
	if err := l.parse(p, position); err != nil {
		return err
	}
	if err := l.only(family, overrideParams[family]); err != nil {
		return err
	}
	if r.overrides == nil {
		r.overrides = make(map[string]*[ipaddr.Families]asked)
	}
	a := l.of(family, false)
	a.override = true
	for _, host := range hosts {
		if r.overrides[host] == nil {
			r.overrides[host] = new([ipaddr.Families]asked)
		}
		r.overrides[host][family] = a
	}
	r.addressed = true
	return nil
}

func (r *Request) parsePrefixes(p param, position *int) error {
	if p.value == "" {
		return nil
	}
	var l list
	if err := l.parse(p, position); err != nil {
		return err
	}
	for _, i := range l.items {
		if !i.prefix.IsValid() || i.family() != ipaddr.V6 {
			return refuse("%s: this is no IPv6 prefix: %.100q", p.name, p.value)
		}
	}
	if l.preserve {
		return refuse("%s: a prefix cannot be preserved", p.name)
	}
	r.prefixes = append(r.prefixes, l.items...)
	r.addressed = true
	return nil
}

// parse adds what the value of a parameter says.
func (l *list) parse(p param, position *int) error {
	if p.value == "" {
		return nil
	}
	for s := range strings.SplitSeq(p.value, ",") {
		s = strings.TrimSpace(s)
		if strings.EqualFold(s, "preserve") {
			l.preserve = true
			continue
		}
		i, err := parseItem(s)
		if err != nil {
			return refuse("%.20s: %v", p.name, err)
		}
		i.position = *position
		*position++
		l.items = append(l.items, i)
	}
	if l.preserve && len(l.items) > 0 {
		return refuse("%.20s: preserve stands beside addresses", p.name)
	}
	return nil
}

// only refuses items of the other family.
func (l *list) only(family ipaddr.Family, name string) error {
	for _, i := range l.items {
		if i.family() != family {
			return refuse("%s: an address of the other family", name)
		}
	}
	return nil
}

// of returns what the list says of a family. One that is for either family
// says nothing of one that it does not have.
func (l *list) of(family ipaddr.Family, either bool) asked {
	if l.preserve {
		return asked{named: true}
	}
	var items []item
	for _, i := range l.items {
		if i.family() == family {
			items = append(items, i)
		}
	}
	switch {
	case len(items) > 0:
		return asked{named: true, state: plan.Set, items: items}
	case either:
		return asked{}
	}
	return asked{named: true, state: plan.None}
}

// parseItem parses an address, or a prefix in CIDR form. What a prefix has
// below its length counts for nothing.
func parseItem(s string) (item, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return item{}, refuse("this is no address: %.100q", s)
		}
		if addr.Zone() != "" {
			return item{}, refuse("an address with a zone has no meaning elsewhere: %.100q", s)
		}
		return item{addr: addr.Unmap()}, nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return item{}, refuse("this is no prefix: %.100q", s)
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		// Of a length that is no IPv4 prefix's, it becomes invalid.
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	switch {
	case prefix.Bits() < 1:
		return item{}, refuse("a prefix of that length leaves nothing as it is: %.100q", s)
	case prefix.IsSingleIP():
		return item{addr: prefix.Addr()}, nil
	}
	return item{prefix: prefix.Masked()}, nil
}

// checkNumber refuses too many addresses for a host.
func (r *Request) checkNumber() error {
	check := func(families *[ipaddr.Families]asked) error {
		n := len(r.prefixes)
		for family := range families {
			n += len(families[family].items)
		}
		if n > MaxAddrs {
			return refuse("more than %d addresses for a host", MaxAddrs)
		}
		return nil
	}
	if err := check(&r.all); err != nil {
		return err
	}
	for host := range r.overrides {
		families := r.of(host)
		if err := check(&families); err != nil {
			return err
		}
	}
	return nil
}

// of returns what is asked of a host.
func (r *Request) of(host string) [ipaddr.Families]asked {
	families := r.all
	if o := r.overrides[host]; o != nil {
		for family := range families {
			if o[family].named {
				families[family] = o[family]
			}
		}
	}
	return families
}

func refuse(format string, args ...any) *reply.Error {
	return reply.Refuse(http.StatusBadRequest, reply.DNSError, format, args...)
}
