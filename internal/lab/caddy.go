//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Caddy is a running cmd/caddy in a namespace of its own, with its admin
// endpoint at the usual address there.
type Caddy struct {
	*process

	client *http.Client
}

// StartCaddy builds cmd/caddy, unless that is done, and runs it on the config
// file ("" for none), with additions to the environment. Under the race
// detector it is built with it too, and a race fails the test.
func StartCaddy(t testing.TB, ns *NS, config string, env ...string) *Caddy {
	t.Helper()
	bin, err := buildCaddy()
	if err != nil {
		t.Fatal(err)
	}
	return StartProgram(t, ns, bin, config, env...)
}

// StartProgram is StartCaddy for a Caddy that was built already.
func StartProgram(t testing.TB, ns *NS, bin, config string, env ...string) *Caddy {
	t.Helper()
	dir := tempDir(t)
	args := []string{bin, "run"}
	if config != "" {
		args = append(args, "--config", config)
	}
	env = append([]string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}, env...)
	c := &Caddy{
		process: newProcess(t, ns, filepath.Join(dir, "caddy.log"), env, args...),
		client: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
				return ns.Dial(network, strings.Replace(addr, "localhost", "127.0.0.1", 1))
			},
		}},
	}
	t.Cleanup(func() {
		c.Stop()
		log := c.Log()
		for _, trouble := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
			if strings.Contains(log, trouble) {
				t.Errorf("%s in Caddy's log", trouble)
			}
		}
		if t.Failed() {
			t.Logf("Caddy's log:\n%s", log)
		}
	})
	c.Start()
	return c
}

// Start starts Caddy again, on its config file.
func (c *Caddy) Start() {
	c.t.Helper()
	c.start()
	c.awaitReady(func() bool {
		resp, err := c.client.Get("http://localhost:2019/config/")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
}

// Run runs a command of cmd/caddy beside this Caddy, as Run does.
func (c *Caddy) Run(args ...string) (said string, code int) {
	c.t.Helper()
	return Run(c.t, c.ns, c.env, args...)
}

// Run runs a command of cmd/caddy until it ends, with additions to the
// environment. It returns what that writes, without what Caddy logs other
// than errors, and its exit status.
func Run(t testing.TB, ns *NS, env []string, args ...string) (said string, code int) {
	t.Helper()
	bin, err := buildCaddy()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(append(os.Environ(), emptyHome(t)...), env...)
	out, err := ns.Run(cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var logged struct{ Level, Msg string }
		switch {
		case json.Unmarshal([]byte(line), &logged) != nil || logged.Level == "":
			said += line
		case logged.Level == "error":
			said += logged.Msg + "\n"
		}
	}
	return said, cmd.ProcessState.ExitCode()
}

// Log returns what Caddy has printed so far, over all its starts.
func (c *Caddy) Log() string {
	c.t.Helper()
	return readFile(c.t, c.log)
}

// Load replaces the configuration through POST /load.
func (c *Caddy) Load(config any) {
	c.t.Helper()
	if status, body := c.Admin(http.MethodPost, "/load", config); status != http.StatusOK {
		c.t.Fatalf("POST /load: %d %s", status, body)
	}
}

// Admin makes a request to the admin endpoint, with the JSON of body unless
// it is nil.
func (c *Caddy) Admin(method, path string, body any) (status int, answer string) {
	c.t.Helper()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, "http://localhost:2019"+path, bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	// A load replaces the server, and with it the connections that are kept.
	req.Close = true
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// Get asks the Caddy for something else than its admin endpoint, as a user. The
// status is 0 if there is no answer.
func (c *Caddy) Get(url, user, password string) (status int, answer string) {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(got))
}

// buildCaddy builds cmd/caddy with the settings of the running test, so that
// the build cache serves both. Test packages that run at the same time take
// turns, and the later ones find it built.
var buildCaddy = sync.OnceValues(func() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	if err := noteSources(root); err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), "dynamic-dns-lab"+strings.ReplaceAll(root, "/", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "caddy")
	args := []string{"build", "-buildvcs=false", "-o", bin}
	if raceDetector {
		bin += "-race"
		args = []string{"build", "-buildvcs=false", "-race", "-o", bin}
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/caddy: %w: %s", err, out)
	}
	return bin, nil
})

// repository returns the root of the sources.
func repository() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("the path of the sources is not known: do not test with -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "..", ".."), nil
}

// noteSources looks at every file that the build may take in. go test notes
// what a test looks at, and would otherwise take a result from its cache
// although the product has changed.
func noteSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(path); ext == ".go" || ext == ".mod" || ext == ".sum" {
			_, err = os.Stat(path)
		}
		return err
	})
}
