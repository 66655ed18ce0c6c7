// Package igd speaks UPnP with an Internet Gateway Device: it reads its
// description, calls the actions of its services, and subscribes to their
// events. What a device answers is taken for hostile: little of it is read, and
// it leads to no other host.
package igd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// maxHeader and maxBody bound what is read of a device's answer. The
// description of a FRITZ!Box has 12 KiB.
const (
	maxHeader = 16 << 10
	maxBody   = 64 << 10
)

// Client returns an HTTP client that connects to addresses that are allowed,
// whatever names resolve to. It uses no proxy, follows no redirects, keeps no
// connections and reads a bounded amount.
func Client(allowed func(netip.Addr) bool) *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		addrPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !allowed(addrPort.Addr().Unmap()) {
			return fmt.Errorf("%s is not an address at which the router may be asked", addrPort.Addr())
		}
		return nil
	}}
	return &http.Client{
		Transport: boundedTransport{&http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				if asking, ok := ctx.Value(asking{}).(context.Context); ok {
					defer context.AfterFunc(asking, cancel)()
				}
				return dialer.DialContext(ctx, network, address)
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			return fmt.Errorf("the router redirects to %.128q, which is not followed", req.URL)
		},
	}
}

// asking is the key under which a request's context has itself. The transport
// goes on dialling when a request ends, for the next one, which with a dead
// router takes minutes.
type asking struct{}

// boundedTransport limits the bodies of responses, and dials no longer than
// somebody asks.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	resp, err := t.RoundTripper.RoundTrip(req.WithContext(context.WithValue(ctx, asking{}, ctx)))
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// shortened cuts what a device may have put into the text of an error.
func shortened(err error) error { return fmt.Errorf("%.256s", err.Error()) }
