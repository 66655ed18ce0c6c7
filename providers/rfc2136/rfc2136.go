// Package rfc2136 is the DNS provider module for name servers that take
// dynamic updates, such as BIND, Knot DNS and PowerDNS.
package rfc2136

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/libdns"
	"github.com/libdns/rfc2136"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/internal/options"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider manages records with dynamic updates (RFC 2136) signed with TSIG
// (RFC 8945), both over TCP. It reads them by zone transfer (AXFR, RFC 5936),
// which the server must allow for the key. All options may hold placeholders.
type Provider struct {
	// The name of the TSIG key. Required.
	KeyName string `json:"key_name,omitempty"`

	// The algorithm of the TSIG key: `hmac-sha256`, `hmac-sha512`,
	// `hmac-sha384`, `hmac-sha224` or `hmac-sha1`. Required.
	KeyAlg string `json:"key_alg,omitempty"`

	// The secret of the TSIG key in base64. Required.
	Key string `json:"key,omitempty"`

	// The primary name server: a host name or address, with a port unless it
	// is 53. Required.
	Server string `json:"server,omitempty"`

	client rfc2136.Provider
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.rfc2136",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision resolves the placeholders of the options.
func (p *Provider) Provision(caddy.Context) error {
	return options.Resolve(p.options())
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	rfc2136 {
//		key_name <name>
//		key_alg  <algorithm>
//		key      <base64>
//		server   <host>[:<port>]
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return options.Parse(d, p.options())
}

// GetRecords lists the records of the zone.
func (p *Provider) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	recs, err := p.client.GetRecords(ctx, zone)
	return recs, explained(err)
}

// AppendRecords adds records to the zone.
func (p *Provider) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.AppendRecords(ctx, zone, recs)
	return recs, explained(err)
}

// SetRecords replaces the RRsets of recs in one update, which the server
// makes as a whole or not at all.
func (p *Provider) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.SetRecords(ctx, zone, recs)
	return recs, explained(err)
}

// DeleteRecords removes records from the zone.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.DeleteRecords(ctx, zone, recs)
	return recs, explained(err)
}

// explained says what the server means by a refusal, of which the libraries
// tell the code at most.
func explained(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dns.ErrAuth):
		return fmt.Errorf("%w: the server has no such key or another secret for it, does not serve the zone, or has another time", err)
	case strings.Contains(err.Error(), "bad xfr rcode: 5"):
		return fmt.Errorf("%w: the server refuses to transfer the zone with this key (in BIND: allow-transfer)", err)
	case strings.Contains(err.Error(), `"REFUSED"`):
		return fmt.Errorf("%w: the server refuses to let this key change that (in BIND: update-policy)", err)
	}
	return err
}

func (p *Provider) options() []options.Option {
	return []options.Option{
		{
			Name: "key_name", Value: &p.KeyName, Resolved: &p.client.KeyName, Normalize: normalizeKeyName,
			Required: "key_name <name>, the name of the server's TSIG key",
		},
		{
			Name: "key_alg", Value: &p.KeyAlg, Resolved: &p.client.KeyAlg, Normalize: normalizeKeyAlg,
			Required: "key_alg hmac-sha256, or the algorithm that the key was made for",
		},
		{
			Name: "key", Value: &p.Key, Resolved: &p.client.Key, Normalize: checkKey,
			Required: "key {env.TSIG_KEY}, or the secret itself in base64",
		},
		{
			Name: "server", Value: &p.Server, Resolved: &p.client.Server, Normalize: normalizeServer,
			Required: "server <host>[:<port>], the primary name server",
		},
	}
}

// normalizeKeyName makes the name lower case, for the library finds the key
// of a server's answer only so.
func normalizeKeyName(s string) (string, error) {
	if _, ok := dns.IsDomainName(s); !ok || strings.ContainsAny(s, " \t\r\n") {
		return "", errors.New("not a domain name; write the name of the key as the server's configuration has it")
	}
	return dns.CanonicalName(s), nil
}

var keyAlgs = []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"}

func normalizeKeyAlg(s string) (string, error) {
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if !slices.Contains(keyAlgs, s) {
		return "", fmt.Errorf("unsupported algorithm; write one of: %s", strings.Join(keyAlgs, ", "))
	}
	return s, nil
}

func checkKey(s string) (string, error) {
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return "", errors.New("not base64; write the secret of the key as tsig-keygen prints it")
	}
	return s, nil
}

func normalizeServer(s string) (string, error) {
	wrong := errors.New("write a host name or an address, with a port unless it is 53: 192.0.2.53, [2001:db8::53]:5353")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), "53"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", wrong
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if _, ok := dns.IsDomainName(host); !ok || host == "" || strings.ContainsAny(host, ":/[]@ \t\r\n") {
			return "", wrong
		}
	}
	return net.JoinHostPort(host, port), nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
	_ libdns.RecordGetter   = (*Provider)(nil)
	_ libdns.RecordSetter   = (*Provider)(nil)
)
