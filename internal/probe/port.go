package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
)

// Listen opens an address, and closes it again.
func Listen(network, address string) error {
	if strings.HasPrefix(network, "udp") {
		conn, err := net.ListenPacket(network, address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	ln, err := net.Listen(network, address)
	if err == nil {
		err = ln.Close()
	}
	return err
}

// try finds out whether the name server has its port, or could have it.
func try(ctx context.Context, p doctor.Port, w *World) doctor.Port {
	network, address, _ := strings.Cut(p.Listen, "/")
	err := w.Listen(network, address)
	switch {
	case err == nil:
	case errors.Is(err, syscall.EADDRINUSE):
		p.Busy = true
		p.Serves = serves(ctx, network, address, p.Zones)
	case errors.Is(err, syscall.EACCES):
		p.Denied = true
	default:
		p.Err = err.Error()
	}
	return p
}

// serves reports whether who listens there serves all the zones.
func serves(ctx context.Context, network, address string, zones []string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &dns.Client{Net: strings.TrimRight(network, "46"), Timeout: dnsTimeout}
	for _, zone := range zones {
		m, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA), net.JoinHostPort(host, port))
		if err != nil || !m.Authoritative || len(m.Answer) == 0 {
			return false
		}
	}
	return true
}
