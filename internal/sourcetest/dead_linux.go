package sourcetest

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Deadness is how a peer is dead.
type Deadness struct {
	Name string
	// At is where it listens, at loopback.
	At netip.AddrPort
}

// Dead returns peers that are dead in the two ways that take time: one takes
// connections and says nothing, the other does not even take them.
func Dead(t *testing.T) []Deadness {
	t.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	return []Deadness{
		{"takes connections", netip.MustParseAddrPort(silent.Addr().String())},
		{"is gone", blackHole(t)},
	}
}

// blackHole returns where a queue for connections is full.
func blackHole(t *testing.T) netip.AddrPort {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(syscall.Listen(fd, 0))
	bound, err := syscall.Getsockname(fd)
	must(err)
	in := bound.(*syscall.SockaddrInet4)
	at := netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	for range 10 {
		conn, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue for connections has no end")
	return at
}

// LeavesNothing asks a thousand times, each time for a moment, and fails the test
// if that leaves goroutines.
func LeavesNothing(t *testing.T, ask func(ctx context.Context) error) {
	t.Helper()
	before := runtime.NumGoroutine()
	for range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := ask(ctx); err == nil {
			t.Error("a dead peer has answered")
		}
		cancel()
	}
	// A dial that nobody waits for would go on for two minutes.
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines have become %d", before, runtime.NumGoroutine())
		}
	}
}
