//go:build linux

package lab

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/miekg/dns"
)

// StartWhoami starts a DNS server in the namespace, at an IP address and port
// that is there, which takes questions over TLS. Every TXT record that it has is
// the address of whoever asks.
func StartWhoami(t testing.TB, ns *NS, addr string) *Echo {
	t.Helper()
	ln := ns.Listen(addr)
	e := newEcho(ln.Addr().String())
	config := testTLS(t, ln.Addr().(*net.TCPAddr).IP)
	e.publish(t, config.Certificates[0].Certificate[0])
	server := &dns.Server{Listener: tls.NewListener(ln, config), Handler: e}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = ln.Close() })
	return e
}

func (e *Echo) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	reply := new(dns.Msg).SetReply(req)
	question := req.Question[0]
	reply.Answer = []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeTXT, Class: question.Qclass},
		Txt: []string{e.seen(w.RemoteAddr().String()).String()},
	}}
	_ = w.WriteMsg(reply)
}
