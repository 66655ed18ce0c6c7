package natpmp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

const (
	// Port is where routers are asked.
	Port = 5351

	// firstWait is how long an answer is waited for at first. The wait doubles
	// with each repetition, as RFC 6886, section 3.1, has it. It would go on
	// for two minutes; here another source may know the address meanwhile.
	firstWait = 250 * time.Millisecond
	patience  = 4 * time.Second

	// mapSeconds is the least lifetime of a mapping that RFC 6887 recommends.
	// It is deleted at once; this is for when that is lost.
	mapSeconds = 120
)

var (
	// ErrSilent says that the router does not speak the protocol, as far as
	// can be told.
	ErrSilent = errors.New("does not answer; NAT-PMP or PCP may have to be switched on there")
	// ErrNoAddress says that the router answers, and has no address.
	ErrNoAddress = errors.New("has no public address now: it is offline, or itself behind NAT")
	// ErrDoubleNAT says that there is another NAT.
	ErrDoubleNAT = errors.New("double NAT")
	// errNoPCP says that the router speaks NAT-PMP alone.
	errNoPCP = errors.New("does not speak PCP")
)

// Client asks routers. The zero value is ready to use.
type Client struct {
	// dial replaces UDP in tests. The connection takes packets from the router
	// alone.
	dial func(local netip.Addr, router netip.AddrPort) (net.Conn, netip.AddrPort, error)
}

// IPv4 returns the router's external IPv4 address, asked for by NAT-PMP, or by
// PCP where NAT-PMP is refused.
func (c *Client) IPv4(ctx context.Context, router netip.Addr) (netip.Addr, error) {
	conn, err := c.connect(ctx, netip.Addr{}, router)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.close()
	var a answer
	err = conn.ask(addressQuestion(), func(b []byte) (err error) {
		a, err = parseAddress(b)
		return err
	})
	switch {
	case err != nil:
		return netip.Addr{}, conn.failed(err)
	case a.result == success && !a.addr.IsUnspecified():
		return a.addr, nil
	case a.result == success || a.result == pmpNoAddress:
		return netip.Addr{}, conn.failed(conn.whyNone())
	case a.result == unsupportedVersion || a.result == pmpNoOpcode:
		addr, err := conn.byMapping()
		return addr, conn.failed(err)
	}
	return netip.Addr{}, conn.failed(fmt.Errorf("refuses: %s", meaning(false, a.result)))
}

// IPv6 returns the address under which the internet sees this machine's local
// one, asked for by PCP. The error wraps [ErrSilent] if the router does not
// speak PCP over IPv6.
func (c *Client) IPv6(ctx context.Context, local, router netip.Addr) (netip.Addr, error) {
	conn, err := c.connect(ctx, local, router)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.close()
	addr, err := conn.byMapping()
	if errors.Is(err, errNoPCP) {
		err = ErrSilent
	}
	return addr, conn.failed(err)
}

// conn is a socket towards one router, for one question.
type conn struct {
	net.Conn
	ctx    context.Context
	router netip.Addr
	local  netip.AddrPort
	cancel func()
}

func (c *Client) connect(ctx context.Context, local, router netip.Addr) (*conn, error) {
	dial := c.dial
	if dial == nil {
		dial = dialUDP
	}
	socket, at, err := dial(local, netip.AddrPortFrom(router, Port))
	if err != nil {
		return nil, fmt.Errorf("asking the router %s: %w", router, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, ErrSilent)
	return &conn{socket, ctx, router, at, cancel}, nil
}

// dialUDP connects, so that the system drops what others than the router send,
// and reports that its port is closed. Each question has a port of its own,
// which nobody can guess.
func dialUDP(local netip.Addr, router netip.AddrPort) (net.Conn, netip.AddrPort, error) {
	var from *net.UDPAddr
	if local.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	socket, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(router))
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	at := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	return socket, netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), nil
}

func (c *conn) close() {
	c.cancel()
	_ = c.Close()
}

// ask sends the question until parse takes an answer. What parse refuses is
// somebody else's, or an answer to an earlier question.
func (c *conn) ask(question []byte, parse func([]byte) error) error {
	defer context.AfterFunc(c.ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	packet := make([]byte, 1100) // the longest that PCP allows
	for wait := firstWait; c.ctx.Err() == nil; wait *= 2 {
		if _, err := c.Write(question); err != nil {
			return closed(err)
		}
		until := time.Now().Add(wait)
		for {
			_ = c.SetReadDeadline(until)
			if c.ctx.Err() != nil {
				break
			}
			n, err := c.Read(packet)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				break
			}
			if err != nil {
				return closed(err)
			}
			if parse(packet[:n]) == nil {
				return nil
			}
		}
	}
	return context.Cause(c.ctx)
}

// closed says what it means that the router's system refuses the packets.
func closed(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ErrSilent
	}
	return err
}

// byMapping asks for a mapping, which is how PCP tells an address, and deletes
// it. No service of this machine becomes reachable: it leads to the port that
// asks.
func (c *conn) byMapping() (netip.Addr, error) {
	a, err := c.mapPort()
	switch {
	case err != nil:
		return netip.Addr{}, err
	case a.result == pcpMismatch:
		return netip.Addr{}, fmt.Errorf("is behind another router that translates addresses (%w)", ErrDoubleNAT)
	case a.result != success && a.addr.IsValid() && ipaddr.SpecialPurpose(a.addr) != "" && !a.addr.IsUnspecified():
		return netip.Addr{}, fmt.Errorf("is itself behind NAT, with the address %s (%w)", a.addr, ErrDoubleNAT)
	case a.result == unsupportedVersion:
		return netip.Addr{}, errNoPCP
	case a.result != success:
		return netip.Addr{}, fmt.Errorf("refuses: %s", meaning(true, a.result))
	case a.addr.IsUnspecified():
		return netip.Addr{}, ErrNoAddress
	}
	return a.addr, nil
}

// whyNone asks a router that has no address by PCP, which may know why.
func (c *conn) whyNone() error {
	if _, err := c.byMapping(); errors.Is(err, ErrDoubleNAT) {
		return err
	}
	return ErrNoAddress
}

func (c *conn) mapPort() (a answer, err error) {
	m := mapping{local: c.local}
	rand.Read(m.nonce[:])
	err = c.ask(m.question(mapSeconds), func(b []byte) (err error) {
		a, err = m.parse(b)
		return err
	})
	if err == nil && a.result != success {
		return a, nil
	}
	// Without an answer there may be a mapping all the same.
	c.unmap(m, err == nil)
	return a, err
}

// unmap deletes the mapping. Where the router answers, that is waited for, even
// if the caller waits no longer.
func (c *conn) unmap(m mapping, answers bool) {
	if !answers {
		_, _ = c.Write(m.question(0))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*firstWait)
	defer cancel()
	last := *c
	last.ctx = ctx
	_ = last.ask(m.question(0), func(b []byte) error {
		_, err := m.parse(b)
		return err
	})
}

func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the router %s %w", c.router, err)
}
