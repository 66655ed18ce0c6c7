package dyndns

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/auth"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/request"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/dnsname"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
)

const (
	defaultTTL          = time.Minute
	defaultPrefixLength = 64
)

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
