package finder

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"golang.org/x/net/publicsuffix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

// SOA finds the zone of a host by its start of authority, as name servers show
// it: those of the system where none are given. What CertMagic remembers of an
// earlier question, also one for a certificate, counts for the refresh time of
// the zone. It returns when ctx ends, although CertMagic may not.
func SOA(ctx context.Context, logger *zap.Logger, host string, servers []string) (zone string, err error) {
	type result struct {
		zone string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		// No zone begins with a wildcard.
		zone, err := certmagic.FindZoneByFQDN(ctx, logger, strings.TrimPrefix(host, "*.")+".", certmagic.RecursiveNameservers(servers))
		results <- result{zone, err}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return "", r.err
		}
		return plausible(host, r.zone)
	case <-ctx.Done():
		return "", fmt.Errorf("the name servers did not answer in time: %w", ctx.Err())
	}
}

// plausible refuses what can be no zone of a host. Where a name server does not
// answer for a zone, what is found may be a zone above it.
func plausible(host, raw string) (string, error) {
	zone, err := dnsname.Zone(raw)
	if err != nil {
		return "", fmt.Errorf("there is no zone below the root: %w", err)
	}
	if _, _, ok := dnsname.Match(host, []string{zone}); !ok {
		return "", fmt.Errorf("name servers say that it is in %s", dnsname.Display(zone))
	}
	if suffix, icann := publicsuffix.PublicSuffix(dnsname.Display(zone)); icann && suffix == dnsname.Display(zone) {
		return "", fmt.Errorf("name servers know no zone of it below %s", suffix)
	}
	return zone, nil
}

// numbers are what differs between errors that are the same: ports, times, and
// the IDs of requests.
var numbers = regexp.MustCompile(`[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*`)

// withoutNumbers makes errors comparable.
func withoutNumbers(s string) string { return numbers.ReplaceAllString(s, "") }
