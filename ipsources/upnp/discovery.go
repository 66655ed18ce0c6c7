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
	"sync"
	"time"

	"golang.org/x/net/ipv4"
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

// open asks the device that answered, provided that it answered for itself.
func (a ssdpAnswer) open(ctx context.Context) (*igd, netip.Addr, error) {
	location, err := a.checkedLocation()
	if err != nil {
		return nil, netip.Addr{}, err
	}
	return openGateway(ctx, location, func(ip netip.Addr) bool { return ip == a.from })
}

func (a ssdpAnswer) checkedLocation() (*url.URL, error) {
	if !isLAN(a.from) {
		return nil, fmt.Errorf("%s, which has answered, is not in a local network", a.from)
	}
	location, err := parseDeviceURL(a.location, isLAN)
	if err != nil {
		return nil, err
	}
	if host, err := netip.ParseAddr(location.Hostname()); err != nil || host != a.from {
		return nil, fmt.Errorf("%s has answered with the location of another host, %.128q", a.from, a.location)
	}
	return location, nil
}

// searchGateways looks for Internet Gateway Devices in all local networks by
// SSDP. A device answers several times. The channel is closed when nothing more
// can come; cancel ctx to stop reading earlier. goupnp's search would not do: it
// does not tell who answered, and always takes two seconds.
func searchGateways(ctx context.Context) <-chan ssdpAnswer {
	answers := make(chan ssdpAnswer)
	go func() {
		defer close(answers)
		ifaces, err := net.Interfaces()
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		for _, iface := range ifaces {
			const up = net.FlagUp | net.FlagMulticast
			if iface.Flags&up != up || iface.Flags&net.FlagLoopback != 0 {
				continue
			}
			wg.Go(func() { _ = searchLink(ctx, &iface, answers) })
		}
	}()
	return answers
}

// searchLink sends questions through an interface and passes answers on.
func searchLink(ctx context.Context, iface *net.Interface, answers chan<- ssdpAnswer) error {
	local, err := lanIPv4(iface)
	if err != nil {
		return err
	}
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
			if _, err := conn.WriteToUDPAddrPort(question, ssdpGroup); err != nil {
				return err
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

// lanIPv4 returns an address of the interface at which a router may answer.
func lanIPv4(iface *net.Interface) (netip.Addr, error) {
	addrs, err := iface.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if ipNet, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(ipNet.IP); ok && isLAN(ip.Unmap()) && ip.Unmap().Is4() {
				return ip.Unmap(), nil
			}
		}
	}
	return netip.Addr{}, errors.New("the interface has no private IPv4 address")
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
