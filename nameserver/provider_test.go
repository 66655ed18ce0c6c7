package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// newProvider returns a provider with a zone that is declared for the length
// of the test, as the app does it.
func newProvider(t testing.TB, config *Zone) *Provider {
	t.Helper()
	p := &Provider{storage: &certmagic.FileStorage{Path: t.TempDir()}, logger: zap.NewNop()}
	d, err := config.declare(newReplacer(), "example.test.", func() string { return "test" })
	if err != nil {
		t.Fatal(err)
	}
	z, key := useZone(p.storage, "example.test.")
	z.declare(d)
	z.run(d)
	t.Cleanup(func() {
		z.withdraw(d)
		_, _ = zones.Delete(key)
	})
	return p
}

// rrs returns records as sorted lines, without the name servers.
func rrs(recs []libdns.Record) []string {
	var out []string
	for _, rec := range recs {
		if rr := rec.RR(); rr.Type != "NS" {
			out = append(out, fmt.Sprintf("%s %s %s %s", rr.Name, rr.TTL, rr.Type, rr.Data))
		}
	}
	slices.Sort(out)
	return out
}

func wantRecords(t *testing.T, p *Provider, want ...string) {
	t.Helper()
	recs, err := p.GetRecords(context.Background(), "example.test.")
	if err != nil {
		t.Fatal(err)
	}
	if got := rrs(recs); !slices.Equal(got, want) {
		t.Errorf("zone holds:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAllTypes(t *testing.T) {
	p := newProvider(t, new(Zone))
	ttl := 2 * time.Minute
	for _, rec := range []libdns.Record{
		libdns.Address{Name: "a", TTL: ttl, IP: netip.MustParseAddr("192.0.2.1")},
		libdns.Address{Name: "a", TTL: ttl, IP: netip.MustParseAddr("2001:db8::1")},
		libdns.CAA{Name: "caa", TTL: ttl, Flags: 128, Tag: "issue", Value: `ca.example; account="x\y"`},
		libdns.CNAME{Name: "cname", TTL: ttl, Target: "target.example."},
		libdns.MX{Name: "mx", TTL: ttl, Preference: 10, Target: "mail.example."},
		libdns.NS{Name: "child", TTL: ttl, Target: "ns.example."},
		libdns.SRV{Service: "sip", Transport: "tcp", Name: "srv", TTL: ttl, Priority: 1, Weight: 2, Port: 3, Target: "sip.example."},
		libdns.SRV{Service: "sip", Transport: "udp", Name: "@", TTL: ttl, Priority: 1, Weight: 2, Port: 3, Target: "sip.example."},
		libdns.TXT{Name: "txt", TTL: ttl, Text: `quo"te \ back\slash \000 ; semicolon`},
		libdns.TXT{Name: "empty", TTL: ttl, Text: ""},
		libdns.TXT{Name: "bytes", TTL: ttl, Text: "bücher \x00\x7f\n\"newline"},
		libdns.TXT{Name: "long", TTL: ttl, Text: strings.Repeat(`0123456789"`, 100)},
		libdns.ServiceBinding{Scheme: "https", Name: "https", TTL: ttl, Priority: 1, Target: ".", Params: libdns.SvcParams{"alpn": {"h2", "h3"}}},
		libdns.ServiceBinding{Scheme: "https", Name: "@", TTL: ttl, Priority: 0, Target: "www.example.", Params: libdns.SvcParams{}},
		libdns.ServiceBinding{Scheme: "dns", Name: "svcb", TTL: ttl, Priority: 1, Target: "x.example.", Params: libdns.SvcParams{"port": {"853"}}},
		libdns.RR{Name: "sshfp", TTL: ttl, Type: "SSHFP", Data: "4 2 " + strings.Repeat("ab", 32)},
		libdns.RR{Name: "_443._tcp", TTL: ttl, Type: "TLSA", Data: "3 1 1 " + strings.Repeat("ab", 32)},
		libdns.RR{Name: "*", TTL: ttl, Type: "A", Data: "192.0.2.9"},
	} {
		name := rec.RR().Name + " " + rec.RR().Type
		added, err := p.AppendRecords(context.Background(), "example.test.", []libdns.Record{rec})
		if err != nil || len(added) != 1 {
			t.Errorf("%s: append: %v %v", name, added, err)
			continue
		}
		all, err := p.GetRecords(context.Background(), "example.test.")
		if err != nil {
			t.Fatal(err)
		}
		var got libdns.Record
		for _, r := range all {
			if r.RR().Name == rec.RR().Name && r.RR().Type == rec.RR().Type && r.RR().Type != "NS" || r.RR().Name == "child" && rec.RR().Name == "child" {
				got = r
			}
		}
		if got == nil {
			t.Errorf("%s: not there", name)
			continue
		}
		switch rec.(type) {
		case libdns.RR:
		default:
			if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", rec) {
				t.Errorf("%s: got a %T", name, got)
			}
		}
		if sb, ok := got.(libdns.ServiceBinding); ok {
			if fmt.Sprint(sb) != fmt.Sprint(rec) {
				t.Errorf("got  %+v\nwant %+v", sb, rec)
			}
		} else if a, b := got.RR(), rec.RR(); a.Data != b.Data || a.TTL != b.TTL {
			if r, ok := rec.(libdns.RR); !ok || r.Type != "SSHFP" && r.Type != "TLSA" || !strings.EqualFold(a.Data, b.Data) {
				t.Errorf("got  %+v\nwant %+v", a, b)
			}
		}
		deleted, err := p.DeleteRecords(context.Background(), "example.test.", []libdns.Record{rec})
		if err != nil || len(deleted) != 1 {
			t.Errorf("%s: delete: %v %v", name, deleted, err)
		}
	}
	wantRecords(t, p)
}

// The examples of the documentation of libdns.RecordSetter.
func TestSetRecords(t *testing.T) {
	ctx := context.Background()
	p := newProvider(t, new(Zone))
	set := func(recs ...libdns.Record) {
		t.Helper()
		out, err := p.SetRecords(ctx, "example.test", recs)
		if err != nil || len(out) != len(recs) {
			t.Fatalf("%v, %v", out, err)
		}
	}
	set(address("alpha", "192.0.2.1"), address("alpha", "192.0.2.2"), libdns.TXT{Name: "alpha", TTL: time.Minute, Text: "hello world"})
	set(address("alpha", "192.0.2.3"))
	wantRecords(t, p, "alpha 1m0s A 192.0.2.3", "alpha 1m0s TXT hello world")
	set(address("alpha", "2001:db8::1"), address("alpha", "2001:db8::2"), address("beta", "2001:db8::3"))
	set(address("alpha", "2001:db8::1"), address("alpha", "2001:db8::5"), address("alpha", "192.0.2.3"))
	wantRecords(t, p, "alpha 1m0s A 192.0.2.3", "alpha 1m0s AAAA 2001:db8::1", "alpha 1m0s AAAA 2001:db8::5",
		"alpha 1m0s TXT hello world", "beta 1m0s AAAA 2001:db8::3")

	before := serialOf(t, p)
	set(address("beta", "2001:db8::3"), address("BETA.example.test.", "2001:db8::3"))
	if serialOf(t, p) != before {
		t.Error("setting what is there changed the zone")
	}
	set(libdns.Address{Name: "ttl", IP: netip.MustParseAddr("192.0.2.1")}, libdns.Address{Name: "none", TTL: time.Millisecond, IP: netip.MustParseAddr("192.0.2.1")})
	recs, _ := p.GetRecords(ctx, "example.test.")
	for _, want := range []string{"ttl 5m0s A 192.0.2.1", "none 0s A 192.0.2.1"} {
		if !slices.Contains(rrs(recs), want) {
			t.Errorf("%s is not in %v", want, rrs(recs))
		}
	}
}

func serialOf(t testing.TB, p *Provider) uint32 {
	t.Helper()
	z, key := useZone(p.storage, "example.test.")
	defer zones.Delete(key)
	s, err := z.get(context.Background(), p.storage)
	if err != nil {
		t.Fatal(err)
	}
	return s.SOA.Serial
}

func TestAppendAndDelete(t *testing.T) {
	ctx := context.Background()
	p := newProvider(t, new(Zone))
	mustAppend := func(recs ...libdns.Record) []libdns.Record {
		t.Helper()
		out, err := p.AppendRecords(ctx, "example.test.", recs)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	mustAppend(address("www", "192.0.2.1"))
	later := address("www", "192.0.2.2")
	later.TTL = time.Hour
	if out := mustAppend(later); out[0].RR().TTL != time.Minute {
		t.Errorf("appended to an RRset of TTL 1m: %v", out)
	}
	mustAppend(libdns.TXT{Name: "www", TTL: time.Minute, Text: "x"})
	first, second := address("new", "192.0.2.1"), address("new", "192.0.2.2")
	second.TTL = time.Hour
	if out := mustAppend(first, second); out[1].RR().TTL != time.Minute {
		t.Errorf("appended together with a record of TTL 1m: %v", out)
	}
	if out, err := p.DeleteRecords(ctx, "example.test.", []libdns.Record{libdns.RR{Name: "new"}}); err != nil || len(out) != 2 {
		t.Errorf("deleted %v, %v", out, err)
	}
	wantRecords(t, p, "www 1m0s A 192.0.2.1", "www 1m0s A 192.0.2.2", "www 1m0s TXT x")

	for _, tc := range []struct {
		what    string
		rec     libdns.RR
		deleted int
	}{
		{"another value", libdns.RR{Name: "www", Type: "A", TTL: time.Minute, Data: "192.0.2.9"}, 0},
		{"another TTL", libdns.RR{Name: "www", Type: "A", TTL: time.Hour, Data: "192.0.2.1"}, 0},
		{"another type", libdns.RR{Name: "www", Type: "AAAA"}, 0},
		{"another name", libdns.RR{Name: "ww"}, 0},
		{"nonsense data", libdns.RR{Name: "www", Type: "A", Data: "nonsense"}, 0},
		{"any TTL", libdns.RR{Name: "www", Type: "A", Data: "192.0.2.1"}, 1},
		{"any type", libdns.RR{Name: "www", Data: "192.0.2.2"}, 1},
		{"all", libdns.RR{Name: "WWW"}, 1},
	} {
		out, err := p.DeleteRecords(ctx, "example.test.", []libdns.Record{tc.rec})
		if err != nil || len(out) != tc.deleted {
			t.Errorf("%s: deleted %v, %v", tc.what, out, err)
		}
	}
	wantRecords(t, p)
}

func TestRefusedChangesChangeNothing(t *testing.T) {
	ctx := context.Background()
	p := newProvider(t, &Zone{Records: []Record{{"fixed", "A", "192.0.2.1"}, {"@", "TXT", `"v=spf1 -all"`}}})
	if _, err := p.SetRecords(ctx, "example.test.", []libdns.Record{address("@", "192.0.2.7"), address("www", "192.0.2.7")}); err != nil {
		t.Fatal(err)
	}
	before := serialOf(t, p)
	good := address("good", "192.0.2.1")
	for _, tc := range []struct {
		what string
		call func([]libdns.Record) error
		rec  libdns.Record
		want string
	}{
		{"set fixed", set(p), address("fixed", "192.0.2.2"), "is fixed by the configuration"},
		{"delete fixed", del(p), libdns.RR{Name: "fixed"}, "is fixed by the configuration"},
		{"delete NS", del(p), libdns.RR{Name: "@", Type: "NS"}, "is fixed by the configuration"},
		{"delete derived", del(p), libdns.RR{Name: "ns1", Type: "A"}, "follows the addresses of the zone's own name"},
		{"CNAME beside others", set(p), libdns.CNAME{Name: "www", Target: "x."}, "a CNAME record can have no other records beside it"},
		{"CNAME at the apex", set(p), libdns.CNAME{Name: "@", Target: "x."}, "the zone's own name has SOA and NS records"},
		{"CNAME of a name server", set(p), libdns.CNAME{Name: "ns1", Target: "x."}, "must not be an alias"},
		{"SOA", set(p), libdns.RR{Name: "@", Type: "SOA", Data: "a b 1 2 3 4 5"}, "a zone has one SOA record"},
		{"outside", set(p), address("www.example.net.", "192.0.2.1"), "outside the zone"},
		{"bad name", set(p), address(strings.Repeat("x", 64), "192.0.2.1"), "not a domain name"},
		{"bad type", set(p), libdns.RR{Name: "x", Type: "BAD", Data: "x"}, "is no record type"},
		{"bad data", set(p), libdns.RR{Name: "x", Type: "MX", Data: "mail"}, "not the data of a record of type MX"},
		{"second record", set(p), libdns.RR{Name: "x", Type: "PTR", Data: "a.\nevil A 192.0.2.1"}, "a record is one line"},
		{"AAAA of IPv4", set(p), libdns.RR{Name: "x", Type: "AAAA", Data: "192.0.2.1"}, "is not an address for a record of type AAAA"},
		{"no address", set(p), libdns.Address{Name: "x"}, "is not an IP address"},
	} {
		recs := []libdns.Record{good, tc.rec}
		if err := tc.call(recs); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want %s", tc.what, err, tc.want)
		}
	}
	if serialOf(t, p) != before {
		t.Error("a refused call changed the zone")
	}
	// What does not take anything of the configuration away is allowed.
	if err := set(p)([]libdns.Record{libdns.TXT{Name: "@", Text: "v=spf1 -all"}, libdns.TXT{Name: "@", Text: "more"}}); err != nil {
		t.Error(err)
	}
	if err := del(p)([]libdns.Record{libdns.TXT{Name: "@", Text: "more"}}); err != nil {
		t.Error(err)
	}
}

func set(p *Provider) func([]libdns.Record) error {
	return func(recs []libdns.Record) error {
		_, err := p.SetRecords(context.Background(), "example.test.", recs)
		return err
	}
}

func del(p *Provider) func([]libdns.Record) error {
	return func(recs []libdns.Record) error {
		_, err := p.DeleteRecords(context.Background(), "example.test.", recs)
		return err
	}
}

func TestNameServerFollowsTheZone(t *testing.T) {
	p := newProvider(t, new(Zone))
	if err := set(p)([]libdns.Record{address("@", "192.0.2.1"), address("@", "2001:db8::1")}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p, "@ 1m0s A 192.0.2.1", "@ 1m0s AAAA 2001:db8::1", "ns1 1m0s A 192.0.2.1", "ns1 1m0s AAAA 2001:db8::1")
	if err := set(p)([]libdns.Record{address("@", "192.0.2.2")}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p, "@ 1m0s A 192.0.2.2", "@ 1m0s AAAA 2001:db8::1", "ns1 1m0s A 192.0.2.2", "ns1 1m0s AAAA 2001:db8::1")
	if err := set(p)([]libdns.Record{address("ns1", "192.0.2.53")}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p, "@ 1m0s A 192.0.2.2", "@ 1m0s AAAA 2001:db8::1", "ns1 1m0s A 192.0.2.53", "ns1 1m0s AAAA 2001:db8::1")
	if err := del(p)([]libdns.Record{libdns.RR{Name: "@", Type: "A"}, libdns.RR{Name: "@", Type: "AAAA"}, libdns.RR{Name: "ns1"}}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p)
}

func TestAppendedAddressOfTheNameServer(t *testing.T) {
	p := newProvider(t, new(Zone))
	if err := set(p)([]libdns.Record{address("@", "192.0.2.1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AppendRecords(context.Background(), "example.test", []libdns.Record{address("ns1", "192.0.2.53")}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p, "@ 1m0s A 192.0.2.1", "ns1 1m0s A 192.0.2.1", "ns1 1m0s A 192.0.2.53")
}

func TestZonesOfTheProvider(t *testing.T) {
	ctx := context.Background()
	p := newProvider(t, new(Zone))
	for _, zone := range []string{"other.test.", "www.example.test."} {
		if _, err := p.GetRecords(ctx, zone); !errors.Is(err, errNoZone) {
			t.Errorf("%s: %v", zone, err)
		}
		if _, err := p.SetRecords(ctx, zone, []libdns.Record{address("www", "192.0.2.1")}); !errors.Is(err, errNoZone) || !strings.Contains(err.Error(), "add `zone "+zone[:len(zone)-1]+"`") {
			t.Errorf("%s: %v", zone, err)
		}
	}
	// Before anything is written, and after.
	for range 2 {
		list, err := p.ListZones(ctx)
		if err != nil || len(list) != 1 || list[0].Name != "example.test." {
			t.Errorf("zones: %v, %v", list, err)
		}
		if err := set(p)([]libdns.Record{address("www", "192.0.2.1")}); err != nil {
			t.Fatal(err)
		}
	}
	// A provider without the app uses the file of a zone that another Caddy serves.
	z, _ := useZone(p.storage, "example.test.")
	d, _ := z.declarations()
	z.withdraw(d)
	defer z.declare(d)
	defer zones.Delete(zoneKey{storageID(p.storage), "example.test."})
	wantRecords(t, p, "www 1m0s A 192.0.2.1")
}

func TestConcurrentChanges(t *testing.T) {
	p := newProvider(t, new(Zone))
	var wg sync.WaitGroup
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("www 1m0s A 192.0.2.%d", i))
		wg.Go(func() {
			if _, err := p.AppendRecords(context.Background(), "example.test.", []libdns.Record{address("www", fmt.Sprintf("192.0.2.%d", i))}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := p.GetRecords(context.Background(), "example.test."); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	wantRecords(t, p, want...)
}

func TestEscapes(t *testing.T) {
	for _, s := range []string{"", "plain", `"`, `\`, `\\`, `\000`, "\x00\xff", `a\"b`} {
		if got := zonedata.UnescapeText(zonedata.EscapeText(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}
