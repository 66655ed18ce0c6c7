package nameserver

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// An editor that saves in place has written half of the file when it is
// looked at.
func TestHalfWrittenEdit(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	z.add(t, "a", "192.0.2.1")
	z.add(t, "b", "192.0.2.2")
	data, err := os.ReadFile(z.file)
	if err != nil {
		t.Fatal(err)
	}
	half := strings.Index(string(data), "b\t60")
	f, err := os.OpenFile(z.file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data[:half]); err != nil {
		t.Fatal(err)
	}
	serial := z.serial()
	synced := make(chan error)
	go func() { synced <- z.sync(context.Background(), z.storage) }()
	time.Sleep(quiet / 2)
	if _, err := f.WriteString(string(data[half:]) + "c\t60\tIN\tA\t192.0.2.3\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	if !z.holds("a", "192.0.2.1") || !z.holds("b", "192.0.2.2") || !z.holds("c", "192.0.2.3") || !zonedata.SerialLess(serial, z.serial()) {
		t.Errorf("%s", z.served.Load().Format())
	}
	if data, _ := os.ReadFile(z.file); !strings.Contains(string(data), "192.0.2.3") {
		t.Errorf("the edit is lost:\n%s", data)
	}
}

// A provider that comes in between does not write over the edit either.
func TestUpdateDuringAnEdit(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	z.add(t, "a", "192.0.2.1")
	data, err := os.ReadFile(z.file)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data) + "b\t60\tIN\tA\t192.0.2.2\n"
	if err := os.WriteFile(z.file, []byte(whole[:len(whole)-2]), 0o600); err != nil {
		t.Fatal(err)
	}
	updated := make(chan error)
	go func() {
		updated <- z.update(context.Background(), z.storage, func(d *zonedata.Draft) error {
			_, err := appendRecords(d, []libdns.Record{address("c", "192.0.2.3")})
			return err
		})
	}()
	time.Sleep(quiet / 2)
	if err := os.WriteFile(z.file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-updated; err != nil {
		t.Fatal(err)
	}
	for name, ip := range map[string]string{"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"} {
		if !z.holds(name, ip) {
			t.Errorf("%s is lost", name)
		}
	}
}

func TestLastLineMustEnd(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	z.add(t, "a", "192.0.2.1")
	data, err := os.ReadFile(z.file)
	if err != nil {
		t.Fatal(err)
	}
	edited := string(data) + "b\t60\tIN\tA\t192.0.2.2"
	writeSettled(t, z.file, edited)
	if err := z.sync(context.Background(), z.storage); err == nil || !strings.Contains(err.Error(), "nameserver/example.test.zone: line 9: the last line does not end") {
		t.Errorf("%v", err)
	}
	z.add(t, "c", "192.0.2.3")
	if data, _ := os.ReadFile(z.file + ".bad"); string(data) != edited {
		t.Errorf("an edit that may not be whole is not set aside: %s", data)
	}
}

// Records of the configuration that an edit takes out come back, and what it
// changes beside them stays.
func TestEditTakesOutWhatTheConfigurationSays(t *testing.T) {
	z := newTestZone(t, t.TempDir(), &Zone{Records: []Record{{"www", "A", "192.0.2.1"}, {"www", "A", "192.0.2.2"}, {"mail", "A", "192.0.2.3"}}})
	z.add(t, "set", "192.0.2.4")
	data, err := os.ReadFile(z.file)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if !strings.HasPrefix(line, "mail\t") && !strings.Contains(line, "192.0.2.2 ") {
			kept = append(kept, strings.ReplaceAll(line, "192.0.2.4", "192.0.2.5"))
		}
	}
	writeSettled(t, z.file, strings.Join(kept, "")+"new\t60\tIN\tA\t192.0.2.6\n")
	z.syncNow(t)
	for name, ips := range map[string][]string{"www": {"192.0.2.1", "192.0.2.2"}, "mail": {"192.0.2.3"}, "set": {"192.0.2.5"}, "new": {"192.0.2.6"}} {
		for _, ip := range ips {
			if !z.holds(name, ip) {
				t.Errorf("%s %s is not there", name, ip)
			}
		}
	}
	if data, _ := os.ReadFile(z.file); !strings.Contains(string(data), "mail\t300\tIN\tA\t192.0.2.3 ; config of test\n") {
		t.Errorf("%s", data)
	}

	// Something else in its place gives way.
	data, err = os.ReadFile(z.file)
	if err != nil {
		t.Fatal(err)
	}
	writeSettled(t, z.file, strings.Replace(string(data), "mail\t300\tIN\tA\t192.0.2.3 ; config of test\n", "mail\t300\tIN\tCNAME\twww\n", 1))
	z.syncNow(t)
	s := z.served.Load()
	if !z.holds("mail", "192.0.2.3") || len(s.RRset("mail.example.test.", dns.TypeCNAME)) > 0 {
		t.Errorf("%s", s.Format())
	}
}

// While the storage cannot be written, secondaries hear of a change once.
func TestFailedWritesAreOneChange(t *testing.T) {
	dir := t.TempDir()
	newTestZone(t, dir, new(Zone)).syncNow(t)
	z := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}})
	changes := z.watch()
	failing := failingStorage{&certmagic.FileStorage{Path: dir}}
	if err := z.sync(context.Background(), failing); err == nil {
		t.Fatal("stored")
	}
	<-changes
	serial := z.serial()
	for range 5 {
		if err := z.sync(context.Background(), failing); err == nil {
			t.Fatal("stored")
		}
	}
	if z.serial() != serial || len(changes) > 0 {
		t.Errorf("serial %d, then %d; changes: %d", serial, z.serial(), len(changes))
	}
	z.syncNow(t)
	if data, _ := os.ReadFile(z.file); z.serial() != serial || !strings.Contains(string(data), "192.0.2.1") {
		t.Errorf("serial %d; %s", z.serial(), data)
	}
}
