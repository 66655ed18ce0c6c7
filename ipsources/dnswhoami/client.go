package dnswhoami

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// client asks servers what address they see.
type client struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	roots *x509.CertPool // nil means the system's
}

// ask asks one server over one family. Nothing of the connection is kept: it
// could still belong to the old address.
func (c *client) ask(ctx context.Context, f ipaddr.Family, s *server) (netip.Addr, error) {
	network := [ipaddr.Families]string{"tcp4", "tcp6"}[f]
	plain, err := c.dial(ctx, network, net.JoinHostPort(s.host, s.port))
	if err != nil {
		return netip.Addr{}, err
	}
	defer plain.Close()
	defer context.AfterFunc(ctx, func() { plain.Close() })()
	secure := tls.Client(plain, &tls.Config{ServerName: s.certName, RootCAs: c.roots})
	if err := secure.HandshakeContext(ctx); err != nil {
		return netip.Addr{}, err
	}
	query := s.query(f)
	conn := &dns.Conn{Conn: secure}
	if err := conn.WriteMsg(query); err != nil {
		return netip.Addr{}, err
	}
	answer := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(answer)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the answer: %w", err)
	}
	return parse(answer[:n], query, f)
}

func (s *server) query(f ipaddr.Family) *dns.Msg {
	m := new(dns.Msg)
	m.Id = dns.Id()
	m.RecursionDesired = s.class == dns.ClassINET
	rrtype := dns.StringToType[f.RRType()]
	if s.txt {
		rrtype = dns.TypeTXT
	}
	m.Question = []dns.Question{{Name: s.name, Qtype: rrtype, Qclass: s.class}}
	return m
}

// parse returns the address of an answer to the query: of its one record.
func parse(packed []byte, query *dns.Msg, f ipaddr.Family) (netip.Addr, error) {
	var m dns.Msg
	if err := m.Unpack(packed); err != nil {
		return netip.Addr{}, errors.New("the answer is malformed")
	}
	asked := query.Question[0]
	switch {
	case m.Id != query.Id || !m.Response || len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, asked.Name) ||
		m.Question[0].Qtype != asked.Qtype || m.Question[0].Qclass != asked.Qclass:
		return netip.Addr{}, errors.New("the answer is to another question")
	case m.Rcode != dns.RcodeSuccess:
		return netip.Addr{}, fmt.Errorf("the answer is %s", rcode(m.Rcode))
	case m.Truncated:
		return netip.Addr{}, errors.New("the answer is cut off")
	case len(m.Answer) == 0:
		return netip.Addr{}, errors.New("the answer holds no record")
	case len(m.Answer) > 1:
		return netip.Addr{}, errors.New("the answer holds more than one record")
	}
	header := m.Answer[0].Header()
	if !strings.EqualFold(header.Name, asked.Name) || header.Class != asked.Qclass {
		return netip.Addr{}, errors.New("the record is of another name")
	}
	var text string
	switch record := m.Answer[0].(type) {
	case *dns.A:
		text = record.A.String()
	case *dns.AAAA:
		addr, _ := netip.AddrFromSlice(record.AAAA)
		text = addr.String()
	case *dns.TXT:
		if len(record.Txt) != 1 {
			return netip.Addr{}, errors.New("the record holds more than one string")
		}
		text = record.Txt[0]
	}
	if header.Rrtype != asked.Qtype {
		return netip.Addr{}, errors.New("the record is of another type")
	}
	addr, err := ipaddr.Parse(text)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("the answer: %w", err)
	case ipaddr.FamilyOf(addr) != f:
		return netip.Addr{}, fmt.Errorf("the answer is an address of the other family: %s", addr)
	}
	return addr, nil
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("an error of number %d", code)
}
