package nameserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

const killDir = "NAMESERVER_TEST_KILL_DIR"

// killWriters is how many writers the process has that is killed, so that it
// dies in the middle of writes that several changes share.
const killWriters = 4

// TestMain is also the process that TestKilledInTheMiddle kills: it sets one
// record after the other and says which of them are confirmed.
func TestMain(m *testing.M) {
	dir := os.Getenv(killDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	p := providerAt(dir)
	from, _ := strconv.Atoi(os.Getenv(killDir + "_FROM"))
	for w := range killWriters {
		go func() {
			for i := from + w; ; i += killWriters {
				if _, err := p.SetRecords(context.Background(), "example.test", []libdns.Record{killRecord(i)}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(i)
			}
		}()
	}
	select {}
}

func killRecord(i int) libdns.Record {
	return address(fmt.Sprintf("host%d", i), fmt.Sprintf("10.0.%d.%d", i/256, i%256))
}

func TestKilledInTheMiddle(t *testing.T) {
	const kills, updates = 50, 1000
	dir := t.TempDir()
	z := newTestZone(t, dir, new(Zone))
	// Written without the lock: who ever held it in this process would keep it
	// fresh for a process that is killed.
	s, err := z.get(context.Background(), z.storage)
	if err != nil {
		t.Fatal(err)
	}
	if err := z.storage.Store(context.Background(), z.key(), s.Format()); err != nil {
		t.Fatal(err)
	}
	confirmed := make(map[int]bool)
	next := 0
	for kill := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("%s_FROM=%d", killDir, next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		confirm := func() {
			if i, err := strconv.Atoi(lines.Text()); err == nil {
				confirmed[i] = true
				next = max(next, i+1)
			}
		}
		for until := len(confirmed) + updates/kills; len(confirmed) < until && lines.Scan(); {
			confirm()
		}
		time.Sleep(time.Duration(kill*kill%40) * 100 * time.Microsecond)
		_ = cmd.Process.Kill()
		for lines.Scan() { // confirmed before the kill, read after it
			confirm()
		}
		_ = cmd.Wait()

		data, err := os.ReadFile(z.file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := zonedata.Parse("example.test.", "example.test.zone", data)
		if err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		for i := range confirmed {
			if !s.Has(fmt.Sprintf("host%d.example.test.", i)) {
				t.Fatalf("after kill %d: host%d was confirmed and is lost", kill, i)
			}
		}
		// The storage takes the dead process's lock for stale after 10 s. Once is enough to wait for that.
		if kill < kills-1 {
			locks, _ := filepath.Glob(filepath.Join(dir, "locks", "*"))
			for _, l := range locks {
				_ = os.Remove(l)
			}
		}
	}
	if len(confirmed) < updates {
		t.Fatalf("only %d updates", len(confirmed))
	}
	t.Logf("%d confirmed changes, %d kills", len(confirmed), kills)
	if testing.Short() {
		return
	}
	z.add(t, "after", "192.0.2.1")
	if !z.holds("after", "192.0.2.1") {
		t.Error("after the last kill, the zone cannot be changed")
	}
}
