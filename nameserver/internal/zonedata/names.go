package zonedata

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// ZoneName returns the canonical name of a zone.
func ZoneName(name string) (string, error) {
	canonical := dns.CanonicalName(name)
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if _, ok := dns.IsDomainName(canonical); !ok || canonical == "." || strings.ContainsFunc(canonical, odd) {
		return "", fmt.Errorf("%q is not the name of a zone", name)
	}
	return canonical, nil
}

// OwnerName returns the canonical name of a record. Names are relative to the
// zone unless they end with a dot.
func OwnerName(origin, name string) (string, error) {
	switch {
	case name == "" || name == "@":
		return origin, nil
	case !strings.HasSuffix(name, "."):
		name += "." + origin
	}
	canonical := dns.CanonicalName(name)
	var buf [maxName]byte
	n, err := dns.PackDomainName(canonical, buf[:], 0, nil, false)
	if err != nil {
		return "", errors.New("this is not a domain name")
	}
	if canonical, _, err = dns.UnpackDomainName(buf[:n], 0); err != nil {
		return "", err
	}
	canonical = dns.CanonicalName(canonical) // letters that were escaped are letters now
	if !dns.IsSubDomain(origin, canonical) {
		return "", fmt.Errorf("the name lies outside the zone")
	}
	return canonical, nil
}

// RelativeName returns a name of the zone without the zone's own, or "@".
func RelativeName(origin, name string) string {
	if name == origin {
		return "@"
	}
	return strings.TrimSuffix(name, "."+origin)
}

const maxName = 255 // octets of a name in a message (RFC 1035, section 2.3.4)

// wireName returns a canonical name as it is in messages.
func wireName(name string) (string, error) {
	var buf [maxName]byte
	n, err := dns.PackDomainName(name, buf[:], 0, nil, false)
	return string(buf[:n]), err
}

// maxLabels is how many labels a name can have.
const maxLabels = maxName / 2

// compareNames compares names in wire form and without their origin, in the
// canonical order of RFC 4034, section 6.1, which has the names below a name
// right after it.
func compareNames(a, b string) int {
	if a == b {
		return 0
	}
	var ao, bo [maxLabels + 1]uint8
	i, j := labelsOf(a, &ao), labelsOf(b, &bo)
	for i > 0 && j > 0 {
		i--
		j--
		la, lb := a[ao[i]:], b[bo[j]:]
		if c := cmp.Compare(la[1:1+la[0]], lb[1:1+lb[0]]); c != 0 {
			return c
		}
	}
	return cmp.Compare(i, j)
}

// labelsOf writes down where the labels of a name begin, and returns how many
// there are.
func labelsOf(name string, offsets *[maxLabels + 1]uint8) (n int) {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		offsets[n] = uint8(off)
		n++
	}
	return n
}
