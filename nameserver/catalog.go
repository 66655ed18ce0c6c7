package nameserver

import "github.com/miekg/dns"

// catalog is the zones that are served, by canonical name. A zone without a
// snapshot is one that could not be loaded.
type catalog map[string]*zone

// closest returns the zone that a name lies in. The DS record of a zone is
// its parent's (RFC 4035, section 3.1.4.1).
func (c catalog) closest(name string, qtype uint16) *zone {
	var own *zone
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if z := c[name[off:]]; z != nil {
			if off > 0 || qtype != dns.TypeDS {
				return z
			}
			own = z
		}
	}
	return own
}

// wireCatalog is the zones that are served, by name in wire form.
type wireCatalog map[string]*zone

func newWireCatalog(zones catalog) wireCatalog {
	out := make(wireCatalog, len(zones))
	for name, z := range zones {
		var buf [255]byte
		if n, err := dns.PackDomainName(name, buf[:], 0, nil, false); err == nil {
			out[string(buf[:n])] = z
		}
	}
	return out
}

// closest returns the zone that a name lies in, and where in the name that
// zone's begins.
func (c wireCatalog) closest(name []byte) (*zone, int) {
	for off := 0; off < len(name); off += 1 + int(name[off]) {
		if z := c[string(name[off:])]; z != nil {
			return z, off
		}
	}
	return nil, 0
}
