// Package route53 is the DNS provider module for Amazon Route 53.
package route53

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	api "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/libdns"
	"github.com/libdns/route53"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/providers/internal/options"
)

// defaultTTL is for records that come without one, which the library would
// send as 0.
const defaultTTL = 5 * time.Minute

// defaultRetries is what the library attempts.
const defaultRetries = 5

// defaultRegion serves all of Route 53 except China and GovCloud.
const defaultRegion = "us-east-1"

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider manages the records of hosted zones at Amazon Route 53. All options
// may be left out: the credentials then come from where AWS tools look for
// them, which are environment variables, the shared configuration files and
// the role of the machine. Options that are strings may hold placeholders.
type Provider struct {
	// The AWS region. Default: that of the environment or the shared
	// configuration, or else `us-east-1`, which is right save for China and
	// GovCloud.
	Region string `json:"region,omitempty"`

	// The profile of the AWS shared configuration files. It must exist.
	// Default: the environment variable AWS_PROFILE.
	Profile string `json:"profile,omitempty"`

	// The access key, which goes with `secret_access_key`.
	AccessKeyID string `json:"access_key_id,omitempty"`

	// The secret of the access key.
	SecretAccessKey string `json:"secret_access_key,omitempty"`

	// The session token of temporary credentials, which goes with the access
	// key.
	SessionToken string `json:"session_token,omitempty"`

	// How often a request is attempted. Default: 5.
	MaxRetries int `json:"max_retries,omitempty"`

	// How long to wait for Route 53's own servers, if `wait_for_route53_sync`
	// is set. Default: 1m.
	Route53MaxWait caddy.Duration `json:"route53_max_wait,omitempty"`

	// Whether a change is only taken as made when all of Route 53's own
	// servers have it, which takes up to a minute. Default: false.
	WaitForRoute53Sync bool `json:"wait_for_route53_sync,omitempty"`

	// Whether `wait_for_route53_sync` leaves out the removal of records.
	// Default: true.
	SkipRoute53SyncOnDelete *bool `json:"skip_route53_sync_on_delete,omitempty"`

	// The ID of the hosted zone, for accounts that have several zones of one
	// name or may not list them. It then serves for every zone. Default: the
	// public hosted zone of the zone's name.
	HostedZoneID string `json:"hosted_zone_id,omitempty"`

	// Whether zone look-ups, changes and waits are logged, most of them at
	// debug level. Default: false.
	DebugLogging bool `json:"debug_logging,omitempty"`

	client route53.Provider
	// reader reads what the library does not show.
	reader *api.Client
}

// CaddyModule returns the Caddy module information.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.route53",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision resolves the placeholders and loads the AWS configuration.
func (p *Provider) Provision(ctx caddy.Context) error {
	if err := options.Resolve(p.options()); err != nil {
		return err
	}
	c := &p.client
	if (c.AccessKeyId == "") != (c.SecretAccessKey == "") {
		return errors.New("access_key_id and secret_access_key belong together; write both or neither")
	}
	if c.SessionToken != "" && c.AccessKeyId == "" {
		return errors.New("session_token belongs to an access key; write access_key_id and secret_access_key too")
	}
	if p.MaxRetries < 0 || p.Route53MaxWait < 0 {
		return errors.New("max_retries and route53_max_wait cannot be negative")
	}
	c.MaxRetries = p.MaxRetries
	c.Route53MaxWait = time.Duration(p.Route53MaxWait)
	c.WaitForRoute53Sync = p.WaitForRoute53Sync
	c.SkipRoute53SyncOnDelete = p.SkipRoute53SyncOnDelete == nil || *p.SkipRoute53SyncOnDelete
	if p.DebugLogging {
		c.Logger = ctx.Slogger()
	}
	return p.load(ctx)
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	route53 {
//		region                      <region>
//		profile                     <profile>
//		access_key_id               <id>
//		secret_access_key           <secret>
//		session_token               <token>
//		max_retries                 <number>
//		hosted_zone_id              <id>
//		wait_for_route53_sync       <bool>
//		route53_max_wait            <duration>
//		skip_route53_sync_on_delete <bool>
//		debug_logging               <bool>
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return options.Parse(d, p.options())
}

// AppendRecords adds records to the zone.
func (p *Provider) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.AppendRecords(ctx, fqdn(zone), sendable(recs))
	return readable(recs), err
}

// SetRecords replaces the RRsets of recs, each with a request of its own.
func (p *Provider) SetRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.SetRecords(ctx, fqdn(zone), sendable(recs))
	return readable(recs), err
}

// DeleteRecords removes records from the zone.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	recs, err := p.client.DeleteRecords(ctx, fqdn(zone), sendable(recs))
	return readable(recs), err
}

