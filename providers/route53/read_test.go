package route53

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
)

// TestReadSeesAllPages: also where a page ends between the record sets of one
// name and type.
func TestReadSeesAllPages(t *testing.T) {
	srv, p := setUp(t)
	for i := range 700 {
		srv.Set(zone, fmt.Sprintf("h%03d.example.com", i), "A", 60, "203.0.113.1")
	}
	for i := range 400 {
		srv.SetWeighted(zone, "weighted.example.com", "A", fmt.Sprintf("w%03d", i), 60, "203.0.113.2")
	}
	srv.ResetCalls()
	recs, err := p.GetRecords(t.Context(), zone)
	if err != nil || len(recs) != 1102 {
		t.Errorf("%d records, want 1100, SOA and NS; %v", len(recs), err)
	}
	// One look, whatever there is, at 300 record sets a page.
	if calls := srv.Calls(); calls["ListHostedZonesByName"] != 1 || calls["ListResourceRecordSets"] != 4 {
		t.Errorf("calls %v", calls)
	}
}

// TestReadShowsWhatIsInTheWay: record sets that an update would overwrite, or
// that would refuse it, are told from those that it changes.
func TestReadShowsWhatIsInTheWay(t *testing.T) {
	srv, p := setUp(t)
	srv.SetAlias(zone, "alias.example.com", "A", "lb.example.net")
	srv.Set(zone, "alias.example.com", "AAAA", 60, "2001:db8::1")
	srv.SetAlias(zone, "*.example.com", "AAAA", "lb.example.net")
	srv.SetAlias(zone, "cname.example.com", "CNAME", "www.example.com")
	srv.SetAlias(zone, "mail.example.com", "MX", "other.example.com")
	srv.SetWeighted(zone, "weighted.example.com", "A", "blue", 60, "203.0.113.1")
	srv.Set(zone, "www.example.com", "A", 60, "203.0.113.1")
	recs, err := p.GetRecords(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range recs {
		rr := rec.RR()
		if rr.Type == "SOA" || rr.Type == "NS" {
			continue
		}
		line := fmt.Sprintf("%s %s %s", rr.Name, rr.Type, rr.Data)
		if h, ok := rec.(interface{ Holds() (string, string) }); ok {
			typ, what := h.Holds()
			line += fmt.Sprintf(": %s: %s", typ, what)
		}
		got = append(got, line)
	}
	if want := []string{
		"* ALIAS lb.example.net.: AAAA: an ALIAS record to lb.example.net is in the way",
		"alias ALIAS lb.example.net.: A: an ALIAS record to lb.example.net is in the way",
		"alias AAAA 2001:db8::1",
		"cname CNAME www.example.com.",
		"weighted A 203.0.113.1: A: a record set with a routing policy (weighted) is in the way, and no update can take its place",
		"www A 203.0.113.1",
	}; !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestListZones: all pages, without private zones; and the one of an ID, for which
// no other name will do.
func TestListZones(t *testing.T) {
	srv, p := setUp(t)
	id := srv.AddZone("sub.example.com")
	for i := range 230 {
		srv.AddZone(fmt.Sprintf("z%03d.example.net", i))
	}
	srv.AddPrivateZone("private.example.org")
	names := func(p *Provider) (names []string) {
		zones, err := p.ListZones(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range zones {
			names = append(names, z.Name)
		}
		return names
	}
	if got := names(p); len(got) != 232 || !slices.Contains(got, "example.com.") || !slices.Contains(got, "sub.example.com.") ||
		!slices.Contains(got, "z229.example.net.") || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 232 {
		t.Errorf("%d zones: %v", len(got), got)
	}
	one, err := provision(`{"hosted_zone_id":"` + id + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(one); !slices.Equal(got, []string{"sub.example.com."}) {
		t.Errorf("by its ID: %v", got)
	}
	if _, err := one.GetRecords(t.Context(), "sub.example.com."); err != nil {
		t.Error(err)
	}
	if _, err := one.GetRecords(t.Context(), zone); err == nil || !strings.Contains(err.Error(), "NoSuchHostedZone: the hosted zone") {
		t.Errorf("the records of another zone: %v", err)
	}
}

func TestTexts(t *testing.T) {
	srv, p := setUp(t)
	for name, text := range map[string]string{"plain": "hello world", "quotes": `say "hi" \ bye`, "long": fmt.Sprintf("%0600d", 7), "bytes": "ü\x01"} {
		if _, err := p.AppendRecords(t.Context(), zone, []libdns.Record{libdns.TXT{Name: name, Text: text, TTL: time.Minute}}); err != nil {
			t.Fatal(err)
		}
		recs, err := p.GetRecords(t.Context(), zone)
		if err != nil || !slices.ContainsFunc(recs, func(r libdns.Record) bool {
			rr := r.RR()
			return rr.Name == name && rr.Type == "TXT" && rr.Data == text && rr.TTL == time.Minute
		}) {
			t.Errorf("%s: %q, %v; the API has %q", name, recs, err, srv.Values(zone, name+".example.com", "TXT"))
		}
	}
	srv.Set(zone, "odd.example.com", "A", 60, "no address")
	if _, err := p.GetRecords(t.Context(), zone); err != nil {
		t.Errorf("one odd record fails the rest: %v", err)
	}
}
