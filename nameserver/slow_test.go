package nameserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/miekg/dns"
)

func init() { caddy.RegisterModule(new(hungStorage)) }

// hungStorage does not return what zones it holds, nor heeds its context, as a
// file system does that has lost its server.
type hungStorage struct{ certmagic.FileStorage }

func (*hungStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.hung", New: func() caddy.Module { return new(hungStorage) }}
}

func (s *hungStorage) CertMagicStorage() (certmagic.Storage, error) { return s, nil }

func (s *hungStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if strings.HasPrefix(key, storagePrefix) {
		select {}
	}
	return s.FileStorage.Load(ctx, key)
}

func TestStorageThatHangs(t *testing.T) {
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := configFor(t, t.TempDir(), &App{Listen: []string{server}, Zones: map[string]*Zone{"a.test": {}, "b.test": {}}})
	config = bytes.Replace(config, []byte(`"file_system"`), []byte(`"hung"`), 1)
	config = bytes.Replace(config, []byte(`"root"`), []byte(`"Path"`), 1)
	done := make(chan error, 1)
	go func() { done <- caddy.Load(config, true) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(loadTimeout + 5*time.Second):
		t.Fatal("Caddy does not start")
	}
	if r := ask(t, "udp", server, "a.test.", dns.TypeSOA); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", r)
	}
	began := time.Now()
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > stopTimeout+2*time.Second {
		t.Errorf("stopping took %s", d)
	}
}

// A zone that somebody else holds the lock of does not hold up the others.
func TestOneLockedZone(t *testing.T) {
	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	storage := providerAt(dir).storage
	locked := newZone("a.test.").key()
	if err := storage.Lock(context.Background(), locked); err != nil {
		t.Fatal(err)
	}
	defer storage.Unlock(context.Background(), locked)
	load(t, configFor(t, dir, &App{Listen: []string{server}, Zones: map[string]*Zone{"a.test": {}, "b.test": {}, "c.test": {}}}))
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(dir, storagePrefix, "[bc].test.zone"))
		if len(files) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("written after 5 seconds: %v", files)
		}
	}
	file := filepath.Join(dir, storagePrefix, "c.test.zone")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, "hand 300 IN A 192.0.2.1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r := ask(t, "udp", server, "hand.c.test.", dns.TypeA); len(r.Answer) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not served 5 seconds after it was written")
		}
	}
}
