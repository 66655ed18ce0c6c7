package natpmp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// fakeSocket hands out what is sent to it.
type fakeSocket struct {
	net.PacketConn
	packets chan []byte
	from    chan netip.AddrPort
	closed  chan struct{}
	once    sync.Once
}

func newFakeSocket() *fakeSocket {
	return &fakeSocket{packets: make(chan []byte), from: make(chan netip.AddrPort), closed: make(chan struct{})}
}

func (s *fakeSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-s.packets:
		return copy(b, p), net.UDPAddrFromAddrPort(<-s.from), nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *fakeSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *fakeSocket) send(packet, from string) {
	s.packets <- unhex(packet)
	s.from <- netip.MustParseAddrPort(from)
	synctest.Wait()
}

func (s *fakeSocket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

const (
	gateway  = "192.168.1.1:5351"
	one      = "00800000000000645db8d822" // at 100 s
	two      = "00800000000000655db8d823" // at 101 s
	restart  = "00800000000000015db8d823" // at 1 s
	announce = "028000000000000000000000000000000000000000000000"
)

func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sockets []*fakeSocket
		h := hub{open: func() (net.PacketConn, error) {
			s := newFakeSocket()
			sockets = append(sockets, s)
			return s, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		router, asked, heard, further := netip.MustParseAddr("192.168.1.1"), 0, 0, 0
		go h.listen(ctx, &listener{
			router:  func() netip.Addr { asked++; return router },
			changed: func() { heard++ },
		}, zap.NewNop())
		second, cancelSecond := context.WithCancel(t.Context())
		go h.listen(second, &listener{
			router:  func() netip.Addr { return netip.MustParseAddr("192.168.2.1") },
			changed: func() { further++ },
		}, zap.NewNop())
		synctest.Wait()
		if len(sockets) != 1 {
			t.Fatalf("%d sockets", len(sockets))
		}
		expect := func(what string, want int) {
			t.Helper()
			if heard != want {
				t.Errorf("%s: heard %d times, want %d", what, heard, want)
			}
			heard = 0
		}
		socket := sockets[0]
		socket.send(one, gateway)
		expect("an announcement", 1)
		for range 9 {
			socket.send(one, gateway)
		}
		expect("its repetitions", maxRepeats-1)
		socket.send(two, gateway)
		expect("another address", 1)
		socket.send(restart, gateway)
		expect("a restart", 1)
		for range 9 {
			socket.send(announce, gateway)
		}
		expect("announcements of PCP", 9)
		for range 1000 {
			socket.send(one, "192.168.1.66:5351")
			socket.send(one, "192.168.1.1:4444")
			socket.send("0000", gateway)
			socket.send("", gateway)
		}
		expect("rogues", 0)
		if asked != 1 {
			t.Errorf("the default gateway was looked for %d times", asked)
		}
		router = netip.MustParseAddr("192.168.1.66")
		time.Sleep(routerAge)
		socket.send(one, "192.168.1.66:5351")
		expect("a new gateway", 1)
		if further != 0 {
			t.Error("heard by who has another router")
		}
		socket.send(one, "192.168.2.1:5351")
		if further != 1 {
			t.Error("not heard by the second listener")
		}

		cancel()
		synctest.Wait()
		if socket.isClosed() {
			t.Error("closed while somebody listens")
		}
		cancelSecond()
		synctest.Wait()
		if !socket.isClosed() {
			t.Error("nobody listens, and the socket is open")
		}
	})
}

func TestListenWithoutSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		h := hub{open: func() (net.PacketConn, error) {
			tries++
			return nil, errors.New("taken")
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h.listen(ctx, &listener{}, zap.NewNop())
		if tries < 4 || tries > 9 {
			t.Errorf("tried %d times in an hour", tries)
		}
	})
}
