package nameserver

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// testZone declares a zone in a storage of its own. Several on one directory
// are like several Caddies on one storage.
type testZone struct {
	*zone
	storage certmagic.Storage
	file    string
}

func newTestZone(t testing.TB, dir string, config *Zone) *testZone {
	t.Helper()
	return newTestZoneOf(t, dir, "test", config)
}

// newTestZoneOf declares a zone for a Caddy with a name.
func newTestZoneOf(t testing.TB, dir, owner string, config *Zone) *testZone {
	t.Helper()
	d, err := config.declare(newReplacer(), "example.test.", func() string { return owner })
	if err != nil {
		t.Fatal(err)
	}
	z := newZone("example.test.")
	z.declare(d)
	z.run(d)
	return &testZone{z, &certmagic.FileStorage{Path: dir}, filepath.Join(dir, "nameserver", "example.test.zone")}
}

func (z *testZone) syncNow(t testing.TB) {
	t.Helper()
	if err := z.sync(context.Background(), z.storage); err != nil {
		t.Fatal(err)
	}
}

func (z *testZone) add(t testing.TB, name, ip string) {
	t.Helper()
	err := z.update(context.Background(), z.storage, func(d *zonedata.Draft) error {
		_, err := appendRecords(d, []libdns.Record{address(name, ip)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writeSettled writes a file as if by hand, a while ago.
func writeSettled(t testing.TB, file, data string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	ago := time.Now().Add(-2 * quiet)
	if err := os.Chtimes(file, ago, ago); err != nil {
		t.Fatal(err)
	}
}

func (z *testZone) serial() uint32 { return z.served.Load().SOA.Serial }

func (z *testZone) holds(name, ip string) bool {
	return slices.ContainsFunc(z.served.Load().RRset(name+".example.test.", dns.TypeA), func(r zonedata.Record) bool {
		return r.RR.(*dns.A).A.String() == ip
	})
}

func TestSerial(t *testing.T) {
	for _, tc := range []struct {
		old  uint32
		now  int64
		want uint32
	}{
		{1, 1000, 1000}, {1000, 1000, 1001}, {1001, 1000, 1002},
		{1<<32 - 1, 1, 1}, // RFC 1982: 1 is after it
		{1<<32 - 1, 1<<32 - 1, 1},
		{3 << 30, 100, 100},
	} {
		if got := zonedata.NextSerial(tc.old, tc.now); got != tc.want || !zonedata.SerialLess(tc.old, got) {
			t.Errorf("after %d at %d: %d", tc.old, tc.now, got)
		}
	}
}

func TestSeveralCaddiesOnOneStorage(t *testing.T) {
	dir := t.TempDir()
	a, b := newTestZone(t, dir, new(Zone)), newTestZone(t, dir, new(Zone))
	a.syncNow(t)
	b.syncNow(t)
	before := b.serial()
	a.add(t, "www", "192.0.2.1")
	b.syncNow(t)
	if !b.holds("www", "192.0.2.1") || b.serial() != a.serial() || !zonedata.SerialLess(before, b.serial()) {
		t.Errorf("b does not have what a wrote: serials %d, %d", a.serial(), b.serial())
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { a.add(t, fmt.Sprintf("a%d", i), "192.0.2.1") })
		wg.Go(func() { b.add(t, fmt.Sprintf("b%d", i), "192.0.2.1") })
	}
	wg.Wait()
	a.syncNow(t)
	b.syncNow(t)
	for i := range 10 {
		for _, name := range []string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)} {
			if !a.holds(name, "192.0.2.1") || !b.holds(name, "192.0.2.1") {
				t.Errorf("%s is lost", name)
			}
		}
	}
}

func TestEditByHand(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	z.add(t, "www", "192.0.2.1")
	serial := z.serial()
	edit := func(old, new string) {
		t.Helper()
		b, err := os.ReadFile(z.file)
		if err != nil {
			t.Fatal(err)
		}
		edited := strings.ReplaceAll(string(b), old, new)
		if edited == string(b) {
			t.Fatalf("%q is not in %s", old, b)
		}
		writeSettled(t, z.file, edited)
	}

	edit("192.0.2.1", "192.0.2.2")
	z.syncNow(t)
	if !z.holds("www", "192.0.2.2") || !zonedata.SerialLess(serial, z.serial()) {
		t.Errorf("a change by hand is not served with a new serial: %s", z.served.Load().Format())
	}
	if b, _ := os.ReadFile(z.file); !strings.Contains(string(b), fmt.Sprint(z.serial())) {
		t.Errorf("the file lacks the new serial %d: %s", z.serial(), b)
	}

	edit("192.0.2.2", "192.0.2")
	err := z.sync(context.Background(), z.storage)
	if err == nil || !strings.Contains(err.Error(), "nameserver/example.test.zone") || !strings.Contains(err.Error(), "line: 7:") {
		t.Errorf("broken file: %v", err)
	}
	if !z.holds("www", "192.0.2.2") {
		t.Error("the last good zone is not served")
	}
	z.add(t, "other", "192.0.2.7") // changes go on, on the last good content
	if b, _ := os.ReadFile(z.file + ".bad"); !strings.Contains(string(b), "A\t192.0.2\n") {
		t.Errorf("the bad file is not set aside: %s", b)
	}
	z.syncNow(t)
	edit("192.0.2.2\n", "192.0.2.3\n")
	z.syncNow(t)
	if !z.holds("www", "192.0.2.3") || !z.holds("other", "192.0.2.7") {
		t.Error("the repaired file is not served")
	}

	edit("www\t60\tIN\tA\t192.0.2.3", "www\t60\tIN\tCNAME\tx\nwww\t60\tIN\tA\t192.0.2.3")
	if err := z.sync(context.Background(), z.storage); err == nil || !strings.Contains(err.Error(), "line 8:") && !strings.Contains(err.Error(), "line 7:") {
		t.Errorf("conflicting records: %v", err)
	}
	if err := os.Remove(z.file); err != nil {
		t.Fatal(err)
	}
	z.syncNow(t)
	if _, err := os.Stat(z.file); err != nil || !z.holds("www", "192.0.2.3") {
		t.Errorf("a lost file is not written again: %v", err)
	}
}

// Some storages know the time of a change by the second only.
func TestEditThatTheTimeDoesNotShow(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	z.add(t, "www", "192.0.2.1")
	z.syncNow(t)
	info, err := os.Stat(z.file)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(z.file)
	if err := os.WriteFile(z.file, []byte(strings.ReplaceAll(string(b), "192.0.2.1", "192.0.2.2")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(z.file, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	z.syncNow(t)
	if !z.holds("www", "192.0.2.2") {
		t.Error("the change is not served")
	}
}

func TestOneTTLPerRRset(t *testing.T) {
	s, err := zonedata.Parse("example.test.", "f", []byte("@ 300 IN SOA a b 1 2 3 4 5\n@ 300 IN NS a\nx 300 IN A 192.0.2.1\nx 60 IN A 192.0.2.2\nx 200 IN TXT a\n"))
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[uint16]uint32{dns.TypeA: 60, dns.TypeTXT: 200} {
		for _, r := range s.RRset("x.example.test.", typ) {
			if r.RR.Header().Ttl != want {
				t.Errorf("%v, want TTL %d", r.RR, want)
			}
		}
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	const head = "@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n@ 300 IN NS ns1\n\n"
	for _, tc := range []struct{ file, want string }{
		{head + "www 300 IN A 192.0.2.256\n", "line: 4:"},
		{head + "www 300 IN B 192.0.2.1\n", "line: 4:"},
		{head + "; comment\nwww.example.net. 300 IN A 192.0.2.1\n", "line 5: www.example.net. A: the name is outside the zone example.test."},
		{head + "www 300 CH A 192.0.2.1\n", "line 4: www.example.test. A: only class IN is served"},
		{head + "www 300 IN SOA a b 1 2 3 4 5\n", "line 4: www.example.test. SOA: a zone has one SOA record"},
		{head + "*.x 300 IN NS a\n", "line 4: *.x.example.test. NS: a wildcard cannot be delegated"},
		{head + "x 300 IN DNAME a\n", "line 4: x.example.test. DNAME: records of this type need"},
		{head + "a 300 IN A 192.0.2.1\nx 300 IN A 192.0.2.1\nx 300 IN CNAME a\n", "line 6: x.example.test. CNAME: a CNAME record can have no other records"},
		{head + "$INCLUDE /etc/passwd\n", "$INCLUDE directive not allowed"},
		{"@ 300 IN NS ns1\n", "there is no SOA record"},
		{"@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n", "the zone has no NS record"},
	} {
		_, err := zonedata.Parse("example.test.", "example.test.zone", []byte(tc.file))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "example.test.zone: ") {
			t.Errorf("got error %v, want %s", err, tc.want)
		}
	}
}

func TestConfigurationOverrulesTheFile(t *testing.T) {
	dir := t.TempDir()
	before := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.1"}, {"old", "A", "192.0.2.1"}}})
	before.add(t, "set", "192.0.2.2")
	serial := before.serial()

	same := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.1"}, {"old", "A", "192.0.2.1"}}})
	same.syncNow(t)
	if same.serial() != serial {
		t.Error("the same configuration changed the zone")
	}
	after := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.9"}}})
	after.syncNow(t)
	if !after.holds("www", "192.0.2.9") || after.holds("www", "192.0.2.1") || after.holds("old", "192.0.2.1") || !after.holds("set", "192.0.2.2") {
		t.Errorf("%s", after.served.Load().Format())
	}
	if b, _ := os.ReadFile(after.file); !strings.Contains(string(b), "www\t300\tIN\tA\t192.0.2.9 ; config of test\n") || !zonedata.SerialLess(serial, after.serial()) {
		t.Errorf("file:\n%s", b)
	}
}

func TestRecordsGiveWayToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	before := newTestZone(t, dir, new(Zone))
	before.add(t, "www", "192.0.2.1")
	before.add(t, "kept", "192.0.2.1")
	after := newTestZone(t, dir, &Zone{Records: []Record{{"www", "CNAME", "kept"}}})
	after.syncNow(t)
	s := after.served.Load()
	if after.holds("www", "192.0.2.1") || !after.holds("kept", "192.0.2.1") || len(s.RRset("www.example.test.", dns.TypeCNAME)) != 1 {
		t.Errorf("%s", s.Format())
	}
}

// A newer configuration rules while it is there; when it is withdrawn, as after
// a reload that failed, the one before it rules again.
func TestDeclarationsStack(t *testing.T) {
	z := newTestZone(t, t.TempDir(), &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}})
	z.syncNow(t)
	d, err := (&Zone{Records: []Record{{"www", "A", "192.0.2.2"}}}).declare(newReplacer(), z.name, func() string { return "test" })
	if err != nil {
		t.Fatal(err)
	}
	z.declare(d)
	z.syncNow(t)
	if !z.holds("www", "192.0.2.1") {
		t.Error("a configuration rules that has not started")
	}
	z.run(d)
	z.syncNow(t)
	if z.holds("www", "192.0.2.1") || !z.holds("www", "192.0.2.2") {
		t.Error("the newer configuration does not rule")
	}
	z.withdraw(d)
	z.syncNow(t)
	if !z.holds("www", "192.0.2.1") {
		t.Error("the older configuration does not rule again")
	}

	// The same, if the newer one was served but did not come to be written.
	z.declare(d)
	z.run(d)
	if _, err := z.get(context.Background(), z.storage); err != nil || !z.holds("www", "192.0.2.2") {
		t.Fatalf("the newer configuration is not served: %v", err)
	}
	z.withdraw(d)
	z.syncNow(t)
	if b, _ := os.ReadFile(z.file); !z.holds("www", "192.0.2.1") || !strings.Contains(string(b), "192.0.2.1") {
		t.Errorf("the older configuration is not served again; file:\n%s", b)
	}
}

// failingStorage fails to store, after which nothing may have changed.
type failingStorage struct{ *certmagic.FileStorage }

func (failingStorage) Store(context.Context, string, []byte) error { return os.ErrPermission }

func TestFailedWriteChangesNothing(t *testing.T) {
	dir := t.TempDir()
	z := newTestZone(t, dir, new(Zone))
	z.syncNow(t)
	failing := failingStorage{&certmagic.FileStorage{Path: dir}}
	err := z.update(context.Background(), failing, func(d *zonedata.Draft) error {
		_, err := appendRecords(d, []libdns.Record{libdns.Address{Name: "www", IP: netip.MustParseAddr("192.0.2.1")}})
		return err
	})
	if err == nil || z.holds("www", "192.0.2.1") {
		t.Errorf("an update that failed is served: %v", err)
	}
	z.syncNow(t)
	if z.holds("www", "192.0.2.1") {
		t.Error("an update that failed is served later")
	}
}

func TestUpdateHonoursItsContext(t *testing.T) {
	z := newTestZone(t, t.TempDir(), new(Zone))
	if err := z.storage.Lock(context.Background(), z.key()); err != nil {
		t.Fatal(err)
	}
	defer z.storage.Unlock(context.Background(), z.key())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	if err := z.update(ctx, z.storage, func(*zonedata.Draft) error { return nil }); err == nil {
		t.Error("updated without the lock")
	}
	if d := time.Since(started); d > 3*time.Second {
		t.Errorf("took %s", d)
	}
}

// TestBrokenLockIsTaken: the lock of a process that died can be kept fresh for
// ever by one that lives, which then must not wait for it.
func TestBrokenLockIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &brokenLock{held: true}
		z := newZone("example.test.")
		began := time.Now()
		if err := z.lock(t.Context(), storage); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != lockPatience {
			t.Errorf("took %s", took)
		}
	})
}

// brokenLock is a storage whose lock is held until somebody breaks it.
type brokenLock struct {
	certmagic.Storage
	held bool
}

func (b *brokenLock) Lock(ctx context.Context, _ string) error {
	if b.held {
		<-ctx.Done()
		return ctx.Err()
	}
	b.held = true
	return nil
}

func (b *brokenLock) Load(context.Context, string) ([]byte, error) { return []byte("the same"), nil }

func (b *brokenLock) Unlock(context.Context, string) error { b.held = false; return nil }
