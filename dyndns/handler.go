// Package dyndns is a Caddy HTTP handler that takes updates of dynamic DNS
// from routers and other clients, in the DynDNS2 protocol, and has a DNS
// provider follow.
package dyndns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

const (
	defaultTTL          = time.Minute
	defaultPrefixLength = 64
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
	// `dynamic_dns` app, and for hosts in none of these the zones that are
	// found while Caddy runs: the longest that the provider lists, or else that
	// of the host's start of authority in DNS.
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

	// Whether the addresses of a host are taken away once no user has it any
	// more, which needs a provider that can delete records. Caddys that share
	// a storage should have the same users then. Default: the host stays in
	// DNS as it is.
	Withdraw bool `json:"withdraw,omitempty"`

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
	return h.app.serve(&served{
		provider: h.DNSProviderRaw, zones: h.Zones, ttl: time.Duration(h.TTL), withdraw: h.Withdraw, users: users, at: h.at,
	})
}

// makeRules makes what holds for all requests.
func (h *Handler) makeRules() (*request.Rules, error) {
	if h.PrefixLength == 0 {
		h.PrefixLength = defaultPrefixLength
	}
	if err := ipaddr.CheckPrefixLength(h.PrefixLength); err != nil {
		return nil, fmt.Errorf("prefix_length: %w", err)
	}
	include, err := ranges("include", h.Include)
	if err != nil {
		return nil, err
	}
	exclude, err := ranges("exclude", h.Exclude)
	if err != nil {
		return nil, err
	}
	filter, err := ipaddr.NewFilter(include, exclude)
	if err != nil {
		return nil, err
	}
	return &request.Rules{PrefixLength: h.PrefixLength, Filter: filter, AllowOffline: h.AllowOffline}, nil
}

// ranges resolves the placeholders of ranges.
func ranges(option string, written []string) ([]string, error) {
	resolved := make([]string, len(written))
	for i, s := range written {
		var err error
		if resolved[i], err = placeholders.Resolve(s); err != nil {
			return nil, fmt.Errorf("%s %q: %w", option, s, err)
		}
		if resolved[i] == conf.PrivateRanges {
			return nil, fmt.Errorf("%s %q: this word is for the Caddyfile: in JSON, write the ranges %q", option, s, conf.ExpandRanges([]string{conf.PrivateRanges}))
		}
	}
	return resolved, nil
}

// makeUsers looks through what is configured of the users.
func (h *Handler) makeUsers() ([]*auth.User, error) {
	h.devices = make(map[string][]ipaddr.HostID)
	users := make([]*auth.User, 0, len(h.Users))
	for i, written := range h.Users {
		if written == nil {
			return nil, fmt.Errorf("users[%d] is null; write an object with name, password and hosts", i)
		}
		u, err := h.makeUser(written)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", written.Name, err)
		}
		users = append(users, u)
	}
	return users, nil
}

func (h *Handler) makeUser(written *User) (*auth.User, error) {
	u := new(auth.User)
	var err error
	if u.Name, err = placeholders.Resolve(written.Name); err != nil {
		return nil, err
	}
	if written.Password != "" {
		hash, err := placeholders.Resolve(written.Password)
		if err != nil {
			// The error would repeat what may be a password in braces.
			return nil, errors.New("the password has a placeholder that is empty or unknown; write the hash, or the name of a variable that holds it, such as {env.HOME_HASH}")
		}
		if u.Hash, err = auth.ParseHash(hash); err != nil {
			return nil, err
		}
	}
	resolved := make([]string, len(written.Hosts), len(written.Hosts)+len(written.Devices))
	for i, host := range written.Hosts {
		if resolved[i], err = placeholders.Resolve(host); err != nil {
			return nil, fmt.Errorf("hosts: %q: %w", host, err)
		}
	}
	for _, raw := range slices.Sorted(maps.Keys(written.Devices)) {
		host, err := h.makeDevice(raw, written.Devices[raw])
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", raw, err)
		}
		resolved = append(resolved, host)
	}
	if len(resolved) == 0 {
		return nil, errors.New("there are no hosts that the user may update; write some, such as `hosts home.example.com`")
	}
	if u.Hosts, err = auth.ParseHosts(resolved); err != nil {
		return nil, err
	}
	from, err := ranges("from", written.From)
	if err != nil {
		return nil, err
	}
	for _, s := range from {
		prefix, err := ipaddr.ParseRange(s)
		if err != nil {
			return nil, fmt.Errorf("from: %w", err)
		}
		u.From = append(u.From, prefix)
	}
	return u, nil
}

// makeDevice returns the device's full name.
func (h *Handler) makeDevice(raw string, ids []string) (string, error) {
	resolved, err := placeholders.Resolve(raw)
	if err != nil {
		return "", err
	}
	host, err := dnsname.Host(resolved)
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", errors.New("there is no host ID; write the lower part of its IPv6 address, such as ::21b:21ff:fe3c:4d5e, or its MAC address")
	}
	var parsed []ipaddr.HostID
	for _, s := range ids {
		resolved, err := placeholders.Resolve(s)
		if err != nil {
			return "", err
		}
		id, err := ipaddr.ParseHostID(resolved, h.PrefixLength)
		if err != nil {
			return "", err
		}
		parsed = append(parsed, id)
	}
	if other, ok := h.devices[host]; ok && !slices.Equal(other, parsed) {
		return "", errors.New("another user has this device with other host IDs; write the same ones in both places")
	}
	h.devices[host] = parsed
	return host, nil
}

// at adds to an error about a host where it is written, or else where the handler
// is.
func (h *Handler) at(host string, err error) error {
	place := h.written[host]
	if place == "" {
		_, parent, _ := strings.Cut(host, ".")
		place = cmp.Or(h.written["*."+parent], h.written[""])
	}
	if place == "" {
		return err
	}
	return fmt.Errorf("%w, at %s", err, place)
}

var (
	_ caddy.Provisioner = (*Handler)(nil)
)
