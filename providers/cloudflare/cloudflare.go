// Package cloudflare is the DNS provider module for Cloudflare.
package cloudflare

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/cloudflare"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/internal/options"
)

// requestTimeout bounds one request to the API, for the library asks without
// a timeout and while holding a lock.
const requestTimeout = 30 * time.Second

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider manages the records of zones at Cloudflare. It needs an API token,
// which the dashboard makes under "My Profile, API Tokens"; the Global API Key
// cannot be used. Placeholders such as `{env.CLOUDFLARE_API_TOKEN}` keep
// tokens out of the configuration.
//
// Records are updated in place, so that the proxy status, the comment and the
// tags of a record stay as they are.
type Provider struct {
	// A token with the permission Zone.DNS:Edit for the zones to manage, and
	// Zone.Zone:Read unless `zone_token` is given. Required.
	APIToken string `json:"api_token,omitempty"`

	// A token with the permission Zone.Zone:Read for all zones, which finds
	// the zones when `api_token` is only allowed to edit records.
	ZoneToken string `json:"zone_token,omitempty"`

	client cloudflare.Provider
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.cloudflare",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision resolves the placeholders of the tokens.
func (p *Provider) Provision(caddy.Context) error {
	p.client.HTTPClient = &client{http.Client{Timeout: requestTimeout}}
	return options.Resolve(p.options())
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	cloudflare [<api_token>] {
//		api_token  <token>
//		zone_token <token>
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	opts := p.options()
	if token := opts[0]; d.NextArg() {
		if err := token.Take(d.Val()); err != nil {
			return d.Errf("%s: %w", token.Name, err)
		}
	}
	return options.Parse(d, opts)
}

// GetRecords lists the records of the zone.
func (p *Provider) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	return p.client.GetRecords(ctx, zone)
}

// AppendRecords adds records to the zone. An address beside addresses that are
// all proxied is proxied too.
func (p *Provider) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return each(zone, recs, func(s *rrset) ([]libdns.Record, error) { return p.add(ctx, zone, s) })
}

// SetRecords makes each name and type in recs hold just the records in recs.
// What exists is updated in place as far as it goes, and what is added beside
// proxied records is proxied too. The library alone sets one value: of several
// the last one remains, and where several exist already it returns an error.
func (p *Provider) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return each(zone, recs, func(s *rrset) ([]libdns.Record, error) { return p.set(ctx, zone, s) })
}

// DeleteRecords removes records from the zone.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.client.DeleteRecords(ctx, zone, recs)
}

// ListZones lists the zones that the token may see, as far as they are on the
// first page of the API's answer.
func (p *Provider) ListZones(ctx context.Context) ([]libdns.Zone, error) {
	return p.client.ListZones(ctx)
}

func (p *Provider) options() []options.Option {
	return []options.Option{
		{
			Name: "api_token", Value: &p.APIToken, Resolved: &p.client.APIToken, Normalize: checkToken,
			Required: "cloudflare {env.CLOUDFLARE_API_TOKEN}",
		},
		{Name: "zone_token", Value: &p.ZoneToken, Resolved: &p.client.ZoneToken, Normalize: checkToken},
	}
}

var (
	// RFC 6750, section 2.1: what may follow "Bearer" at all.
	bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

	globalKey = regexp.MustCompile(`^([0-9a-f]{37}|cfk_.*)$`)

	variableName = regexp.MustCompile(`^[A-Z][A-Z0-9]*_[A-Z0-9_]*$`)
)

// checkToken refuses what is certainly no API token. Cloudflare has changed
// the length and the form of its tokens, so neither is looked at.
func checkToken(s string) (string, error) {
	switch {
	case strings.HasPrefix(strings.ToLower(s), "bearer"):
		return "", errors.New(`write the token alone, without "Bearer"`)
	case globalKey.MatchString(s):
		return "", errors.New("this is a Global API Key; make an API token with Zone.DNS:Edit and Zone.Zone:Read instead")
	case variableName.MatchString(s):
		return "", errors.New("this is the name of a variable; write {env.NAME} for the value of an environment variable")
	case !bearerToken.MatchString(s):
		return "", errors.New("no token has such characters; write it without braces, quotes and spaces")
	}
	return s, nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
	_ libdns.RecordGetter   = (*Provider)(nil)
	_ libdns.RecordSetter   = (*Provider)(nil)
	_ libdns.ZoneLister     = (*Provider)(nil)
)
