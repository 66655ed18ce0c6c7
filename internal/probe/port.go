package probe

import (
	"context"
	"errors"
	"fmt"
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
		p.Serves, p.Parents = serves(ctx, network, address, p.Zones)
	case errors.Is(err, syscall.EACCES):
		p.Denied = true
	default:
		p.Err = err.Error()
	}
	return p
}

// serves reports whether who listens there serves all the zones, and what their
// parents have to have then: the name servers, and the addresses of those that
// lie in the zone.
func serves(ctx context.Context, network, address string, zones []string) (ok bool, parents map[string][]string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, nil
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &dns.Client{Net: strings.TrimRight(network, "46"), Timeout: dnsTimeout}
	ask := func(name string, typ uint16) []dns.RR {
		m, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetQuestion(name, typ), net.JoinHostPort(host, port))
		if err != nil || !m.Authoritative {
			return nil
		}
		return m.Answer
	}
	parents = make(map[string][]string)
	for _, zone := range zones {
		fqdn := dns.Fqdn(zone)
		if len(ask(fqdn, dns.TypeSOA)) == 0 {
			return false, nil
		}
		for _, rr := range ask(fqdn, dns.TypeNS) {
			ns, ok := rr.(*dns.NS)
			if !ok {
				continue
			}
			parents[zone] = append(parents[zone], fmt.Sprintf("%s IN NS %s", fqdn, ns.Ns))
			if !dns.IsSubDomain(fqdn, ns.Ns) {
				continue
			}
			for _, rr := range append(ask(ns.Ns, dns.TypeA), ask(ns.Ns, dns.TypeAAAA)...) {
				if addr := addressOf(rr); addr.IsValid() {
					parents[zone] = append(parents[zone], fmt.Sprintf("%s IN %s %s", ns.Ns, dns.TypeToString[rr.Header().Rrtype], addr))
				}
			}
		}
	}
	return true, parents
}
