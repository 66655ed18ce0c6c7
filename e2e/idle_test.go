//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// What it costs to wait: the CPU time of a Caddy whose watchers are all on and
// to whom nothing happens, beside that of a Caddy that has none.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	h, echoes := newHomeWithISP(t, "example.test", "198.41.0.4")
	file := filepath.Join(t.TempDir(), "addresses")
	lab.WriteFile(t, file, "# none yet\n")
	app := h.app(map[string][]string{"example.test": {"www"}})
	delete(app, "versions")
	h.followEchoes(app, echoes...)
	app["ip_sources"] = append([]object{{"source": "file", "path": file}, {"source": "interface", "name": "wan0p"}}, app["ip_sources"].([]object)...)
	app["check_interval"] = "5m"
	h.start(app, lab.Trust(echoes...))
	h.expect(soon, "www.example.test", "A", first4)
	plain := lab.StartCaddy(t, lab.NewNS(t), "")

	// What the start leaves behind is not idle.
	time.Sleep(10 * time.Second)
	const minute = time.Minute
	idle, without := cpuTime(t, h.caddy.PID()), cpuTime(t, plain.PID())
	time.Sleep(minute)
	idle, without = cpuTime(t, h.caddy.PID())-idle, cpuTime(t, plain.PID())-without
	t.Logf("CPU in an idle minute: %v with all watchers on, %v without any", idle, without)
	if idle-without > 20*time.Millisecond {
		t.Errorf("watching costs %v a minute", idle-without)
	}
}

// cpuTime returns what a process has used, to the nanosecond.
func cpuTime(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of process %d: %v", pid, err)
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // The thread has ended.
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}
