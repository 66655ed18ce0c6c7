// Package dyndns is a Caddy HTTP handler that takes updates of dynamic DNS
// from routers and other clients, in the DynDNS2 protocol, and has a DNS
// provider follow.
package dyndns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/reply"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler answers every request as an update of dynamic DNS, whatever its
// path; only `/checkip` answers the address of the client. Requests are GET,
// POST or PUT, in the DynDNS2 protocol with its common extensions.
//
// An update is stored in Caddy's storage, and answered with success once the
// provider has shown it when it was read back. What fails is tried again
// without the client, and what others change in DNS is repaired.
type Handler struct {
	// The DNS provider that holds the zones: a `dns.providers.*` module that
	// can set records, or append and delete them. Default: that of the
	// `dynamic_dns` app, then that of the `tls` app (the global option `dns`).
	DNSProviderRaw json.RawMessage `json:"dns_provider,omitempty" caddy:"namespace=dns.providers inline_key=name"`

	// The zones that the hosts of the users are in. Default: those of the
	// `dynamic_dns` app.
	Zones []string `json:"zones,omitempty"`

	// Who may update what. At least one.
	Users []*User `json:"users,omitempty"`

	// The TTL of the records. Default: 1m. Minimum: 1s.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// CIDR ranges of the only addresses that are taken. They may name
	// special-purpose ranges (RFC 6890), such as private ones, which are
	// refused otherwise. Placeholders are resolved.
	Include []string `json:"include,omitempty"`

	// CIDR ranges of addresses that are refused. Where an address is in ranges
	// of both lists, the more specific range decides, and `exclude` on a tie.
	Exclude []string `json:"exclude,omitempty"`

	// How much of the IPv6 address that is sent for a device is the prefix of
	// its network, where no prefix is sent. Default: 64.
	PrefixLength int `json:"prefix_length,omitempty"`

	// Whether user and password may also be parameters of the request, for
	// clients that cannot send them otherwise. Requests with a password in
	// the query are kept out of the access log, here or not.
	QueryAuth bool `json:"query_auth,omitempty"`

	// Whether `offline=YES` takes all addresses of a host away.
	AllowOffline bool `json:"allow_offline,omitempty"`

	app    *App
	logger *zap.Logger
	users  *auth.Users
	rules  *request.Rules
	// devices are the host IDs of devices, by full name.
	devices map[string][]ipaddr.HostID
	// written is where the hosts are written, by full name.
	written places.Map
}

// User is somebody who may update hosts.
type User struct {
	// The name to log in with. Placeholders are resolved.
	Name string `json:"name"`

	// The hash of the password: bcrypt or argon2id as `caddy hash-password`
	// prints it, or `sha256:` and the SHA-256 of a token in hexadecimal, as
	// `caddy dynamic-dns token` prints it. Without it, the user is one whom an
	// authentication handler before this one has let in under that name.
	// Placeholders are resolved.
	Password string `json:"password,omitempty"`

	// Full names of the hosts that the user may update. `*.x` stands for any
	// one label below x; a wildcard record is written with quotes that are
	// part of the string: `"*.x"`. Placeholders are resolved.
	Hosts []string `json:"hosts,omitempty"`

	// Hosts that are devices behind the user's router, by full name, each with
	// its host IDs: the lower part of its IPv6 address, such as
	// `::21b:21ff:fe3c:4d5e`, or its MAC address. Their IPv6 addresses are
	// made of these and the prefix that is sent.
	Devices map[string][]string `json:"devices,omitempty"`

	// CIDR ranges of the only addresses that the user may come from.
	From []string `json:"from,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.dyndns",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision loads the provider, and checks all that can be checked without a
// network.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if value, err := json.Marshal(h); err == nil {
		h.written = places.Recall(value)
	}
	app, err := ctx.App(appName)
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if h.TTL == 0 {
		h.TTL = caddy.Duration(defaultTTL)
	}
	if ttl := time.Duration(h.TTL); ttl < time.Second {
		return fmt.Errorf("ttl %s is too short; write 1s or more", ttl)
	}
	if h.rules, err = h.makeRules(); err != nil {
		return err
	}
	users, err := h.makeUsers()
	if err != nil {
		return err
	}
	if h.users, err = auth.NewUsers(users); err != nil {
		return err
	}
	return h.app.serve(h, users)
}

// ServeHTTP answers an update. Whatever comes is answered here: it never calls
// the next handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	began := time.Now()
	u := &update{handler: h, agent: agentOf(r.UserAgent())}
	lines, err := u.serve(r)
	var refused *reply.Error
	if err != nil && !errors.As(err, &refused) {
		// What is no answer of the protocol must not look like success.
		refused = reply.Refuse(http.StatusServiceUnavailable, reply.Trouble, "%v", err)
	}
	switch {
	case refused != nil:
		refused.Write(w)
	case u.address.IsValid():
		reply.Address(w, u.address)
		return nil
	default:
		reply.Success(w, lines)
	}
	u.note(r, lines, refused, time.Since(began))
	return nil
}

// clientOf returns the address that the request came from, as Caddy knows it.
// It is invalid where a trusted proxy names no client.
func clientOf(r *http.Request) netip.Addr {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Addr{}
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); trusted && err == nil && remote.Addr().Unmap() == addr.Unmap() {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
