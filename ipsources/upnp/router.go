package upnp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
)

// answerTimeout bounds each question to a router.
const answerTimeout = 2 * time.Second

// foundRouter is one that has answered.
type foundRouter struct {
	igd.Device
	location *url.URL
	// gateway is the default gateway that it was, when it was found.
	gateway netip.Addr
	client  *http.Client
}

// open reads the description of a router. Only allowed addresses are asked.
func open(ctx context.Context, location *url.URL, allowed func(netip.Addr) bool) (*foundRouter, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r := &foundRouter{location: location, client: igd.Client(allowed)}
	var err error
	r.Device, err = igd.Describe(ctx, r.client, location)
	if err != nil {
		return nil, fmt.Errorf("reading the device description at %s: %w", location, err)
	}
	return r, nil
}

// externalIP asks the router's services until one has an address.
func (r *foundRouter) externalIP(ctx context.Context) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var (
		answered bool
		lastErr  error
	)
	for _, s := range r.Services {
		ip, err := igd.ExternalIPv4(ctx, r.client, s.Control, s.Type)
		if err == nil {
			return ip, nil
		}
		answered = answered || errors.Is(err, igd.ErrNoAddress)
		lastErr = err
	}
	if answered {
		lastErr = igd.ErrNoAddress
	}
	return netip.Addr{}, fmt.Errorf("asking the router at %s for its address: %w", r.location.Host, lastErr)
}

// events returns where the router's events are subscribed to, or nil.
func (r *foundRouter) events() *url.URL {
	for _, s := range r.Services {
		if s.Events != nil {
			return s.Events
		}
	}
	return nil
}

// parseDeviceURL parses the URL of a device description. Whether it leads into
// a network that this machine is connected to is seen when it is asked.
func parseDeviceURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not an http URL; write it like http://192.168.1.1:5000/rootDesc.xml", s)
	case u.User != nil:
		return nil, errors.New("a user name or password in it is not used; leave it out")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()) {
		return nil, fmt.Errorf("%s is not an address that a router has in the local network; write it like http://192.168.1.1:5000/rootDesc.xml", ip)
	}
	return u, nil
}
