package finder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/miekg/dns"
	"go.uber.org/zap"
	"golang.org/x/net/publicsuffix"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
)

// askTimeout is how long a name server may take to answer.
const askTimeout = 2 * time.Second

// SOA finds the zone of a host by its start of authority, as name servers show
// it: those of the system where none are given. It does not ask by CertMagic's
// FindZoneByFQDN, which takes a zone above it where a question was lost, and then
// remembers that for the refresh time of the zone. It returns when ctx ends.
func SOA(ctx context.Context, logger *zap.Logger, host string, servers []string) (zone string, err error) {
	type result struct {
		zone string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		// No zone begins with a wildcard.
		zone, err := climb(ctx, strings.TrimPrefix(host, "*.")+".", certmagic.RecursiveNameservers(servers))
		logger.Debug("asked name servers for a zone", zap.String("host", host), zap.String("zone", zone), zap.Error(err))
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

// climb returns the first name at or above a host that is a zone. All names below
// must be known not to be.
func climb(ctx context.Context, host string, servers []string) (string, error) {
	for off, end := 0, false; !end; off, end = dns.NextLabel(host, off) {
		name := host[off:]
		m, err := ask(ctx, name, servers)
		if err != nil {
			return "", fmt.Errorf("asking for the start of authority of %s: %w", dnsname.Display(name), err)
		}
		if begins(m, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("could not find the start of authority of %s", dnsname.Display(host))
}

// begins reports whether an answer says that a zone begins at the name. One that
// follows a CNAME is of another name.
func begins(m *dns.Msg, name string) (soa bool) {
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeCNAME {
			return false
		}
		soa = soa || rr.Header().Rrtype == dns.TypeSOA && dns.CanonicalName(rr.Header().Name) == name
	}
	return soa
}

// ask returns the first answer of a name server for the SOA record of a name.
// Each is asked twice, for a question may be lost.
func ask(ctx context.Context, name string, servers []string) (*dns.Msg, error) {
	err := errors.New("there are no name servers")
	for range 2 {
		for _, server := range servers {
			var m *dns.Msg
			q := new(dns.Msg).SetQuestion(name, dns.TypeSOA)
			m, _, err = (&dns.Client{Timeout: askTimeout}).ExchangeContext(ctx, q, server)
			if err == nil && m.Truncated {
				m, _, err = (&dns.Client{Net: "tcp", Timeout: askTimeout}).ExchangeContext(ctx, q, server)
			}
			switch {
			case err == nil && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError):
				return m, nil
			case err == nil:
				err = fmt.Errorf("%s answers %s", server, dns.RcodeToString[m.Rcode])
			case ctx.Err() != nil:
				return nil, err
			}
		}
	}
	return nil, err
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
