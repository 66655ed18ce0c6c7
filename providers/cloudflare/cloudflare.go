// Package cloudflare is the DNS provider module for Cloudflare.
package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/cloudflare"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/internal/options"
)

// requestTimeout bounds one request to the API, for the library asks without
// a timeout and while holding a lock.
const requestTimeout = 30 * time.Second

// maxComment is what Cloudflare takes in its largest plans.
const maxComment = 500

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider manages the records of zones at Cloudflare. It needs an API token,
// which the dashboard makes under "My Profile, API Tokens"; the Global API Key
// cannot be used. Placeholders such as `{env.CLOUDFLARE_API_TOKEN}` keep
// tokens out of the configuration.
//
// Records are updated in place, so that the proxy status, the comment and the
// tags of a record stay as they are. `proxied`, `comment` and `tags` are for A
// and AAAA records that are created; names that want others go into another
// block with the same token. Where Cloudflare asks to wait, by status 429, no
// request with the token is sent until that time is over.
type Provider struct {
	// A token with the permission Zone.DNS:Edit for the zones to manage, and
	// Zone.Zone:Read unless `zone_token` is given. Required.
	APIToken string `json:"api_token,omitempty"`

	// A token with the permission Zone.Zone:Read for all zones, which finds
	// the zones when `api_token` is only allowed to edit records.
	ZoneToken string `json:"zone_token,omitempty"`

	// Whether records are created proxied, so that Cloudflare's addresses are
	// shown in place of this machine's. A record beside others of its name and
	// type that are all proxied always is, for it would show where they lead
	// to. Default: false.
	Proxied bool `json:"proxied,omitempty"`

	// The comment that records are created with. Cloudflare allows 100
	// characters, and 500 in paid plans.
	Comment string `json:"comment,omitempty"`

	// The tags that records are created with, each as `name` or `name:value`.
	// Cloudflare allows none in its free plan.
	Tags []string `json:"tags,omitempty"`

	client   cloudflare.Provider
	requests client
	limitKey string
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.cloudflare",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision resolves the placeholders.
func (p *Provider) Provision(caddy.Context) error {
	if err := options.Resolve(p.options()); err != nil {
		return err
	}
	var err error
	if p.limitKey, p.requests.limit, err = holdLimit(p.client.APIToken); err != nil {
		return err
	}
	p.requests.http.Timeout = requestTimeout
	p.requests.created.proxied = p.Proxied
	p.client.HTTPClient = &p.requests
	return nil
}

// Cleanup releases what all providers with the token share.
func (p *Provider) Cleanup() error {
	if p.limitKey != "" {
		releaseLimit(p.limitKey)
		p.limitKey = ""
	}
	return nil
}

// Account tells that providers with one token are one account, whatever they
// create records with.
func (p *Provider) Account() string { return p.client.APIToken }

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	cloudflare [<api_token>] {
//		api_token  <token>
//		zone_token <token>
//		proxied    on|off
//		comment    <text>
//		tags       <tags...>
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
	return p.client.GetRecords(patient(ctx), zone)
}

// AppendRecords adds records to the zone. An address beside addresses that are
// all proxied is proxied too.
func (p *Provider) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	ctx = patient(ctx)
	return each(zone, recs, func(s *rrset) ([]libdns.Record, error) { return p.add(ctx, zone, s) })
}

// SetRecords makes each name and type in recs hold just the records in recs.
// What exists is updated in place as far as it goes, and what is added beside
// proxied records is proxied too. The library alone sets one value: of several
// the last one remains, and where several exist already it returns an error.
func (p *Provider) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	ctx = patient(ctx)
	return each(zone, recs, func(s *rrset) ([]libdns.Record, error) { return p.set(ctx, zone, s) })
}

// DeleteRecords removes records from the zone.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.client.DeleteRecords(patient(ctx), zone, recs)
}

// ListZones lists the zones that the token may see, which is `zone_token` where
// there is one. The library alone reads one page.
func (p *Provider) ListZones(ctx context.Context) ([]libdns.Zone, error) {
	ctx = patient(ctx)
	var all []libdns.Zone
	for page := 1; ; page++ {
		d := &details{page: page, token: p.client.ZoneToken}
		zones, err := p.client.ListZones(with(ctx, d))
		if err != nil {
			return nil, err
		}
		all = append(all, zones...)
		if len(zones) == 0 || page >= d.pages {
			return all, nil
		}
	}
}

func (p *Provider) options() []options.Option {
	return []options.Option{
		{
			Name: "api_token", Value: &p.APIToken, Resolved: &p.client.APIToken, Normalize: checkToken,
			Required: "cloudflare {env.CLOUDFLARE_API_TOKEN}",
		},
		{Name: "zone_token", Value: &p.ZoneToken, Resolved: &p.client.ZoneToken, Normalize: checkToken},
		{Name: "proxied", Set: p.setProxied},
		{Name: "comment", Value: &p.Comment, Resolved: &p.requests.created.comment, Normalize: checkComment},
		{Name: "tags", Values: &p.Tags, ResolvedValues: &p.requests.created.tags, Normalize: checkTag},
	}
}

func (p *Provider) setProxied(s string) error {
	if s != "on" && s != "off" {
		return errors.New("write on or off")
	}
	p.Proxied = s == "on"
	return nil
}

func checkComment(s string) (string, error) {
	if utf8.RuneCountInString(s) > maxComment {
		return "", fmt.Errorf("the text is too long; write %d characters or less", maxComment)
	}
	return s, nil
}

func checkTag(s string) (string, error) {
	if !tag.MatchString(s) {
		return "", errors.New("this is no tag; write tags one after the other with spaces between them, each as name or name:value, where a name is of letters, digits, - and _")
	}
	return s, nil
}

var (
	// RFC 6750, section 2.1: what may follow "Bearer" at all.
	bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

	globalKey = regexp.MustCompile(`^([0-9a-f]{37}|cfk_.*)$`)

	tag = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}(:[^,]{0,100})?$`)

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
	_ caddy.CleanerUpper    = (*Provider)(nil)
	_ caddy.Provisioner     = (*Provider)(nil)
	_ caddyfile.Unmarshaler = (*Provider)(nil)
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
	_ libdns.RecordGetter   = (*Provider)(nil)
	_ libdns.RecordSetter   = (*Provider)(nil)
	_ libdns.ZoneLister     = (*Provider)(nil)
)
