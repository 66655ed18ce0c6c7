package nameserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// Zone is what the configuration says of a zone. Other records come through
// the DNS provider `nameserver`, or are written into the zone file by hand,
// and stay when the configuration changes.
type Zone struct {
	// The zone's name servers, for which its NS records are made; the parent
	// zone must name the same ones. The first is the primary one. Default:
	// `ns1` in the zone, at the zone's own addresses.
	NameServers []NameServer `json:"ns,omitempty"`

	// The mailbox of who is responsible for the zone, for its SOA record.
	// Default: `hostmaster` at the zone's name.
	Contact string `json:"contact,omitempty"`

	// The TTL of the records of the configuration, and of records that are
	// set without one. In whole seconds. Default: 5m.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Records that are always there. They cannot be changed or deleted
	// through the provider, which can add others to their RRsets.
	Records []Record `json:"records,omitempty"`

	// Who may fetch the whole zone (AXFR, RFC 5936): addresses, CIDR ranges,
	// and names of `tsig_keys` after `key:`. Default: nobody.
	TransferTo []string `json:"transfer_to,omitempty"`

	// Addresses, with a port where it is not 53, of the secondary name
	// servers that are told of changes (NOTIFY, RFC 1996). After an address
	// and a space, `key:` and a name of `tsig_keys` let what it is told be
	// signed.
	Notify []string `json:"notify,omitempty"`
}

// NameServer is a name server of a zone.
type NameServer struct {
	// Its host name. A single label is taken as relative to the zone.
	Host string `json:"host,omitempty"`

	// Its addresses, if it lies in the zone. Default: those that are set for
	// its name, or else those of the zone's own name, as they change.
	Addresses []string `json:"addresses,omitempty"`
}

// Record is a record in master file syntax (RFC 1035, section 5).
type Record struct {
	// The owner name, relative to the zone. "@" is the zone itself and "*"
	// its wildcard.
	Name string `json:"name,omitempty"`
	// The type, like `A`, `MX` or `TXT`.
	Type string `json:"type,omitempty"`
	// The data, like `10 mail.example.com.`. Names without a dot at their end
	// are relative to the zone. Texts with spaces need quotes.
	Data string `json:"data,omitempty"`
}

const (
	defaultTTL = 5 * time.Minute

	// maxNegativeTTL bounds how long others may remember that a name does not
	// exist: names come and go here, like those of ACME challenges.
	maxNegativeTTL = 60

	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 14 * 86400
)

func configuredZoneName(repl *caddy.Replacer, name string) (string, error) {
	resolved, err := repl.ReplaceOrErr(name, true, true)
	if err != nil {
		return "", err
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(resolved, "."))
	switch {
	case strings.HasPrefix(resolved, "*."):
		return "", fmt.Errorf("a zone has no wildcard: write zone %s, and the wildcard as a record of it, like `record * CNAME @`", resolved[2:])
	case strings.Contains(resolved, "/"), strings.Contains(resolved, ":"):
		return "", fmt.Errorf("%q is not the name of a zone: write the domain name alone, like home.example.com", resolved)
	case err != nil:
		return "", fmt.Errorf("%q is not a domain name: %w", resolved, err)
	}
	if _, err := netip.ParseAddr(ascii); err == nil {
		return "", fmt.Errorf("%q is an address, not the name of a zone, like home.example.com", resolved)
	}
	return zonedata.ZoneName(ascii)
}

