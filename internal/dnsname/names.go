// Package dnsname brings the names of zones, owners and hosts into canonical
// form. It is pure.
//
// A zone is its fully qualified name in lower-case ASCII with a trailing dot
// ("example.com."), which is what libdns asks for. A name is an owner name
// relative to its zone, in lower-case ASCII too: "@" for the zone itself,
// "www", "*", "*.sub".
package dnsname

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// The limits of RFC 1035, section 2.3.4, in octets. That of the whole name
// counts the length octet of every label, the root's included.
const (
	maxLabelLength = 63
	maxNameLength  = 255
)

// Owner names are wider than host names: underscores and hyphens may stand
// anywhere (RFC 2181, section 11). Of IDNA only the mapping is wanted, not
// its rules for host names.
var idnaProfile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
)

// Zone returns the canonical form of a zone's name.
func Zone(s string) (string, error) {
	if s == "" {
		return "", errors.New(`a zone is empty; write its domain name, such as "example.com"`)
	}
	if err := checkForm("zone", s, func(host string) string { return host }); err != nil {
		return "", err
	}
	if s == "@" || s == "." {
		return "", fmt.Errorf(`zone %q is no domain name; write the zone's name, such as "example.com"`, s)
	}
	if parent, ok := strings.CutPrefix(s, "*."); ok {
		return "", fmt.Errorf(`zone %q is a wildcard; write the zone %q and the name "*"`, s, parent)
	}
	ascii, err := toASCII("zone", strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	if strings.Contains(ascii, "*") {
		return "", fmt.Errorf(`zone %q has a wildcard; write the zone's name, and "*" among its names`, s)
	}
	zone := ascii + "."
	return zone, checkLength("zone", s, zone)
}

// Name returns the canonical form of a name that is written under
// the canonical zone. An empty name is the zone itself.
func Name(name, zone string) (string, error) {
	if name == "" || name == "@" {
		return "@", nil
	}
	relative := func(host string) string { return Relative(strings.ToLower(host), zone) }
	if err := checkForm("name", name, relative); err != nil {
		return "", err
	}
	ascii, err := toASCII("name", strings.TrimSuffix(name, "."))
	if err != nil {
		return "", err
	}
	if short := relative(ascii); short != ascii {
		return "", fmt.Errorf("name %q repeats its zone; names are relative to their zone: write %q", name, short)
	}
	if strings.HasSuffix(name, ".") {
		return "", fmt.Errorf("name %q ends with a dot, but is not in the zone %q; names are relative to their zone: write %q",
			name, strings.TrimSuffix(zone, "."), ascii)
	}
	return ascii, checkLength("name", name, ascii+"."+zone)
}

// Host returns the lower-case ASCII form of a host, wildcards
// included, without a trailing dot.
func Host(host string) (string, error) {
	if host == "" {
		return "", errors.New(`a host is empty; write its name, such as "www.example.com"`)
	}
	if err := checkForm("host", host, func(host string) string { return host }); err != nil {
		return "", err
	}
	ascii, err := toASCII("host", strings.TrimSuffix(host, "."))
	if err != nil {
		return "", err
	}
	return ascii, checkLength("host", host, ascii+".")
}

// Match finds the longest of the canonical zones in which a host in
// lower-case ASCII lies, and the host's name relative to it.
func Match(host string, zones []string) (zone, name string, ok bool) {
	fqdn := strings.TrimSuffix(host, ".") + "."
	for _, z := range zones {
		if len(z) > len(zone) && (fqdn == z || strings.HasSuffix(fqdn, "."+z)) {
			zone = z
		}
	}
	if zone == "" {
		return "", "", false
	}
	return zone, Relative(fqdn, zone), true
}

// Owner returns the canonical relative name for what a libdns provider
// gave as the name of a record in the canonical zone. What is absolute and
// not in the zone keeps its trailing dot, and so equals no name of ours.
func Owner(raw, zone string) string {
	name := strings.ToLower(raw)
	if ascii, err := idnaProfile.ToASCII(name); err == nil {
		name = ascii
	}
	// Route 53 writes the wildcard as an escape, in octal.
	if rest, ok := strings.CutPrefix(name, `\052`); ok && (rest == "" || rest[0] == '.') {
		name = "*" + rest
	}
	if name == "" {
		return "@"
	}
	if short := Relative(name, zone); short != strings.TrimSuffix(name, ".") {
		return short
	}
	return name
}

// Relative returns a host's name relative to the canonical zone, or the
// host without a trailing dot if it is not in the zone.
func Relative(host, zone string) string {
	host, apex := strings.TrimSuffix(host, "."), strings.TrimSuffix(zone, ".")
	if host == apex {
		return "@"
	}
	if name, ok := strings.CutSuffix(host, "."+apex); ok && name != "" {
		return name
	}
	return host
}

// checkForm refuses what is no domain name at all. What should be written
// instead comes from the host that is found in s.
func checkForm(kind, s string, instead func(host string) string) error {
	host := bareHost(s)
	_, notAddr := netip.ParseAddr(strings.TrimSuffix(host, "."))
	switch {
	case strings.ContainsAny(s, "{}"):
		return fmt.Errorf("%s %q has a placeholder that was not replaced; write placeholders as {env.NAME}", kind, s)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("%s %q has a space in it; write every %s as a word of its own", kind, s, kind)
	case strings.ContainsAny(s, ",;"):
		return fmt.Errorf("%s %q has a comma in it; write every %s as a word of its own", kind, s, kind)
	case notAddr == nil:
		return fmt.Errorf("%s %q is an IP address; write a domain name here, for addresses come from the IP sources", kind, s)
	case host == "":
		return nil
	case strings.Contains(s, "://"):
		return fmt.Errorf("%s %q is a URL; write %q", kind, s, instead(host))
	case strings.ContainsAny(s, "/?#"):
		return fmt.Errorf("%s %q has a path; write %q", kind, s, instead(host))
	case strings.Contains(s, ":"):
		return fmt.Errorf("%s %q has a port; write %q", kind, s, instead(host))
	}
	return nil
}

// bareHost strips from s whatever makes a URL of a host.
func bareHost(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return strings.Trim(s, "[]")
}

// toASCII maps a name to lower-case ASCII and checks each of its labels.
func toASCII(kind, s string) (string, error) {
	ascii, err := idnaProfile.ToASCII(s)
	if err == nil {
		// The mapping lets through some of what cannot be mapped back.
		_, err = idnaProfile.ToASCII(ascii)
	}
	if err != nil {
		return "", fmt.Errorf("%s %q is no valid international domain name: %w", kind, s, err)
	}
	labels := strings.Split(ascii, ".")
	for i, label := range labels {
		switch {
		case label == "":
			return "", fmt.Errorf("%s %q has an empty label: a dot at its start or end, or two in a row; write single dots between labels only", kind, s)
		case len(label) > maxLabelLength:
			return "", fmt.Errorf("%s %q has a label of %d octets; write labels of at most %d (RFC 1035, section 2.3.4)", kind, s, len(label), maxLabelLength)
		case strings.Contains(label, "*") && (i > 0 || label != "*"):
			return "", fmt.Errorf(`%s %q has its wildcard in the wrong place; write "*" as the whole leftmost label, as in "*" or "*.sub"`, kind, s)
		case label == "*":
			continue
		}
		if i := strings.IndexFunc(label, notInLabel); i >= 0 {
			return "", fmt.Errorf("%s %q has the character %q; write letters, digits, hyphens and underscores only", kind, s, []rune(label[i:])[0])
		}
	}
	return ascii, nil
}

func notInLabel(r rune) bool {
	return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z')
}

func checkLength(kind, s, fqdn string) error {
	if length := len(fqdn) + 1; length > maxNameLength {
		return fmt.Errorf("%s %q makes a domain name of %d octets; write names that have at most %d with their zone (RFC 1035, section 2.3.4)", kind, s, length, maxNameLength)
	}
	return nil
}

// Absolute returns the FQDN of a canonical name in a canonical zone.
func Absolute(name, zone string) string {
	if name == "@" {
		return zone
	}
	return name + "." + zone
}

// Display returns a zone as people write it, without the trailing dot.
func Display(zone string) string { return strings.TrimSuffix(zone, ".") }
