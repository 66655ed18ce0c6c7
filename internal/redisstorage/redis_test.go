//go:build linux

package redisstorage

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/lab"
)

// soon is for what happens within a few seconds.
const soon = 10 * time.Second

// server is a Redis that keeps nothing when it ends.
type server struct {
	t      *testing.T
	socket string
	cmd    *exec.Cmd
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lab.Eventually(s.t, soon, "Redis", func() bool { _, err := os.Stat(s.socket); return err == nil })
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = os.Remove(s.socket)
}

// TestRedisCluster: three Caddys share a name through Redis.
func TestRedisCluster(t *testing.T) {
	lab.Need(t, "redis-server", "named")
	dir := t.TempDir()
	bin := filepath.Join(dir, "caddy")
	if out, err := exec.Command("go", "build", "-o", bin, "./caddy").CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	redis := &server{t: t, socket: filepath.Join(dir, "redis")}
	redis.start()
	defer func() { redis.stop() }()
	s := lab.NewInstances(t, 3, bin)
	for _, instance := range s.All {
		instance.Run(map[string]any{"module": "redis_lab", "socket": redis.socket})
	}
	s.Expect(2*lab.Lease+soon, "all started at once", s.All)

	writer := s.Writer()
	writer.Kill()
	s.Expect(30*time.Second, "the writer is killed", s.Others(writer), s.Others(writer)...)
	writer.Start()
	s.Expect(2*lab.Lease+soon, "it is back", s.All, s.Others(writer)...)

	// Nobody is taken for gone because Redis is, nor because it has forgotten
	// everything.
	redis.stop()
	time.Sleep(lab.Lease + 2*time.Second)
	redis.start()
	time.Sleep(2 * time.Second)
	moving := s.All[1]
	moving.Move("93.184.216.102")
	s.Expect(2*lab.Lease+soon, "Redis is back, and empty", s.All, s.Others(moving)...)

	s.All[0].Stop()
	s.Expect(soon, "one is stopped", s.All[1:], s.All[1:]...)
}
