package nameserver

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
)

// After a restart, a file that is no zone any longer costs neither what was in
// it nor what the configuration says.
func TestBadFileAtStart(t *testing.T) {
	for name, bad := range map[string]string{
		"empty":     "",
		"truncated": "; Zone example.test\n$ORIGIN example.test.\n@\t300\tIN\tSO",
		"mistake":   "@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n@ 300 IN NS ns1\nwww 300 IN A 192.0.2\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}}
			before := newTestZone(t, dir, config)
			before.add(t, "set", "192.0.2.2")
			before.syncNow(t)
			if err := before.take(context.Background()); err != nil {
				t.Fatal(err)
			}
			before.keepGood(context.Background(), before.storage, true) // as at the end of a configuration
			before.release()
			writeSettled(t, before.file, bad)

			z := newTestZone(t, dir, config)
			err := z.sync(context.Background(), z.storage)
			if err == nil || !strings.Contains(err.Error(), "nameserver/example.test.zone.bad") {
				t.Errorf("%v", err)
			}
			if !z.holds("www", "192.0.2.1") || !z.holds("set", "192.0.2.2") {
				t.Fatalf("served: %s", z.served.Load().Format())
			}
			if data, _ := os.ReadFile(z.file); string(data) != bad {
				t.Errorf("the file was touched without need: %s", data)
			}
			z.add(t, "new", "192.0.2.3")
			if data, _ := os.ReadFile(z.file + ".bad"); string(data) != bad {
				t.Errorf("set aside: %q", data)
			}
			if data, _ := os.ReadFile(z.file); !strings.Contains(string(data), "192.0.2.2") || !strings.Contains(string(data), "192.0.2.3") {
				t.Errorf("%s", data)
			}
			z.syncNow(t)
		})
	}
}

// Without any good copy, what the configuration says stands by itself.
func TestBadFileWithoutGoodCopy(t *testing.T) {
	z := newTestZone(t, t.TempDir(), &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}})
	if err := os.MkdirAll(strings.TrimSuffix(z.file, "/example.test.zone"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeSettled(t, z.file, "not a zone\n")
	if err := z.sync(context.Background(), z.storage); err == nil {
		t.Error("nobody was told")
	}
	if !z.holds("www", "192.0.2.1") {
		t.Error("the configuration is not served")
	}
	z.add(t, "new", "192.0.2.3")
	z.syncNow(t)
}

// A person who breaks the file while Caddy runs, and then stops Caddy, loses
// nothing either.
func TestBadFileKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	z := newTestZone(t, dir, new(Zone))
	z.add(t, "set", "192.0.2.2")
	writeSettled(t, z.file, "broken\n")
	_ = z.sync(context.Background(), z.storage)
	again := newTestZone(t, dir, new(Zone))
	_ = again.sync(context.Background(), again.storage)
	if !again.holds("set", "192.0.2.2") {
		t.Error("the record is lost")
	}
}

// Whoever keeps records in the zone hears of an edit by hand, and of nothing
// else.
func TestNotifyChanged(t *testing.T) {
	p := newProvider(t, new(Zone))
	z, key := useZone(p.storage, "example.test.")
	defer zones.Delete(key)
	heard := make(chan struct{}, 10)
	cancel := p.NotifyChanged("Example.Test", func() { heard <- struct{}{} })
	quietly := func(what string) {
		t.Helper()
		select {
		case <-heard:
			t.Errorf("heard of %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := set(p)([]libdns.Record{address("www", "192.0.2.1")}); err != nil {
		t.Fatal(err)
	}
	quietly("its own change")
	file := p.storage.(interface{ Filename(string) string }).Filename(z.key())
	edit := func(old, new string) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeSettled(t, file, strings.Replace(string(data), old, new, 1))
		if err := z.sync(context.Background(), p.storage); err != nil {
			t.Fatal(err)
		}
	}
	edit("192.0.2.1", "192.0.2.2")
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Fatal("the edit was not heard of")
	}
	cancel()
	cancel()
	edit("192.0.2.2", "192.0.2.3")
	quietly("an edit after it was cancelled")
}
