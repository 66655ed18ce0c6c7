package nameserver

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Several Caddys on one storage each have their own records and name servers
// beside those of the others.
func TestCaddysWithDifferentConfigurations(t *testing.T) {
	dir := t.TempDir()
	a := newTestZoneOf(t, dir, "a", &Zone{NameServers: []NameServer{{Host: "ns1", Addresses: []string{"192.0.2.53"}}}, Records: []Record{{"www", "A", "192.0.2.1"}, {"both", "A", "192.0.2.9"}}})
	b := newTestZoneOf(t, dir, "b", &Zone{NameServers: []NameServer{{Host: "ns2", Addresses: []string{"192.0.2.54"}}}, Records: []Record{{"www", "A", "192.0.2.2"}, {"both", "A", "192.0.2.9"}}})
	a.syncNow(t)
	b.syncNow(t)
	a.syncNow(t)
	serial := a.serial()
	for range 3 {
		b.syncNow(t)
		a.syncNow(t)
	}
	if a.serial() != serial || b.serial() != serial {
		t.Errorf("they write over each other: serial %d, then %d and %d", serial, a.serial(), b.serial())
	}
	for _, z := range []*testZone{a, b} {
		if !z.holds("www", "192.0.2.1") || !z.holds("www", "192.0.2.2") || !z.holds("both", "192.0.2.9") ||
			len(z.served.Load().RRset("example.test.", dns.TypeNS)) != 2 {
			t.Errorf("%s", z.served.Load().Format())
		}
	}
	if data, _ := os.ReadFile(a.file); !strings.Contains(string(data), "both\t300\tIN\tA\t192.0.2.9 ; config of a, b\n") {
		t.Errorf("%s", data)
	}

	// One of them changes its mind, and the other's stay.
	a = newTestZoneOf(t, dir, "a", &Zone{NameServers: []NameServer{{Host: "ns1", Addresses: []string{"192.0.2.53"}}}, Records: []Record{{"www", "A", "192.0.2.3"}}})
	a.syncNow(t)
	b.syncNow(t)
	if b.holds("www", "192.0.2.1") || !b.holds("www", "192.0.2.2") || !b.holds("www", "192.0.2.3") || !b.holds("both", "192.0.2.9") {
		t.Errorf("%s", b.served.Load().Format())
	}
}

// What cannot stand beside another Caddy's record is an error, until one of
// them changes.
func TestCaddysThatContradict(t *testing.T) {
	dir := t.TempDir()
	a := newTestZoneOf(t, dir, "a", &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}})
	b := newTestZoneOf(t, dir, "b", &Zone{Records: []Record{{"www", "CNAME", "elsewhere.example."}, {"mine", "A", "192.0.2.2"}}})
	a.syncNow(t)
	err := b.sync(context.Background(), b.storage)
	if err == nil || !strings.Contains(err.Error(), "record www CNAME cannot stand beside A, which the configuration of the Caddy named a says") {
		t.Errorf("%v", err)
	}
	if !b.holds("www", "192.0.2.1") || !b.holds("mine", "192.0.2.2") {
		t.Errorf("%s", b.served.Load().Format())
	}
	a = newTestZoneOf(t, dir, "a", new(Zone))
	a.syncNow(t)
	b.syncNow(t)
	if len(b.served.Load().RRset("www.example.test.", dns.TypeCNAME)) != 1 {
		t.Errorf("%s", b.served.Load().Format())
	}
}

// Two Caddys of one name do not write over each other in turns.
func TestCaddysOfOneName(t *testing.T) {
	dir := t.TempDir()
	a := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.1"}}})
	b := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.2"}}})
	a.syncNow(t)
	b.syncNow(t)
	data, _ := os.ReadFile(a.file)
	for range 3 {
		err := a.sync(context.Background(), a.storage)
		if err == nil || !strings.Contains(err.Error(), "has the name test too") || !strings.Contains(err.Error(), "option name") {
			t.Errorf("%v", err)
		}
		b.syncNow(t)
	}
	if !a.holds("www", "192.0.2.1") || a.holds("www", "192.0.2.2") {
		t.Errorf("%s", a.served.Load().Format())
	}
	if now, _ := os.ReadFile(a.file); string(now) != string(data) {
		t.Errorf("%s", now)
	}
}

// Records of before owners were named belong to whoever reads them first.
func TestMarksWithoutOwner(t *testing.T) {
	dir := t.TempDir()
	z := newTestZone(t, dir, &Zone{Records: []Record{{"www", "A", "192.0.2.2"}}})
	if err := os.MkdirAll(dir+"/nameserver", 0o700); err != nil {
		t.Fatal(err)
	}
	writeSettled(t, z.file, "@ 300 IN SOA ns1 hostmaster 1 2 3 4 5\n@ 300 IN NS ns1 ; config, address follows @\nwww 300 IN A 192.0.2.1 ; config\nset 60 IN A 192.0.2.7\n")
	z.syncNow(t)
	if z.holds("www", "192.0.2.1") || !z.holds("www", "192.0.2.2") || !z.holds("set", "192.0.2.7") {
		t.Errorf("%s", z.served.Load().Format())
	}
}
