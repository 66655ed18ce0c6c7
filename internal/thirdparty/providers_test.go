package thirdparty

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin/route53"
)

func init() {
	for _, m := range []caddy.Module{Gandi{}, Porkbun{}, Namecheap{}, Desec{}, Hetzner{}, Duckdns{}} {
		caddy.RegisterModule(m)
	}
}

// The secret of every account. DuckDNS wants one of 36 characters.
const token = "5ec2e7a0-7070-4b1d-8a5e-c0ffee0ddba1"

// A party is a provider with its API, and what a client can make of it.
type party struct {
	name string
	zone string
	// The module's name and its other options.
	config map[string]string
	api    func(*testing.T, *account)

	// A name and type can have several values.
	several bool
	// The zone can have other names than "@".
	names bool
	// An address can be changed, and one of several be taken away, without
	// the name ever being without one.
	keepsNames bool
	// How often the code tries a request that fails, where that is not once.
	attempts int
}

var parties = []party{
	{
		name: "cloudflare", zone: "example.com.", config: map[string]string{"name": "cloudflare", "api_token": token}, api: serveCloudflare,
		several: true, names: true, keepsNames: true,
	},
	{
		name: "route53", zone: "example.com.", config: map[string]string{"name": "route53", "access_key_id": route53.AccessKeyID, "secret_access_key": token}, api: serveRoute53,
		several: true, names: true, keepsNames: true, attempts: 5,
	},
	{
		name: "gandi", zone: "example.com.", config: map[string]string{"name": "tp_gandi", "bearer_token": token}, api: serveGandi,
		several: true, names: true, keepsNames: true,
	},
	{
		name: "porkbun", zone: "example.com.", config: map[string]string{"name": "tp_porkbun", "api_key": "pk1", "api_secret_key": token}, api: servePorkbun,
		several: true, names: true,
	},
	{
		name: "namecheap", zone: "example.com.", config: map[string]string{"name": "tp_namecheap", "api_key": token, "user": "u", "client_ip": "192.0.2.100"}, api: serveNamecheap,
		several: true, names: true, keepsNames: true,
	},
	{
		name: "desec", zone: "example.com.", config: map[string]string{"name": "tp_desec", "token": token}, api: serveDesec,
		several: true, names: true, keepsNames: true,
	},
	{
		name: "hetzner", zone: "example.com.", config: map[string]string{"name": "tp_hetzner", "auth_api_token": token}, api: serveHetzner,
		several: true, names: true,
	},
	{
		name: "duckdns", zone: "home.duckdns.org.", config: map[string]string{"name": "tp_duckdns", "api_token": token}, api: serveDuckdns,
	},
}

// start serves the party's API, with an empty zone, until the test ends, and
// returns its account and the configuration of its module.
func (p party) start(t *testing.T) (*account, json.RawMessage) {
	t.Helper()
	a := &account{zone: p.zone[:len(p.zone)-1], token: token}
	p.api(t, a)
	config := maps.Clone(p.config)
	if p.name == "duckdns" {
		a.resolver = serveResolver(t, a)
		config["resolver"] = a.resolver.addr
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return a, raw
}

type provider interface {
	libdns.RecordGetter
	libdns.RecordSetter
	libdns.RecordAppender
	libdns.RecordDeleter
}

// load returns the provider that Caddy makes of a module's configuration.
func load(t *testing.T, config json.RawMessage) provider {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	var holder struct {
		Raw json.RawMessage `caddy:"namespace=dns.providers inline_key=name"`
	}
	holder.Raw = config
	module, err := ctx.LoadModule(&holder, "Raw")
	if err != nil {
		t.Fatal(err)
	}
	return module.(provider)
}
