package dyndns

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestHostUnread: a host whose entry cannot be read at the start stays as it is,
// and its client is told so; all others go on. It is well once the entry can be
// read.
func TestHostUnread(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com,www.example.net&myip="+addr1, "200 good "+addr1+"\ngood "+addr1)
		b.stop()
		entry := filepath.Join(b.storage, "dynamic_dns", "server", "hosts", "home.example.com.json")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Rename(entry, entry+".kept"))
		// A link to itself can be read by nobody, not even root.
		must(os.Symlink(entry, entry))
		for _, option := range []string{"", `"ttl": 120000000000,`, `"withdraw": true,`} {
			b.load(b.config(option))
			b.update("hostname=home.example.com&myip="+addr2, "503 911")
			b.update("hostname=www.example.net&myip="+addr2, map[bool]string{true: "200 good ", false: "200 nochg "}[option == ""]+addr2)
			time.Sleep(time.Hour)
			b.expect(origin, "home", "A", addr1)
			s := b.status()
			health := s.Health()
			if s.InSync != nil && *s.InSync || health.Healthy || !strings.Contains(health.Reasons[0].Reason, "home.example.com: what is on record") {
				t.Errorf("in sync is %v, and health %+v", s.InSync, health)
			}
		}
		b.stop()
		time.Sleep(time.Minute)
		if p := b.filePlan(b.json([]string{b.config("")}, "")); len(p.Zones) != 2 {
			t.Errorf("planned %+v", p)
		}
		b.load(b.config(""))
		if lines := b.logged("error", "some of the clients' hosts"); len(lines) > 4 {
			t.Errorf("said %d times", len(lines))
		}
		must(os.Rename(entry+".kept", entry))
		time.Sleep(5 * time.Second)
		b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
		b.update("hostname=home.example.com&myip="+addr2, "200 good "+addr2)
		if s := b.status(); s.InSync == nil || !*s.InSync {
			t.Error("not in sync")
		}
		if lines := b.logged("info", "can be read again"); len(lines) != 1 {
			t.Errorf("said %d times", len(lines))
		}
	})
}

// TestUnlisted: where the storage does not tell which hosts are on record, that
// all is well is not said.
func TestUnlisted(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		// A file where a directory is to be.
		server := filepath.Join(b.storage, "dynamic_dns", "server")
		must(os.MkdirAll(filepath.Dir(server), 0o700))
		must(os.WriteFile(server, nil, 0o600))
		b.load(b.config(""))
		time.Sleep(time.Hour)
		b.update("hostname=home.example.com&myip="+addr1, "503 911")
		if s := b.status(); s.InSync != nil || !strings.Contains(s.Reason, "on record") || s.Health().Healthy {
			t.Errorf("in sync is %v, for %q", s.InSync, s.Reason)
		}
		must(os.Remove(server))
		time.Sleep(time.Minute)
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
	})
}

// TestStorageSaidOnce: a storage that is away is worth one line, whatever its
// errors say, and one once it is back.
func TestStorageSaidOnce(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	k := &keeper{logger: zap.New(core)}
	said := ""
	for port := range 100 {
		said = k.complain(said, fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:6379: i/o timeout", 40000+port))
	}
	said = k.complain(said, context.Canceled)
	for range 3 {
		said = k.complain(said, nil)
	}
	if lines := logged.TakeAll(); len(lines) != 2 || lines[0].Level != zap.ErrorLevel || lines[1].Level != zap.InfoLevel {
		t.Errorf("said %+v", lines)
	}
}