// load makes the client that reads, and has the library make its own now, which
// it would do at its first use, whenever that is, and end the process if the AWS
// configuration cannot be loaded then.
func (p *Provider) load(ctx context.Context) error {
	c := &p.client
	var opts []func(*config.LoadOptions) error
	if c.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Region != "" {
		opts = append(opts, config.WithRegion(c.Region))
	}
	loaded, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		c.Region, loaded.Region = defaultRegion, defaultRegion
	}
	p.reader = api.NewFromConfig(loaded, func(o *api.Options) {
		o.RetryMaxAttempts = cmp.Or(c.MaxRetries, defaultRetries)
		if c.AccessKeyId != "" {
			key := aws.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil })
		}
	})

	id := c.HostedZoneID
	defer func() { c.HostedZoneID = id }()
	c.HostedZoneID = "none" // so that no zone is looked up
	_, err = c.SetRecords(ctx, "", nil)
	return err
}

func (p *Provider) options() []options.Option {
	c := &p.client
	return []options.Option{
		{Name: "region", Value: &p.Region, Resolved: &c.Region},
		{Name: "profile", Aliases: []string{"aws_profile"}, Value: &p.Profile, Resolved: &c.Profile},
		{Name: "access_key_id", Value: &p.AccessKeyID, Resolved: &c.AccessKeyId},
		{Name: "secret_access_key", Value: &p.SecretAccessKey, Resolved: &c.SecretAccessKey},
		{Name: "session_token", Aliases: []string{"token"}, Value: &p.SessionToken, Resolved: &c.SessionToken},
		{Name: "max_retries", Set: p.setMaxRetries},
		{Name: "hosted_zone_id", Value: &p.HostedZoneID, Resolved: &c.HostedZoneID, Normalize: normalizeZoneID},
		{Name: "wait_for_route53_sync", Aliases: []string{"wait_for_propagation"}, Set: setBool(&p.WaitForRoute53Sync)},
		{Name: "route53_max_wait", Aliases: []string{"max_wait_dur"}, Set: p.setMaxWait},
		{Name: "skip_route53_sync_on_delete", Set: func(s string) error {
			p.SkipRoute53SyncOnDelete = new(bool)
			return setBool(p.SkipRoute53SyncOnDelete)(s)
		}},
		{Name: "debug_logging", Set: setBool(&p.DebugLogging)},
	}
}

func (p *Provider) setMaxRetries(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return errors.New("write a whole number of at least 1")
	}
	p.MaxRetries = n
	return nil
}

// setMaxWait takes a number without a unit as seconds, as people wrote it
// when the option was called max_wait_dur.
func (p *Provider) setMaxWait(s string) error {
	if _, err := strconv.Atoi(s); err == nil {
		s += "s"
	}
	wait, err := caddy.ParseDuration(s)
	if err != nil || wait <= 0 {
		return errors.New("write a duration above zero, such as 2m")
	}
	p.Route53MaxWait = caddy.Duration(wait)
	return nil
}

func setBool(dst *bool) func(string) error {
	return func(s string) (err error) {
		if *dst, err = strconv.ParseBool(s); err != nil {
			return errors.New("write true or false")
		}
		return nil
	}
}

func normalizeZoneID(s string) (string, error) {
	s = strings.TrimPrefix(s, "/hostedzone/")
	if s == "" || strings.ContainsAny(s, "/. ") {
		return "", errors.New("not the ID of a hosted zone; write it as the Route 53 console shows it, such as Z0123456789ABC")
	}
	return s, nil
}

func fqdn(zone string) string {
	return strings.TrimSuffix(zone, ".") + "."
}

// sendable gives records a TTL, and the name of a wildcard the form in which
// Route 53 returns it, since the library compares the two as they are.
func sendable(recs []libdns.Record) []libdns.Record {
	return convert(recs, func(rr *libdns.RR) {
		if rr.TTL < time.Second {
			rr.TTL = defaultTTL
		}
		if rest, ok := strings.CutPrefix(rr.Name, "*"); ok {
			rr.Name = `\052` + rest
		}
	})
}

func readable(recs []libdns.Record) []libdns.Record {
	return convert(recs, func(rr *libdns.RR) {
		if rest, ok := strings.CutPrefix(rr.Name, `\052`); ok {
			rr.Name = "*" + rest
		}
	})
}

func convert(recs []libdns.Record, edit func(*libdns.RR)) []libdns.Record {
	out := make([]libdns.Record, len(recs))
	for i, rec := range recs {
		before := rec.RR()
		after := before
		edit(&after)
		out[i] = rec
		if after == before {
			continue
		}
		out[i] = after
		if parsed, err := after.Parse(); err == nil {
			out[i] = parsed
		}
	}
	return out
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
