//go:build unix

package command

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/sourcetest"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// shell is a source whose program is a script.
func shell(t *testing.T, script string, args ...string) *Command {
	t.Helper()
	c := &Command{Command: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...), Dir: t.TempDir()}
	if err := c.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrograms(t *testing.T) {
	t.Setenv("COMMAND_TOKEN", "c2VjcmV0dG9rZW4")
	for _, tc := range []struct {
		name, script string
		args         []string
		v4, v6       string
		wantErr      string
	}{
		{name: "both families", script: "echo 93.184.216.34,2606:4700::7", v4: "93.184.216.34", v6: "2606:4700::7"},
		{name: "one family", script: "echo 93.184.216.34", v4: "93.184.216.34"},
		{name: "arguments are no script", script: `echo "$1"`, args: []string{"$(echo 93.184.216.34)"}, wantErr: "it printed something else than addresses: "},
		{name: "a good one that complains", script: "echo 93.184.216.34; echo careful >&2", v4: "93.184.216.34"},
		{name: "one that leaves a child", script: "sleep 600 & echo 93.184.216.34", v4: "93.184.216.34"},

		{name: "silent", script: "true", wantErr: "running /bin/sh: it printed no address"},
		{name: "failing", script: "echo 93.184.216.34; echo no  'lease\nyet' >&2; exit 7", wantErr: `running /bin/sh: exit status 7; it says "no lease yet"`},
		{name: "killed", script: "kill -9 $$", wantErr: "signal: killed"},
		{name: "endless", script: "while :; do echo 93.184.216.34; done", wantErr: "it printed more than 4096 bytes"},
		{name: "endless complaints", script: "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo 'something is wrong' >&2; done; exit 1", wantErr: `it says "something is wrong something`},
		{name: "binary", script: `printf '\177ELF\0'; exit 0`, wantErr: `"\x7fELF\x00" is not an address`},
		{name: "a secret", script: `echo "no such token: $1" >&2; exit 1`, args: []string{"--x={env.COMMAND_TOKEN}"}, wantErr: `it says "no such token: [redacted]"`},
		{name: "a part of a secret", script: `echo "${1#--x=}"; exit 0`, args: []string{"--x={env.COMMAND_TOKEN}"}, wantErr: `"[redacted]" is not an address`},
		{name: "a secret in the open", script: `echo "$2 $3" >&2; exit 1`, args: []string{"--password", "hunter22", "--token=c2VjcmV0"}, wantErr: `it says "[redacted] [redacted]"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shell(t, tc.script, tc.args...)
			for f, want := range map[ipaddr.Family]string{ipaddr.V4: tc.v4, ipaddr.V6: tc.v6} {
				got, err := c.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(f)})
				sourcetest.CheckIPs(t, got, err, want, tc.wantErr)
				if err != nil && len(err.Error()) > 2*maxShown {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
		})
	}
}

func TestProgramThatIsMissing(t *testing.T) {
	for name, wantErr := range map[string]string{
		"no-such-program-of-ours": `running no-such-program-of-ours: exec: "no-such-program-of-ours": executable file not found`,
		"/no/such/program":        "no such file or directory",
	} {
		c := &Command{Command: name}
		if err := c.Provision(caddy.Context{Context: t.Context()}); err != nil {
			t.Fatal(err)
		}
		_, err := c.GetIPs(t.Context(), ipsources.IPSettings{})
		sourcetest.CheckErr(t, name, err, wantErr)
	}
}

func TestProgramHasLittleEnvironment(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "c2VjcmV0")
	c := shell(t, `env | cut -d= -f1 | sort | tr '\n' ' ' >names; pwd >dir; echo 93.184.216.34`)
	if _, err := c.GetIPs(t.Context(), ipsources.IPSettings{}); err != nil {
		t.Fatal(err)
	}
	names, _ := os.ReadFile(filepath.Join(c.Dir, "names"))
	for name := range strings.FieldsSeq(string(names)) {
		// The shell adds its own.
		if !strings.Contains(" PATH HOME LANG PWD OLDPWD SHLVL _ ", " "+name+" ") {
			t.Errorf("it got %s", name)
		}
	}
	if len(names) == 0 {
		t.Error("no environment was seen")
	}
}

// TestProgramIsEnded: at the deadline, what the program has started goes with it,
// and so does what it leaves behind that still might print something.
func TestProgramIsEnded(t *testing.T) {
	for name, tc := range map[string]struct{ script, want, wantErr string }{
		"hangs":             {"sleep 600 & echo $! >child; wait", "", "running /bin/sh: it took longer than 5s and was killed"},
		"leaves one behind": {"sleep 600 & echo $! >child; echo 93.184.216.34", "93.184.216.34", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := shell(t, tc.script)
			c.Timeout = caddy.Duration(5 * time.Second)
			if err := c.Provision(caddy.Context{Context: t.Context()}); err != nil {
				t.Fatal(err)
			}
			ips, err := c.GetIPs(t.Context(), ipsources.IPSettings{})
			sourcetest.CheckIPs(t, ips, err, tc.want, tc.wantErr)
			wantChildGone(t, c.Dir)
		})
	}
}

func wantChildGone(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the child", func() bool { return gone(child) })
}

// gone reports whether there is no such process, or just what is left of one
// that nobody has waited for.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("not within 20 s: %s", what)
}

// TestProgramRunsOnce: both families are served by one run, and there are never
// two at a time. A question that comes later gets a later run.
func TestProgramRunsOnce(t *testing.T) {
	c := shell(t, `mkdir busy || exit 9; echo run >>runs; sleep 0.3; rmdir busy; echo 93.184.216.34,2606:4700::7`)
	ask := func(f ipaddr.Family) {
		if got, err := c.GetIPs(t.Context(), ipsources.IPSettings{IPVersions: sourcetest.Only(f)}); err != nil || len(got) != 1 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { ask(ipaddr.V4) })
	wg.Go(func() { ask(ipaddr.V6) })
	time.Sleep(2 * fresh)
	wg.Go(func() { ask(ipaddr.V4) })
	wg.Go(func() { ask(ipaddr.V6) })
	wg.Wait()
	runs, _ := os.ReadFile(filepath.Join(c.Dir, "runs"))
	if n := strings.Count(string(runs), "run"); n < 2 || n > 4 {
		t.Errorf("%d runs", n)
	}
}

// TestProgramAndContext: a question ends with its context, the run with the
// configuration, and nothing is left.
func TestProgramAndContext(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	config, stop := context.WithCancel(t.Context())
	c := &Command{Command: "/bin/sh", Args: []string{"-c", "echo $$ >pid; sleep 600"}, Dir: t.TempDir()}
	if err := c.Provision(caddy.Context{Context: config}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for range 10 {
		if _, err := c.GetIPs(ctx, ipsources.IPSettings{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	stop()
	eventually(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// TestRunsAreShared does not depend on how fast programs are.
func TestRunsAreShared(t *testing.T) {
	var begun int
	finish := make(chan struct{})
	r := &runs{begin: func() ([]netip.Addr, error) {
		begun++
		<-finish
		return nil, nil
	}}
	first := r.current()
	if r.current() != first {
		t.Error("two at a time")
	}
	finish <- struct{}{}
	<-first.done
	if second := r.current(); second == first {
		t.Error("a run that is over is taken for one under way")
	}
	finish <- struct{}{}
	eventually(t, "two runs", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.now == nil && begun == 2
	})
}
