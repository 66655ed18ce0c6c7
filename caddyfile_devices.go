package dynamicdns

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

// deviceOption is a line of the option `devices`.
type deviceOption struct {
	zone, name caddyfile.Token
	ids        []caddyfile.Token
}

// parsePrefixLength parses the option `prefix_length`.
func parsePrefixLength(d *caddyfile.Dispenser) (int, error) {
	if !d.NextArg() {
		return 0, d.Err("prefix_length needs a number of bits, such as 64")
	}
	n, err := strconv.Atoi(d.Val())
	if err != nil {
		return 0, d.Errf("prefix_length %q is not a number; write one from 1 to 127, such as 64", d.Val())
	}
	if err := ipaddr.CheckPrefixLength(n); err != nil {
		return 0, d.WrapErr(fmt.Errorf("prefix_length %w", err))
	}
	return n, nil
}

// parseDevices parses the block of the option `devices`.
func parseDevices(d *caddyfile.Dispenser) ([]deviceOption, error) {
	const form = "a line with zone, name and host IDs for each machine"
	if d.NextArg() {
		return nil, d.Errf("unexpected argument %q: devices takes a block, with %s, as in `devices {\n\texample.com nas ::21b:21ff:fe3c:4d5e\n}`", d.Val(), form)
	}
	var devices []deviceOption
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := deviceOption{zone: d.Token()}
		if !d.NextArg() {
			return nil, d.Errf("the zone %q has no device after it; write %s, such as `%s nas ::21b:21ff:fe3c:4d5e`", o.zone.Text, form, o.zone.Text)
		}
		o.name = d.Token()
		for d.NextArg() {
			o.ids = append(o.ids, d.Token())
		}
		if _, err := ipaddr.ParseHostID(o.name.Text, 64); o.ids == nil && err == nil {
			return nil, errorAt(o.name, "the machine %s has no name; write one between the zone and the host ID, such as `example.com nas %[1]s`", o.name.Text)
		}
		if o.ids == nil {
			return nil, errorAt(o.name, "the device %q: %w", o.name.Text, errNoHostID)
		}
		if opensBlock(d) {
			return nil, d.Errf("the device %q takes no block; write its host IDs after it", o.name.Text)
		}
		devices = append(devices, o)
	}
	if devices == nil {
		return nil, d.Errf("devices needs a block, with %s, as in `devices {\n\texample.com nas ::21b:21ff:fe3c:4d5e\n}`", form)
	}
	return devices, nil
}

// devicesByZone returns the JSON form of `devices`, and where each is written,
// by the rest of its path.
func devicesByZone(options []deviceOption) (devices map[string]map[string][]string, written places.Map, err error) {
	if options == nil {
		return nil, nil, nil
	}
	devices = make(map[string]map[string][]string)
	written = make(places.Map)
	spelling := make(map[string]string)
	first := make(map[string]caddyfile.Token)
	for _, o := range options {
		canonical, err := canonicalZone(o.zone.Text)
		if err != nil {
			return nil, nil, errorAt(o.zone, "%w", err)
		}
		zone, ok := spelling[canonical]
		if !ok {
			zone = o.zone.Text
			spelling[canonical], devices[zone] = zone, make(map[string][]string)
			written[fmt.Sprintf("[%q]", zone)] = position(o.zone)
		}
		name, err := canonicalName(o.name.Text, canonical)
		if err != nil {
			return nil, nil, errorAt(o.name, "%w", err)
		}
		if token, again := first[name+" "+canonical]; again {
			return nil, nil, errorAt(o.name, "the device %q of the zone %q is listed already, at %s; write all its host IDs in one line", name, dnsname.Display(canonical), position(token))
		}
		first[name+" "+canonical] = o.name
		written[fmt.Sprintf("[%q][%q]", zone, o.name.Text)] = position(o.name)
		for _, id := range o.ids {
			devices[zone][o.name.Text] = append(devices[zone][o.name.Text], id.Text)
		}
	}
	return devices, written, nil
}

// checkDevices refuses host IDs that can be seen to be wrong before placeholders
// are replaced.
func checkDevices(devices []deviceOption, prefixLength int) error {
	for _, o := range devices {
		for _, id := range o.ids {
			if placeholders.In(id.Text) {
				continue
			}
			if _, err := ipaddr.ParseHostID(id.Text, prefixLength); err != nil {
				return errorAt(id, "%w", err)
			}
		}
	}
	return nil
}
