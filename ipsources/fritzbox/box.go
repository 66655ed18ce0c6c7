package fritzbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/igd"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	defaultHost = "fritz.box"
	port        = 49000
	controlPath = "/igdupnp/control/WANIPConn1"
	serviceType = "urn:schemas-upnp-org:service:WANIPConnection:1"

	timeout = 3 * time.Second
)

// box is a FRITZ!Box.
type box struct {
	host string
	// addr is the address that was written instead of a name.
	addr netip.Addr

	// These are others in tests.
	port   uint16
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// near reports whether a name may lead to the address. `.box` is a domain
	// of the internet, in which the name is somebody's.
	near func(netip.Addr) bool
}

func newBox(host string) (*box, error) {
	if host == "" {
		host = defaultHost
	}
	addr, err := hostOf(host)
	return &box{
		host: host, addr: addr, port: port, near: netmon.OnLink,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}, err
}

// ask puts a question to the box.
func (b *box) ask(ctx context.Context, question func(ctx context.Context, client *http.Client, control *url.URL) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addr, err := b.find(ctx)
	if err != nil {
		return fmt.Errorf("looking for the FRITZ!Box: %w", err)
	}
	control := &url.URL{Scheme: "http", Host: netip.AddrPortFrom(addr, b.port).String(), Path: controlPath}
	err = question(ctx, igd.Client(func(to netip.Addr) bool { return to == addr }), control)
	switch {
	case errors.Is(err, igd.ErrNoAddress):
		return fmt.Errorf("asking the FRITZ!Box at %s: %w", addr, err)
	case err != nil:
		return fmt.Errorf("asking the FRITZ!Box at %s: %w; see that it has \"Transmit status information over UPnP\" on, under Home Network > Network > Network Settings", addr, err)
	}
	return nil
}

// call calls an action of the box.
func (b *box) call(ctx context.Context, action string) (values map[string]string, err error) {
	err = b.ask(ctx, func(ctx context.Context, client *http.Client, control *url.URL) error {
		values, err = igd.Call(ctx, client, control, serviceType, action)
		return err
	})
	return values, err
}

// find returns the box's address.
func (b *box) find(ctx context.Context) (netip.Addr, error) {
	if b.addr.IsValid() {
		return b.addr, nil
	}
	addrs, err := b.lookup(ctx, b.host)
	if err != nil {
		return netip.Addr{}, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare) // IPv4 first
	if i := slices.IndexFunc(addrs, b.near); i >= 0 {
		return addrs[i], nil
	}
	return netip.Addr{}, fmt.Errorf("%s leads to %s, which is not in a network that this machine is directly connected to; write the box's private address, like fritzbox 192.168.178.1", b.host, join(addrs))
}

func join(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "no address"
	}
	var texts []string
	for _, addr := range addrs[:min(len(addrs), 4)] {
		texts = append(texts, addr.String())
	}
	return strings.Join(texts, " and ")
}

func (b *box) ipv4(ctx context.Context) (addr netip.Addr, err error) {
	err = b.ask(ctx, func(ctx context.Context, client *http.Client, control *url.URL) error {
		addr, err = igd.ExternalIPv4(ctx, client, control, serviceType)
		return err
	})
	return addr, err
}

var (
	errNoIPv6   = &ipsources.NoFamilyError{Err: errors.New("the FRITZ!Box has no IPv6 address now")}
	errNoPrefix = &ipsources.NoFamilyError{Err: errors.New("the FRITZ!Box has no IPv6 prefix now: the internet provider has delegated none, or IPv6 is off")}
)

func (b *box) ipv6(ctx context.Context) (netip.Addr, error) {
	values, err := b.call(ctx, "X_AVM_DE_GetExternalIPv6Address")
	if err != nil {
		return netip.Addr{}, err
	}
	return parseIPv6(values)
}

// parseIPv6 reads the answer to X_AVM_DE_GetExternalIPv6Address. Without IPv6 it
// has an empty address.
func parseIPv6(values map[string]string) (netip.Addr, error) {
	text, ok := values["NewExternalIPv6Address"]
	if !ok {
		return netip.Addr{}, errors.New("the FRITZ!Box's answer has no NewExternalIPv6Address")
	}
	if text == "" || text == "::" || !preferred(values) {
		return netip.Addr{}, errNoIPv6
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("the FRITZ!Box's answer %.64q is not an IPv6 address", text)
	}
	return addr, nil
}

func (b *box) prefix(ctx context.Context) (netip.Prefix, error) {
	values, err := b.call(ctx, "X_AVM_DE_GetIPv6Prefix")
	if err != nil {
		return netip.Prefix{}, err
	}
	return parsePrefix(values)
}

// parsePrefix reads the answer to X_AVM_DE_GetIPv6Prefix. Some boxes write the
// length behind the prefix, some only beside it. Without IPv6 the prefix is
// empty.
func parsePrefix(values map[string]string) (netip.Prefix, error) {
	text, ok := values["NewIPv6Prefix"]
	if !ok {
		return netip.Prefix{}, errors.New("the FRITZ!Box's answer has no NewIPv6Prefix")
	}
	start, behind, has := strings.Cut(text, "/")
	if start == "" || start == "::" || !preferred(values) {
		return netip.Prefix{}, errNoPrefix
	}
	length := values["NewPrefixLength"]
	switch {
	case length == "" || length == "0":
		length = behind
	case has && length != behind:
		return netip.Prefix{}, fmt.Errorf("the FRITZ!Box's answer has the prefix %.64q and the length %.8q", text, length)
	}
	if length == "" && !has {
		// A link's prefix is at least as long as the one of the whole site.
		length = strconv.Itoa(ipaddr.DefaultPrefixLength)
	}
	prefix, err := netip.ParsePrefix(start + "/" + length)
	if err != nil || !prefix.Addr().Is6() || prefix.Addr().Is4In6() || ipaddr.CheckPrefixLength(prefix.Bits()) != nil {
		return netip.Prefix{}, fmt.Errorf("the FRITZ!Box's answer %.64q, with the length %.8q, is not an IPv6 prefix", text, length)
	}
	return prefix.Masked(), nil
}

// preferred reports whether the lifetimes of an answer say that what it tells is
// in use. One that is deprecated (RFC 4862) has none left.
func preferred(values map[string]string) bool {
	for _, name := range []string{"NewValidLifetime", "NewPreferedLifetime"} {
		if values[name] == "0" {
			return false
		}
	}
	return true
}