// declare makes the records that the configuration says.
func (z *Zone) declare(repl *caddy.Replacer, origin string, owner func() string) (*declaration, error) {
	secs, err := z.seconds()
	if err != nil {
		return nil, fmt.Errorf("ttl: %w", err)
	}
	d := &declaration{owner: owner}
	servers := z.NameServers
	if len(servers) == 0 {
		servers = []NameServer{{Host: "ns1"}}
	}
	for _, ns := range servers {
		if err := d.addNameServer(repl, origin, secs, ns); err != nil {
			return nil, fmt.Errorf("ns %s: %w", ns.Host, err)
		}
	}
	contact, err := z.mailbox(repl, origin)
	if err != nil {
		return nil, err
	}
	d.soa = dns.SOA{
		Hdr:     dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: secs},
		Ns:      d.records[0].RR.(*dns.NS).Ns,
		Mbox:    contact,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire,
		Minttl: min(secs, maxNegativeTTL),
	}
	for _, r := range z.Records {
		rr, err := r.parse(repl, origin, secs)
		if err != nil {
			return nil, fmt.Errorf("record %s %s %s: %w", r.Name, r.Type, r.Data, err)
		}
		d.records = append(d.records, zonedata.Record{RR: rr, Mark: zonedata.Mark{From: zonedata.Fixed}})
	}
	s, err := d.first(origin)
	if err != nil {
		return nil, err
	}
	for r := range s.All() {
		if err := zonedata.CheckWritable(origin, r); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (z *Zone) seconds() (uint32, error) {
	ttl := time.Duration(z.TTL)
	switch {
	case ttl == 0:
		ttl = defaultTTL
	case ttl < time.Second || ttl%time.Second != 0 || ttl/time.Second > maxTTL:
		return 0, fmt.Errorf("%s is not a number of whole seconds from 1s to 68 years", ttl)
	}
	return uint32(ttl / time.Second), nil
}

func (d *declaration) addNameServer(repl *caddy.Replacer, origin string, ttl uint32, ns NameServer) error {
	host, err := repl.ReplaceOrErr(ns.Host, true, true)
	if err != nil {
		return err
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if _, aerr := netip.ParseAddr(strings.Trim(host, "[]")); aerr == nil {
		return fmt.Errorf("a name server is named, not numbered: write a host name before the address, like `ns ns1 %s`", host)
	}
	if err != nil {
		return fmt.Errorf("not a host name: %w", err)
	}
	if !strings.Contains(strings.TrimSuffix(host, "."), ".") {
		ascii += "." + origin
	}
	name := dns.CanonicalName(ascii)
	inZone := dns.IsSubDomain(origin, name)
	if len(ns.Addresses) > 0 && !inZone {
		return fmt.Errorf("the host lies outside the zone, so its addresses are published by its own zone: leave them out")
	}
	from := zonedata.Fixed
	if inZone && len(ns.Addresses) == 0 && name != origin {
		from = zonedata.Following
	}
	rr := &dns.NS{Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: ttl}, Ns: name}
	if slices.ContainsFunc(d.records, func(r zonedata.Record) bool { return zonedata.SameData(r.RR, rr) }) {
		return errors.New("the name server is listed twice")
	}
	// The NS records come first, in the order of the configuration.
	i := slices.IndexFunc(d.records, func(r zonedata.Record) bool { return r.RR.Header().Rrtype != dns.TypeNS })
	if i < 0 {
		i = len(d.records)
	}
	d.records = slices.Insert(d.records, i, zonedata.Record{RR: rr, Mark: zonedata.Mark{From: from}})
	for _, a := range ns.Addresses {
		a, err := repl.ReplaceOrErr(a, true, true)
		if err != nil {
			return err
		}
		addr, err := netip.ParseAddr(a)
		if err != nil || addr.Zone() != "" {
			return fmt.Errorf("%q is not an IP address, like 203.0.113.7 or 2001:db8::7", a)
		}
		typ := "AAAA"
		if addr = addr.Unmap(); addr.Is4() {
			typ = "A"
		}
		rr, err := zonedata.ParseRecord(origin, name, ttl, typ, addr.String())
		if err != nil {
			return err
		}
		d.records = append(d.records, zonedata.Record{RR: rr, Mark: zonedata.Mark{From: zonedata.Fixed}})
	}
	return nil
}

// mailbox returns the contact in the form of a domain name (RFC 1035, section
// 8).
func (z *Zone) mailbox(repl *caddy.Replacer, origin string) (string, error) {
	if z.Contact == "" {
		return "hostmaster." + origin, nil
	}
	contact, err := repl.ReplaceOrErr(z.Contact, true, true)
	if err != nil {
		return "", fmt.Errorf("contact: %w", err)
	}
	local, domain, ok := strings.Cut(contact, "@")
	if !ok || local == "" || domain == "" || strings.ContainsAny(contact, " \\\"") {
		return "", fmt.Errorf("contact %q: write a mail address, like hostmaster@example.com", contact)
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil {
		return "", fmt.Errorf("contact %q: %w", contact, err)
	}
	name := strings.ReplaceAll(local, ".", `\.`) + "." + ascii + "."
	if _, ok := dns.IsDomainName(name); !ok {
		return "", fmt.Errorf("contact %q: the mail address is too long", contact)
	}
	return name, nil
}

func (r Record) parse(repl *caddy.Replacer, origin string, ttl uint32) (dns.RR, error) {
	var fields [3]string
	for i, f := range []string{r.Name, r.Type, r.Data} {
		resolved, err := repl.ReplaceOrErr(f, true, true)
		if err != nil {
			return nil, err
		}
		fields[i] = resolved
	}
	name, typ, data := fields[0], strings.ToUpper(fields[1]), fields[2]
	bare := strings.TrimSuffix(origin, ".")
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return nil, errors.New("the name is missing: write @ for the zone itself")
	case typ == "":
		return nil, errors.New("the type is missing, like A, MX or TXT")
	case lower == bare || lower == origin:
		return nil, errors.New("write @ for the zone itself")
	case strings.HasSuffix(lower, "."+bare):
		return nil, fmt.Errorf("names are relative to the zone: write %s", lower[:len(lower)-len(bare)-1])
	case typ == "SOA":
		return nil, errors.New("the SOA record is made by the server: see contact and ttl")
	case typ == "NS" && name == "@":
		return nil, fmt.Errorf("write `ns %s` for a name server of the zone itself", data)
	case data == "":
		return nil, errors.New("the data is missing")
	}
	if !strings.HasSuffix(name, ".") && name != "@" {
		ascii, err := toASCII(name)
		if err != nil {
			return nil, err
		}
		name = ascii
	}
	owner, err := zonedata.OwnerName(origin, name)
	if err != nil {
		return nil, err
	}
	rr, err := zonedata.ParseRecord(origin, owner, ttl, typ, data)
	if err != nil {
		return nil, err
	}
	return rr, zonedata.CheckRecord(origin, rr)
}

// toASCII converts the labels that are not ASCII. Others, such as _acme and *,
// need not be host names.
func toASCII(name string) (string, error) {
	labels := strings.Split(name, ".")
	for i, l := range labels {
		if strings.IndexFunc(l, func(r rune) bool { return r > '~' }) < 0 {
			continue
		}
		ascii, err := idna.Lookup.ToASCII(l)
		if err != nil {
			return "", err
		}
		labels[i] = ascii
	}
	return strings.Join(labels, "."), nil
}

func (z *Zone) transferPolicy(repl *caddy.Replacer, keys tsigKeys) (*transferPolicy, error) {
	p := new(transferPolicy)
	for _, s := range z.TransferTo {
		s, err := repl.ReplaceOrErr(s, true, true)
		if err != nil {
			return nil, fmt.Errorf("transfer_to: %w", err)
		}
		if key, ok := strings.CutPrefix(s, "key:"); ok {
			key = dns.CanonicalName(key)
			if _, ok := keys[key]; !ok {
				return nil, fmt.Errorf("transfer_to %s: there is no such key: add `tsig_key %s <secret>` beside the zones", s, strings.TrimSuffix(key, "."))
			}
			p.keys = append(p.keys, key)
			continue
		}
		network, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); aerr == nil {
			network, err = addr.Unmap().WithZone("").Prefix(addr.Unmap().BitLen())
		}
		if addr := network.Addr(); addr.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96) // clients are compared as IPv4
		}
		if err != nil {
			return nil, fmt.Errorf("transfer_to %q: write an address, a CIDR range or key:<name>", s)
		}
		p.networks = append(p.networks, network.Masked())
	}
	for _, s := range z.Notify {
		s, err := repl.ReplaceOrErr(s, true, true)
		if err != nil {
			return nil, fmt.Errorf("notify: %w", err)
		}
		to, err := parseSecondary(s)
		if err != nil {
			return nil, err
		}
		if _, ok := keys[to.key]; !ok && to.key != "" {
			return nil, fmt.Errorf("notify %s: there is no such key: add `tsig_key %s <secret>` beside the zones", s, strings.TrimSuffix(to.key, "."))
		}
		p.notify = append(p.notify, to)
	}
	return p, nil
}

// parseSecondary reads an address, and perhaps a key after it.
func parseSecondary(s string) (to secondary, err error) {
	host, key, signed := strings.Cut(s, " ")
	if signed {
		name, ok := strings.CutPrefix(key, "key:")
		if !ok || name == "" || strings.Contains(name, " ") {
			return to, fmt.Errorf("notify %q: after the address there can be the name of a key, like 203.0.113.53 key:transfer", s)
		}
		to.key = dns.CanonicalName(name)
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		to.addr = joinPort(addr.String(), "53")
		return to, nil
	}
	if addr, err := netip.ParseAddrPort(host); err == nil && addr.Port() != 0 {
		to.addr = addr.String()
		return to, nil
	}
	return to, fmt.Errorf("notify %q: write the address of a secondary name server, like 203.0.113.53 or [2001:db8::53]:1053", host)
}

func joinPort(host, port string) string { return net.JoinHostPort(host, port) }
