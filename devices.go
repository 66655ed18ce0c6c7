package dynamicdns

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// prefixLength is how much of an address is the prefix.
func (g *Group) prefixLength() int { return cmp.Or(g.PrefixLength, ipaddr.DefaultPrefixLength) }

// checkPrefixLength refuses a prefix_length that nothing makes use of.
func (g *group) checkPrefixLength() error {
	if g.PrefixLength != 0 && len(g.Devices) == 0 {
		return g.at("prefix_length", errors.New("this is for devices, of which there are none; write `devices` too, or leave prefix_length out"))
	}
	return nil
}

// canonicalizeDevices brings the names of the devices into canonical form, and
// parses their host IDs.
func (g *group) canonicalizeDevices() error {
	if len(g.Devices) == 0 {
		return nil
	}
	if !g.enabled(ipaddr.V6) {
		return g.at("devices", errDevicesOfIPv4)
	}
	if err := ipaddr.CheckPrefixLength(g.prefixLength()); err != nil {
		return g.at("prefix_length", err)
	}
	g.devices = make(map[string]map[string][]ipaddr.HostID, len(g.Devices))
	g.devicePlaces = make(map[string]string)
	for _, rawZone := range slices.Sorted(maps.Keys(g.Devices)) {
		path := fmt.Sprintf("devices[%q]", rawZone)
		resolved, err := placeholders.Resolve(rawZone)
		if err != nil {
			return g.at(path, err)
		}
		zone, err := dnsname.Zone(resolved)
		if err != nil {
			return g.at(path, err)
		}
		if len(g.Devices[rawZone]) == 0 {
			return g.at(path, errors.New("the zone has no devices; write a name with its host IDs, or leave the zone out"))
		}
		if g.devices[zone] == nil {
			g.devices[zone] = make(map[string][]ipaddr.HostID)
		}
		for _, rawName := range slices.Sorted(maps.Keys(g.Devices[rawZone])) {
			path := fmt.Sprintf("%s[%q]", path, rawName)
			name, err := g.addDevice(zone, rawName, g.Devices[rawZone][rawName])
			if err != nil {
				return g.at(path, err)
			}
			g.devicePlaces[name+" "+zone] = g.written.At(g.entry(path))
		}
	}
	return nil
}

func (g *group) addDevice(zone, rawName string, rawIDs []string) (name string, err error) {
	resolved, err := placeholders.Resolve(rawName)
	if err != nil {
		return "", err
	}
	if name, err = dnsname.Name(resolved, zone); err != nil {
		return "", err
	}
	if g.devices[zone][name] != nil {
		return "", fmt.Errorf("the device %q of the zone %q is listed twice; put all its host IDs in one entry", name, dnsname.Display(zone))
	}
	words, err := placeholders.Words(rawIDs)
	if err != nil {
		return "", err
	}
	var ids []ipaddr.HostID
	for _, word := range words {
		id, err := ipaddr.ParseHostID(word, g.prefixLength())
		if err != nil {
			return "", placeholders.Behind(strings.Join(rawIDs, " "), err)
		}
		if slices.Contains(ids, id) {
			return "", fmt.Errorf("host id %q: this is %s, which is given already; leave one of them out", word, id)
		}
		ids = append(ids, id)
	}
	if ids == nil {
		return "", errNoHostID
	}
	g.devices[zone][name] = ids
	return name, nil
}

var (
	errNoHostID      = errors.New("there is no host id; write what follows the prefix in the machine's address, such as ::21b:21ff:fe3c:4d5e, or its MAC address")
	errDevicesOfIPv4 = errors.New("devices have AAAA records alone, and IPv6 is off; write `versions ipv6`, or `versions ipv4 ipv6`")
)

// prefixes are what the host IDs of the group's devices are joined with.
func (g *group) prefixes(n detect.Network) []netip.Prefix {
	var all []netip.Prefix
	for _, known := range n.Prefixes {
		prefix := netip.PrefixFrom(known.Addr(), g.prefixLength()).Masked()
		if !slices.Contains(all, prefix) {
			all = append(all, prefix)
		}
	}
	return all
}

// deviceAddrs returns the addresses of a device that may be published, and of
// the others one and why it may not.
func (g *group) deviceAddrs(ids []ipaddr.HostID, n detect.Network) (addrs []netip.Addr, refused string) {
	for _, prefix := range g.prefixes(n) {
		for _, id := range ids {
			addr := ipaddr.Join(prefix, id)
			if reason := g.detector.Filter.Refuse(addr, n.Configured); reason != "" {
				refused = fmt.Sprintf("%s may not be published: %s", addr, reason)
				continue
			}
			if site, ok := siteOf(prefix, n); ok && !site.Contains(addr) {
				refused = notInSite(addr, site)
				continue
			}
			addrs = append(addrs, addr)
		}
	}
	return ipaddr.Sort(addrs), refused
}

func notInSite(addr netip.Addr, site netip.Prefix) string {
	return fmt.Sprintf("%s is not in the prefix %s that this network has; write prefix_length %d or more", addr, site, site.Bits())
}

// checkSite refuses a host ID that leads out of the prefix that the
// configuration itself has.
func (g *group) checkSite() error {
	first := g.detector.Sources[0].IPSource
	foreteller, ok := first.(ipsources.Foreteller)
	if _, configured := first.(ipsources.Configured); !ok || !configured {
		return nil
	}
	n := detect.Network{Prefixes: foreteller.Foretell()}
	for _, zone := range slices.Sorted(maps.Keys(g.devices)) {
		for _, name := range slices.Sorted(maps.Keys(g.devices[zone])) {
			for _, prefix := range g.prefixes(n) {
				site, ok := siteOf(prefix, n)
				for _, id := range g.devices[zone][name] {
					if addr := ipaddr.Join(prefix, id); ok && !site.Contains(addr) {
						return g.at(fmt.Sprintf("devices[%q][%q]", dnsname.Display(zone), name), fmt.Errorf("host id %q: %s", id, notInSite(addr, site)))
					}
				}
			}
		}
	}
	return nil
}

// siteOf returns the prefix of this whole site, if that is known and less than
// what the host IDs are joined with. That of one link may be a part of it.
func siteOf(prefix netip.Prefix, n detect.Network) (netip.Prefix, bool) {
	for _, known := range n.Prefixes {
		if prefix.Bits() < known.Bits() && known.Bits() < ipaddr.DefaultPrefixLength && prefix.Contains(known.Addr()) {
			return known, true
		}
	}
	return netip.Prefix{}, false
}
