package upnp

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/soap"
)

const (
	gatewayTimeout = 2 * time.Second

	maxBody     = 64 << 10
	maxServices = 8
)

// serviceTypes are the services that tell the external address, in order
// of preference.
var serviceTypes = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

var (
	errNoGateway    = errors.New("no router with UPnP has answered")
	errNoExternalIP = errors.New("the router has no external address now: it is offline, or the router itself is behind NAT")
)

// igd is an Internet Gateway Device whose description has been read.
type igd struct {
	location *url.URL
	services []wanService
	client   *http.Client
}

// wanService is one WAN connection of a gateway.
type wanService struct {
	serviceType string
	control     *url.URL
}

// openGateway reads the device description at the location and asks the device
// for its address. One that has none right now is returned with
// errNoExternalIP.
func openGateway(ctx context.Context, location *url.URL, allowed func(netip.Addr) bool) (*igd, netip.Addr, error) {
	g := &igd{location: location, client: lanClient(allowed)}
	err := g.describe(ctx)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	ip, err := g.externalIP(ctx)
	if err != nil && !errors.Is(err, errNoExternalIP) {
		return nil, netip.Addr{}, err
	}
	return g, ip, err
}

// describe stands in for goupnp.DeviceByURLCtx, whose HTTP client is a global
// variable that follows redirects and reads bodies without end.
func (g *igd) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.location.String(), nil)
	if err != nil {
		return fmt.Errorf("reading the device description: %w", err)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("reading the device description: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading the device description at %s: HTTP status %d", g.location, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the device description at %s: %w", g.location, err)
	}
	g.services, err = parseDescription(body, g.location)
	if err != nil {
		return fmt.Errorf("the device description at %s: %w", g.location, err)
	}
	return nil
}

// externalIP asks the gateway's services until one has an address.
func (g *igd) externalIP(ctx context.Context) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	var (
		answered bool
		lastErr  error
	)
	for _, service := range g.services {
		ip, err := service.externalIP(ctx, g.client)
		if err == nil {
			return ip, nil
		}
		answered = answered || errors.Is(err, errNoExternalIP)
		lastErr = err
	}
	if answered {
		lastErr = errNoExternalIP
	}
	return netip.Addr{}, fmt.Errorf("asking the router at %s for its address: %w", g.location.Host, lastErr)
}

func (s wanService) externalIP(ctx context.Context, client *http.Client) (netip.Addr, error) {
	caller := soap.SOAPClient{EndpointURL: *s.control, HTTPClient: *client}
	var answer struct {
		IPs []string `xml:"NewExternalIPAddress"`
	}
	if err := caller.PerformActionCtx(ctx, s.serviceType, "GetExternalIPAddress", nil, &answer); err != nil {
		return netip.Addr{}, shortened(err)
	}
	if len(answer.IPs) != 1 {
		return netip.Addr{}, fmt.Errorf("the answer holds %d addresses instead of one", len(answer.IPs))
	}
	return parseExternalIP(answer.IPs[0])
}

func parseExternalIP(s string) (netip.Addr, error) {
	if s == "" || s == "0.0.0.0" {
		return netip.Addr{}, errNoExternalIP
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return netip.Addr{}, fmt.Errorf("%.64q is not an IPv4 address", s)
	}
	return ip, nil
}

// parseDescription returns the services of a device description that tell the
// external address. Their control URLs are at the host of the description.
func parseDescription(body []byte, location *url.URL) ([]wanService, error) {
	var root goupnp.RootDevice
	decoder := xml.NewDecoder(bytes.NewReader(body))
	decoder.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("invalid XML: %w", shortened(err))
	}
	base := location
	if u, err := url.Parse(root.URLBaseStr); err == nil && sameHost(u, location) {
		base = u
	}
	root.SetURLBase(base)

	var (
		services  []wanService
		elsewhere error
	)
	for _, serviceType := range serviceTypes {
		for _, s := range root.Device.FindService(serviceType) {
			control := s.ControlURL.URL
			if !s.ControlURL.Ok || !sameHost(&control, location) {
				elsewhere = fmt.Errorf("the control URL %.128q is not at the host of the description", s.ControlURL.Str)
				continue
			}
			services = append(services, wanService{serviceType, &control})
		}
	}
	switch {
	case len(services) == 0 && elsewhere != nil:
		return nil, elsewhere
	case len(services) == 0:
		return nil, errors.New("the device has no WANIPConnection or WANPPPConnection service")
	}
	return services[:min(len(services), maxServices)], nil
}

func sameHost(u, location *url.URL) bool {
	return u.Scheme == "http" && u.Opaque == "" && u.User == nil && u.Hostname() == location.Hostname()
}

// parseDeviceURL parses the URL of a device description. A host that is an
// address must be allowed; one that is a name is checked on connecting.
func parseDeviceURL(s string, allowed func(netip.Addr) bool) (*url.URL, error) {
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
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !allowed(ip) {
		return nil, fmt.Errorf("%s is not an address that a router has in the local network", ip)
	}
	return u, nil
}

// lanClient returns a client that connects to allowed addresses only, follows
// no redirects and reads a bounded amount.
func lanClient(allowed func(netip.Addr) bool) *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		addrPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !allowed(addrPort.Addr().Unmap()) {
			return fmt.Errorf("%s is not an address that the router may be asked at", addrPort.Addr())
		}
		return nil
	}}
	return &http.Client{
		Transport: boundedTransport{&http.Transport{
			DialContext:            dialer.DialContext,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
		}},
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			return fmt.Errorf("the router redirects to %.128q, which is not followed", req.URL)
		},
	}
}

// boundedTransport limits the bodies of responses.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// shortened cuts what a device may have put into the text of an error.
func shortened(err error) error { return fmt.Errorf("%.256s", err.Error()) }

// isLAN reports whether a router may have the address in a local network.
func isLAN(ip netip.Addr) bool { return ip.IsPrivate() || ip.IsLinkLocalUnicast() }

// isLocalOrLAN is for devices that were configured rather than found.
func isLocalOrLAN(ip netip.Addr) bool { return isLAN(ip) || ip.IsLoopback() }
