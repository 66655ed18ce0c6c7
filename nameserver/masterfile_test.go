package nameserver

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// What the provider confirms is read again after a restart.
func TestAcceptedRecordsAreReadAgain(t *testing.T) {
	for _, rec := range []libdns.RR{
		{Name: "$ttl", Type: "A", Data: "192.0.2.1"},
		{Name: "$origin", Type: "A", Data: "192.0.2.1"},
		{Name: "$include", Type: "A", Data: "192.0.2.1"},
		{Name: "$generate", Type: "A", Data: "192.0.2.1"},
		{Name: `a\ b;c"d(e`, Type: "A", Data: "192.0.2.1"},
		{Name: `\@`, Type: "A", Data: "192.0.2.1"},
		{Name: "x", Type: "NULL", Data: `\# 2 0a0a`},
		{Name: "x", Type: "TYPE10", Data: `\# 1 00`},
		{Name: "x", Type: "TYPE300", Data: `\# 2 beef`},
		{Name: "x", Type: "LOC", Data: "60 37 50.141 S 149 10 57.796 E 7618873.28m 10000000m 7000m 0m"},
	} {
		dir := t.TempDir()
		p := providerAt(dir)
		newTestZone(t, dir, new(Zone)).syncNow(t)
		if err := set(p)([]libdns.Record{rec}); err != nil {
			t.Errorf("%v: %v", rec, err)
			continue
		}
		all, err := p.GetRecords(context.Background(), "example.test.")
		if err != nil {
			t.Errorf("%v: %v", rec, err)
			continue
		}
		i := slices.IndexFunc(all, func(r libdns.Record) bool { return r.RR().Type != "NS" })
		if i < 0 {
			t.Errorf("%v is lost", rec)
			continue
		}
		if gone, err := p.DeleteRecords(context.Background(), "example.test.", []libdns.Record{all[i]}); err != nil || len(gone) != 1 {
			t.Errorf("%v: deleting what was got, %v: %v %v", rec, all[i], gone, err)
		}
	}
}

func TestIncompleteDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	z := newTestZone(t, dir, new(Zone))
	z.syncNow(t)
	for _, rec := range []libdns.RR{
		{Name: "x", Type: "TYPE15", Data: `\# 2 0001`},
		{Name: "x", Type: "TYPE33", Data: `\# 6 000100020003`},
		{Name: "x", Type: "TYPE65", Data: `\# 2 0001`},
	} {
		if err := set(providerAt(dir))([]libdns.Record{rec}); err == nil || !strings.Contains(err.Error(), "incomplete") {
			t.Errorf("%v: %v", rec, err)
		}
	}
	if data, _ := os.ReadFile(z.file); strings.Contains(string(data), "\nx\t") {
		t.Errorf("%s", data)
	}
}

// Whatever data of whatever type is accepted, the file that holds it is read
// as the same zone.
func TestRoundTripOfAllTypes(t *testing.T) {
	base, err := zonedata.Parse("example.test.", "f", []byte("@ 300 IN SOA a b 1 2 3 4 5\n@ 300 IN NS a\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	accepted := make(map[uint16]bool)
	for typ := uint16(1); typ < 300; typ++ {
		for range 300 {
			data := make([]byte, r.IntN(24))
			for i := range data {
				data[i] = []byte{byte(r.IntN(8)), byte(r.IntN(256)), byte(' ' + r.IntN(95))}[r.IntN(3)]
			}
			rr, err := fromRR(base.Edit(), libdns.RR{
				Name: "x", TTL: time.Minute, Type: fmt.Sprintf("TYPE%d", typ),
				Data: fmt.Sprintf(`\# %d %s`, len(data), hex.EncodeToString(data)),
			})
			if err != nil {
				continue
			}
			d := base.Edit()
			if err := d.Add(zonedata.Record{RR: rr}); err != nil {
				continue
			}
			s, err := d.Build()
			if err != nil {
				continue
			}
			accepted[typ] = true
			again, err := zonedata.Parse("example.test.", "f", s.Format())
			if err != nil || !again.Same(s) {
				t.Fatalf("%v is written as\n%s\nand read with %v", rr, s.Format(), err)
			}
		}
	}
	for _, typ := range []uint16{dns.TypeA, dns.TypeMX, dns.TypeTXT, dns.TypeNULL, dns.TypeCAA, 299} {
		if !accepted[typ] {
			t.Errorf("no data of type %s was accepted", zonedata.TypeName(typ))
		}
	}
}

// A letter may be written as its number, and is a letter nevertheless.
func TestEscapedUpperCase(t *testing.T) {
	s, err := zonedata.Parse("example.test.", "f", []byte("@ 300 IN SOA a b 1 2 3 4 5\n@ 300 IN NS a\n\\065b 300 IN A 192.0.2.1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Has("ab.example.test.") {
		t.Errorf("%s", s.Format())
	}
	if name, err := zonedata.OwnerName("example.test.", `\065b`); err != nil || name != "ab.example.test." {
		t.Errorf("%s, %v", name, err)
	}
}

func FuzzZoneFile(f *testing.F) {
	f.Add(answerZone)
	f.Add("$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS \\@\\032\\; ; config, address follows @\n@ TXT \"\\\"\\\\\\000\"\n@ A 192.0.2.1\n")
	for _, record := range []string{`\$ttl A 192.0.2.1`, `x TYPE10 \# 1 00`, `x TYPE15 \# 2 0001`, `\065b A 192.0.2.1`} {
		f.Add("$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS a\n" + record + "\n")
	}
	f.Fuzz(func(t *testing.T, file string) {
		if strings.Contains(strings.ToUpper(file), "$GENERATE") {
			return
		}
		s, err := zonedata.Parse("example.test.", "test.zone", []byte(file))
		if err != nil {
			return
		}
		for r := range s.All() {
			if err := zonedata.CheckWritable(s.Origin, r); err != nil {
				t.Error(err)
			}
		}
		again, err := zonedata.Parse("example.test.", "test.zone", s.Format())
		if err != nil {
			t.Fatalf("%v in what was written as\n%s", err, s.Format())
		}
		if !again.Same(s) || again.SOA.Serial != s.SOA.Serial {
			t.Fatalf("written as\n%s\nread as\n%s", s.Format(), again.Format())
		}
	})
}
