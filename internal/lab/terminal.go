//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a command as a person runs it: in the repository, on a terminal,
// and in a home that holds nothing yet.
type Terminal struct {
	t      testing.TB
	cmd    *exec.Cmd
	keys   *os.File
	exited chan struct{}

	mu     sync.Mutex
	screen strings.Builder
}

// TypeCommand runs a command that runs cmd/caddy by `go run`. What that would
// download and compile is there already, for the namespace may lack internet.
// It ends by Ctrl-C.
func TypeCommand(t testing.TB, ns *NS, command string) *Terminal {
	t.Helper()
	if _, err := buildCaddy(); err != nil {
		t.Fatal(err)
	}
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	keys, tty, err := openTerminal()
	if err != nil {
		t.Fatalf("opening a terminal: %v", err)
	}
	defer tty.Close()
	args := strings.Fields(command)
	c := &Terminal{t: t, cmd: exec.Command(args[0], args[1:]...), keys: keys, exited: make(chan struct{})}
	c.cmd.Dir = root
	c.cmd.Env = append(os.Environ(), emptyHome(t)...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	// In a process namespace of its own, nothing that the command starts
	// outlives it, not even if it is killed.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Setctty: true, Cloneflags: unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	if err := ns.Do(c.cmd.Start); err != nil {
		keys.Close()
		t.Fatalf("%s: %v", command, err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := keys.Read(buf)
			c.mu.Lock()
			c.screen.Write(buf[:n])
			c.mu.Unlock()
			if err != nil { // EIO, once nobody has the terminal open any more
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.interrupt()
		<-read
		keys.Close()
		if t.Failed() {
			t.Logf("on the terminal:\n%s", c.Screen())
		}
	})
	return c
}

// Screen returns what is on the terminal.
func (c *Terminal) Screen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(c.screen.String(), "\r\n", "\n")
}

// Running reports whether the command has not ended.
func (c *Terminal) Running() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

func (c *Terminal) interrupt() {
	_, _ = c.keys.Write([]byte{3}) // Ctrl-C
	select {
	case <-c.exited:
	case <-time.After(20 * time.Second):
		c.t.Errorf("%s did not end within 20 s of Ctrl-C", c.cmd)
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
}

// emptyHome returns the environment of somebody who never ran Caddy, but has the
// caches of Go.
func emptyHome(t testing.TB) []string {
	t.Helper()
	dir := tempDir(t)
	env := []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}
	for _, name := range []string{"GOENV", "GOPATH", "GOCACHE", "GOMODCACHE"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	if raceDetector {
		env = append(env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -race")
	}
	return env
}

// openTerminal makes a pseudo-terminal, see pty(7).
func openTerminal() (keys, tty *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	keys = os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		keys.Close()
		return nil, nil, err
	}
	return keys, tty, nil
}
