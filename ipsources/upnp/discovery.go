package upnp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/netmon"
)

// ssdpInterval is how long answers are waited for after each of ssdpSends
// questions. Devices answer at a random moment in the first second.
const (
	ssdpInterval = 1200 * time.Millisecond
	ssdpSends    = 2
)

var ssdpGroup = netip.MustParseAddrPort("239.255.255.250:1900")

// ssdpAnswer is a device's answer to a search.
type ssdpAnswer struct {
	location string
	from     netip.Addr
}

// checked returns the location, provided that who answered did so for itself.
func (a ssdpAnswer) checked() (*url.URL, error) {
	location, err := parseDeviceURL(a.location)
	if err != nil {
		return nil, fmt.Errorf("%s has answered: %.256s", a.from, err)
	}
	if host, err := netip.ParseAddr(location.Hostname()); err != nil || host != a.from {
		return nil, fmt.Errorf("%s has answered with the location of another host, %.128q", a.from, a.location)
	}
	return location, nil
}

// stranger says that somebody else than the default gateway has answered.
func (a ssdpAnswer) stranger() string {
	return fmt.Sprintf("%s has answered instead, which is not believed; if it is your router, write its device URL: upnp %.128q", a.from, a.location)
}

// search looks for an Internet Gateway Device by SSDP, through the interface
// that the gateway is at. A device answers several times, and others may answer,
// too. The channel is closed when nothing more can come; cancel ctx to stop
// reading earlier.
func search(ctx context.Context, gateway netip.Addr) <-chan ssdpAnswer {
	answers := make(chan ssdpAnswer)
	go func() {
		defer close(answers)
		local, err := netmon.LocalTo(gateway)
		if err != nil {
			return
		}
		if iface := interfaceOf(local); iface != nil {
			_ = searchLink(ctx, iface, local, gateway, answers)
		}
	}()
	return answers
}

// interfaceOf returns the interface that has the address, or nil.
func interfaceOf(local netip.Addr) *net.Interface {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if ipNet, ok := a.(*net.IPNet); ok && ipNet.IP.Equal(local.AsSlice()) {
				return &iface
			}
		}
	}
	return nil
}

// searchLink sends questions through an interface and passes answers on.
func searchLink(ctx context.Context, iface *net.Interface, local, gateway netip.Addr, answers chan<- ssdpAnswer) error {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := ipv4.NewPacketConn(conn).SetMulticastInterface(iface); err != nil {
		return err
	}

	packet := make([]byte, 4096)
	for range ssdpSends {
		for _, version := range []int{1, 2} {
			question := fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"+
				"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:%d\r\n\r\n", ssdpGroup, version)
			// Asked directly, a device answers at once, and where multicast
			// does not reach it.
			for _, to := range []netip.AddrPort{netip.AddrPortFrom(gateway, ssdpGroup.Port()), ssdpGroup} {
				if _, err := conn.WriteToUDPAddrPort(question, to); err != nil {
					return err
				}
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(ssdpInterval)); err != nil {
			return err
		}
		for {
			n, from, err := conn.ReadFromUDPAddrPort(packet)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return err
			}
			answer, ok := parseSSDP(packet[:n], from.Addr().Unmap())
			if !ok {
				continue
			}
			select {
			case answers <- answer:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// parseSSDP reads an answer to a search.
func parseSSDP(packet []byte, from netip.Addr) (ssdpAnswer, bool) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(packet)), nil)
	if err != nil {
		return ssdpAnswer{}, false
	}
	defer resp.Body.Close()
	answer := ssdpAnswer{resp.Header.Get("Location"), from}
	return answer, resp.StatusCode == http.StatusOK && answer.location != ""
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
