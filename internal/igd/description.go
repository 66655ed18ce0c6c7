package igd

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxServices bounds how many services of a device are used.
const maxServices = 8

// wanServices are the types of the services that tell the external address, in
// order of preference.
var wanServices = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// Device is a gateway whose description was read.
type Device struct {
	// Peer is the address that the description came from.
	Peer netip.Addr
	// Services are its WAN connections, at least one.
	Services []Service
}

// Service is one WAN connection of a gateway.
type Service struct {
	Type string
	// Control is where its actions are called.
	Control *url.URL
	// Events is where its events are subscribed to. It may be nil.
	Events *url.URL
}

// Describe reads the description of a device. All of the device's URLs are at
// the host of the description.
func Describe(ctx context.Context, client *http.Client, location *url.URL) (Device, error) {
	var d Device
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if at, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
			d.Peer = at.Addr().Unmap()
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return Device{}, shortened(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Device{}, shortened(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Device{}, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Device{}, shortened(err)
	}
	d.Services, err = parseDescription(body, location)
	return d, err
}

// described is a device in a description, as XML has it.
type described struct {
	Services []struct {
		Type    string `xml:"serviceType"`
		Control string `xml:"controlURL"`
		Events  string `xml:"eventSubURL"`
	} `xml:"serviceList>service"`
	Devices []described `xml:"deviceList>device"`
}

// parseDescription returns the services of a description that tell the external
// address.
func parseDescription(body []byte, location *url.URL) ([]Service, error) {
	var root struct {
		XMLName xml.Name  `xml:"root"`
		Base    string    `xml:"URLBase"`
		Device  described `xml:"device"`
	}
	if err := decode(body, &root); err != nil {
		return nil, fmt.Errorf("it is no device description: %w", shortened(err))
	}
	base := location
	if u := resolve(location, root.Base); root.Base != "" && u != nil {
		base = u
	}
	var (
		services  []Service
		elsewhere error
	)
	var walk func(described)
	walk = func(d described) {
		for _, s := range d.Services {
			if !slices.Contains(wanServices, strings.TrimSpace(s.Type)) {
				continue
			}
			control := resolve(base, s.Control)
			if control == nil {
				elsewhere = fmt.Errorf("the control URL %.128q is not at the host of the description", s.Control)
				continue
			}
			service := Service{Type: strings.TrimSpace(s.Type), Control: control}
			if s.Events != "" {
				service.Events = resolve(base, s.Events)
			}
			services = append(services, service)
		}
		for _, sub := range d.Devices {
			walk(sub)
		}
	}
	walk(root.Device)
	switch {
	case len(services) == 0 && elsewhere != nil:
		return nil, elsewhere
	case len(services) == 0:
		return nil, errors.New("the device has no WANIPConnection or WANPPPConnection service")
	}
	slices.SortStableFunc(services, func(a, b Service) int {
		return slices.Index(wanServices, a.Type) - slices.Index(wanServices, b.Type)
	})
	return services[:min(len(services), maxServices)], nil
}

// resolve returns the URL that a reference in a description stands for, or nil
// if it leads to another host.
func resolve(base *url.URL, reference string) *url.URL {
	u, err := base.Parse(strings.TrimSpace(reference))
	if err != nil || u.Scheme != "http" || u.Opaque != "" || u.User != nil || u.Hostname() != base.Hostname() {
		return nil
	}
	return u
}
