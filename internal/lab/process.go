//go:build linux

package lab

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that can be ended and started again. Its output goes
// to one file.
type process struct {
	t    testing.TB
	ns   *NS
	log  string
	env  []string
	args []string

	cmd    *exec.Cmd
	exited chan struct{}
}

func newProcess(t testing.TB, ns *NS, log string, env []string, args ...string) *process {
	p := &process{t: t, ns: ns, log: log, env: env, args: args}
	t.Cleanup(p.Kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.ns.Do(cmd.Start); err != nil {
		p.t.Fatalf("starting %s: %v", p.args[0], err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
}

// PID returns the program's process ID.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Stop asks the program to end, and waits until it has.
func (p *process) Stop() {
	p.t.Helper()
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.Kill()
		p.t.Errorf("%s did not end within 20 s of SIGTERM", p.args[0])
	}
}

// Pause stops the program until Continue, as if its machine slept.
func (p *process) Pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets it go on.
func (p *process) Continue() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends the program with SIGKILL, so that it can save nothing.
func (p *process) Kill() {
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// awaitReady waits until the program answers, and fails the test with the
// program's output if it ends or takes too long.
func (p *process) awaitReady(ready func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if !p.running() || time.Now().After(deadline) {
			p.t.Fatalf("%s is not ready (still running: %v):\n%s", strings.Join(p.args, " "), p.running(), readFile(p.t, p.log))
		}
	}
}
