//go:build linux

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

var nsCount atomic.Int32

// NS is a network namespace. The nil NS is the one the test itself is in.
type NS struct {
	Name string

	t      testing.TB
	handle *os.File
}

// NewNS makes a network namespace that has nothing but loopback.
func NewNS(t testing.TB) *NS {
	t.Helper()
	Need(t, "ip")
	n := &NS{Name: fmt.Sprintf("lab-%d-%d", os.Getpid(), nsCount.Add(1)), t: t}
	if out, err := exec.Command("ip", "netns", "add", n.Name).CombinedOutput(); err != nil {
		lack(t, fmt.Sprintf("network namespaces: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", n.Name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del: %v: %s", err, out)
		}
	})
	var err error
	if n.handle, err = os.Open("/var/run/netns/" + n.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.handle.Close() })
	n.IP("link set lo up")
	return n
}

// Link joins two namespaces, which may be the same one, by a pair of
// interfaces, both up. An interface of a pair stands for a WAN interface:
// there may be no dummy ones.
func Link(a *NS, aName string, b *NS, bName string) {
	a.t.Helper()
	a.IP("link add " + aName + " type veth peer name " + bName + " netns " + b.Name)
	a.IP("link set "+aName+" up", "link set "+aName+" txqueuelen 1000")
	b.IP("link set " + bName + " up")
}

// IP runs ip(8) in the namespace, once, with each line as a command of its
// own: what the lines change follows upon each other without a pause.
func (n *NS) IP(lines ...string) {
	n.t.Helper()
	cmd := exec.Command("ip", "-n", n.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("ip %q: %v: %s", lines, err, out)
	}
}

// ReplaceAddr takes one address, in CIDR notation, off the interface and puts
// another one on. (ip addr replace would keep the old one.)
func (n *NS) ReplaceAddr(dev, from, to string) {
	n.t.Helper()
	n.IP("addr del "+from+" dev "+dev, addAddr(dev, to))
}

// AddAddr puts an address, in CIDR notation, on the interface.
func (n *NS) AddAddr(dev, cidr string) {
	n.t.Helper()
	n.IP(addAddr(dev, cidr))
}

func addAddr(dev, cidr string) string {
	line := "addr add " + cidr + " dev " + dev
	if strings.Contains(cidr, ":") {
		line += " nodad"
	}
	return line
}

// Do calls f in the namespace: sockets that it opens and programs that it
// starts belong there. Goroutines that it starts do not.
func (n *NS) Do(f func() error) error {
	if n == nil {
		return f()
	}
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(n.handle.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering namespace %s: %w", n.Name, err)
	}
	defer func() {
		// A thread that cannot go back stays locked, so that it ends with
		// its goroutine and nobody else finds itself in the namespace.
		if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Listen opens a TCP socket in the namespace.
func (n *NS) Listen(addr string) net.Listener {
	n.t.Helper()
	var ln net.Listener
	err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return ln
}

// Dial connects from within the namespace to an IP address and port.
func (n *NS) Dial(network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = net.Dial(network, addr)
		return err
	})
	return conn, err
}

// Run runs a program in the namespace and returns its output.
func (n *NS) Run(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Do(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}
