package standin

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
)

const zoneName = "example.com."

func rr(name, typ, data string) libdns.RR {
	return libdns.RR{Name: name, Type: typ, Data: data, TTL: time.Hour}
}

func address(name, ip string) libdns.Address {
	return libdns.Address{Name: name, IP: netip.MustParseAddr(ip), TTL: time.Hour}
}

func full(t *testing.T, z *Zones) interface {
	libdns.RecordGetter
	libdns.RecordSetter
	libdns.RecordAppender
	libdns.RecordDeleter
} {
	t.Helper()
	p, ok := z.Provider().(interface {
		libdns.RecordGetter
		libdns.RecordSetter
		libdns.RecordAppender
		libdns.RecordDeleter
	})
	if !ok {
		t.Fatalf("provider %T lacks a method", z.Provider())
	}
	return p
}

func want(t *testing.T, z *Zones, records ...libdns.RR) {
	t.Helper()
	slices.SortFunc(records, compareRR)
	if got := z.Snapshot(zoneName); !slices.Equal(got, records) {
		t.Errorf("zone holds\n\t%v\nwant\n\t%v", got, records)
	}
}

// The examples in the documentation of libdns.RecordSetter.
func TestContractSet(t *testing.T) {
	for _, perRecord := range []bool{false, true} {
		z := New(Character{PerRecord: perRecord})
		z.Put(zoneName, rr("@", "A", "192.0.2.1"), rr("@", "A", "192.0.2.2"), rr("@", "TXT", "hello world"))
		if _, err := full(t, z).SetRecords(t.Context(), zoneName, []libdns.Record{address("@", "192.0.2.3")}); err != nil {
			t.Fatal(err)
		}
		want(t, z, rr("@", "A", "192.0.2.3"), rr("@", "TXT", "hello world"))

		z = New(Character{PerRecord: perRecord})
		z.Put(zoneName, rr("alpha", "AAAA", "2001:db8::1"), rr("alpha", "AAAA", "2001:db8::2"),
			rr("beta", "AAAA", "2001:db8::3"), rr("beta", "AAAA", "2001:db8::4"))
		set, err := full(t, z).SetRecords(t.Context(), zoneName, []libdns.Record{
			address("alpha", "2001:db8::1"), address("alpha", "2001:db8::2"), address("alpha", "2001:db8::5"),
		})
		if err != nil || len(set) != 3 {
			t.Fatalf("SetRecords returned %v, %v", set, err)
		}
		if _, ok := set[0].(libdns.Address); !ok {
			t.Errorf("SetRecords returned a %T, not a libdns.Address", set[0])
		}
		want(t, z, rr("alpha", "AAAA", "2001:db8::1"), rr("alpha", "AAAA", "2001:db8::2"), rr("alpha", "AAAA", "2001:db8::5"),
			rr("beta", "AAAA", "2001:db8::3"), rr("beta", "AAAA", "2001:db8::4"))
		if got := z.Emptied(zoneName); got != nil {
			t.Errorf("an update in place emptied %v", got)
		}
		if got := z.Touched(zoneName); !slices.Equal(got, []Key{{"alpha", "AAAA"}}) {
			t.Errorf("touched %v", got)
		}
	}
}

// What the documentation of libdns.RecordDeleter says.
func TestContractDelete(t *testing.T) {
	base := []libdns.RR{rr("a", "A", "192.0.2.1"), rr("a", "A", "192.0.2.2"), rr("a", "TXT", "x"), rr("b", "A", "192.0.2.1")}
	for _, test := range []struct {
		name  string
		input libdns.RR
		rest  []libdns.RR
	}{
		{"exact", base[0], base[1:]},
		{"other data", rr("a", "A", "192.0.2.9"), base},
		{"other TTL", libdns.RR{Name: "a", Type: "A", Data: "192.0.2.1", TTL: time.Minute}, base},
		{"other type", rr("a", "AAAA", "2001:db8::1"), base},
		{"any TTL", libdns.RR{Name: "a", Type: "A", Data: "192.0.2.1"}, base[1:]},
		{"any data", libdns.RR{Name: "a", Type: "A", TTL: time.Hour}, base[2:]},
		{"any type", libdns.RR{Name: "a"}, base[3:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := New(Character{})
			z.Put(zoneName, base...)
			deleted, err := full(t, z).DeleteRecords(t.Context(), zoneName, []libdns.Record{test.input})
			if err != nil {
				t.Fatal(err)
			}
			if len(deleted) != len(base)-len(test.rest) {
				t.Errorf("returned %v", deleted)
			}
			want(t, z, slices.Clone(test.rest)...)
		})
	}
}

func TestContractAppend(t *testing.T) {
	z := New(Character{}, zoneName)
	z.Put(zoneName, rr("a", "A", "192.0.2.1"))
	p := full(t, z)
	for range 2 {
		if _, err := p.AppendRecords(t.Context(), zoneName, []libdns.Record{address("a", "192.0.2.2")}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, z, rr("a", "A", "192.0.2.1"), rr("a", "A", "192.0.2.2"))

	for name, bad := range map[string]libdns.Record{
		"absolute name": rr("a.example.com.", "A", "192.0.2.1"),
		"empty name":    rr("", "A", "192.0.2.1"),
		"upper case":    rr("A", "A", "192.0.2.1"),
		"other family":  rr("a", "A", "2001:db8::1"),
		"no address":    rr("a", "A", "localhost"),
	} {
		if _, err := p.AppendRecords(t.Context(), zoneName, []libdns.Record{bad}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, bad := range []string{"example.com", "example.org.", ""} {
		if _, err := p.GetRecords(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "no such zone") {
			t.Errorf("zone %q: %v", bad, err)
		}
	}
}

func TestWrites(t *testing.T) {
	one := []string{"192.0.2.1"}
	two := []string{"192.0.2.1", "192.0.2.2"}
	const n1, n2 = "192.0.2.8", "192.0.2.9"
	del := func(ips ...string) func(*testing.T, *Zones) error {
		return func(t *testing.T, z *Zones) error {
			_, err := full(t, z).DeleteRecords(t.Context(), zoneName, addresses(ips))
			return err
		}
	}
	set := func(ips ...string) func(*testing.T, *Zones) error {
		return func(t *testing.T, z *Zones) error {
			_, err := full(t, z).SetRecords(t.Context(), zoneName, addresses(ips))
			return err
		}
	}
	add := func(ips ...string) func(*testing.T, *Zones) error {
		return func(t *testing.T, z *Zones) error {
			_, err := full(t, z).AppendRecords(t.Context(), zoneName, addresses(ips))
			return err
		}
	}
	for _, test := range []struct {
		name   string
		c      Character
		before []string
		do     func(*testing.T, *Zones) error
		after  []string
		fails  bool
	}{
		{"last wins", Character{Set: SetLastWins}, nil, set(n1, n2), []string{n2}, false},
		{"last wins over several", Character{Set: SetLastWins}, two, set(n1), []string{n1}, false},
		{"refuses several", Character{Set: SetLastWins, SetRefusesSeveral: true}, two, set(n1), two, true},
		{"appends", Character{Set: SetAppends}, one, set(n1), []string{"192.0.2.1", n1}, false},
		{"first match", Character{Set: SetFirstMatch}, two, set(n1), []string{"192.0.2.2", n1}, false},
		{"first match twice", Character{Set: SetFirstMatch}, two, set(n1, n2), []string{"192.0.2.2", n2}, false},
		{"first match, none", Character{Set: SetFirstMatch}, nil, set(n1, n2), []string{n1, n2}, false},
		{"every match", Character{Set: SetEveryMatch}, two, set(n1), []string{n1, n1}, false},
		{"every match is the first", Character{Set: SetEveryMatch}, two, set("192.0.2.1"), two, false},
		{"one value set", Character{OneValue: true}, one, set(n1, n2), []string{n2}, false},
		{"one value appended", Character{OneValue: true}, one, add(n1), []string{n1}, false},
		{"delete by type", Character{Delete: DeleteByType}, two, del("192.0.2.1"), nil, false},
		{"delete first match", Character{Delete: DeleteFirstMatch}, two, del("192.0.2.2"), []string{"192.0.2.2"}, false},
		{"delete first match twice", Character{Delete: DeleteFirstMatch}, two, del(two...), []string{"192.0.2.2"}, false},
		{"delete missing", Character{DeleteRefusesMissing: true}, two, del(n1), two, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := New(test.c, zoneName)
			z.Put(zoneName, rr("other", "A", "192.0.2.77"))
			for _, ip := range test.before {
				z.Put(zoneName, rr("a", "A", ip))
			}
			if err := test.do(t, z); (err != nil) != test.fails {
				t.Errorf("error: %v", err)
			}
			if got := z.Values(zoneName, "a", "A"); !slices.Equal(got, test.after) {
				t.Errorf("zone holds %v, want %v", got, test.after)
			}
			if got := z.Values(zoneName, "other", "A"); !slices.Equal(got, []string{"192.0.2.77"}) {
				t.Errorf("another name has become %v", got)
			}
			if emptied := len(test.before) > 0 && test.after == nil; emptied != (len(z.Emptied(zoneName)) > 0) {
				t.Errorf("emptied %v", z.Emptied(zoneName))
			}
		})
	}
}

func addresses(ips []string) []libdns.Record {
	var records []libdns.Record
	for _, ip := range ips {
		records = append(records, address("a", ip))
	}
	return records
}

func TestTTL(t *testing.T) {
	for _, test := range []struct {
		c    Character
		want time.Duration
	}{
		{Character{}, time.Minute},
		{Character{MinTTL: 10 * time.Minute}, 10 * time.Minute},
		{Character{ZoneTTL: 2 * time.Hour}, 2 * time.Hour},
	} {
		z := New(test.c, zoneName)
		record := address("a", "192.0.2.1")
		record.TTL = time.Minute
		if _, err := full(t, z).SetRecords(t.Context(), zoneName, []libdns.Record{record}); err != nil {
			t.Fatal(err)
		}
		if got := z.RRset(zoneName, "a", "A")[0].TTL; got != test.want {
			t.Errorf("TTL %v, want %v", got, test.want)
		}
	}
}

func TestInTheWay(t *testing.T) {
	for _, c := range []Character{{}, {CNAMEIgnores: true}} {
		z := New(c)
		z.Put(zoneName, rr("www", "CNAME", "example.net."), rr("alias", "ALIAS", "lb.example.net."))
		p := full(t, z)
		if _, err := p.SetRecords(t.Context(), zoneName, []libdns.Record{address("www", "192.0.2.1")}); (err == nil) != c.CNAMEIgnores {
			t.Errorf("beside a CNAME: %v", err)
		}
		if _, err := p.AppendRecords(t.Context(), zoneName, []libdns.Record{address("alias", "192.0.2.1")}); err == nil {
			t.Error("beside an ALIAS: accepted")
		}
		want(t, z, rr("www", "CNAME", "example.net."), rr("alias", "ALIAS", "lb.example.net."))
		if records, err := p.GetRecords(t.Context(), zoneName); err != nil || len(records) != 1 {
			t.Errorf("reads %v, %v", records, err)
		}
	}
}

func TestReads(t *testing.T) {
	read := func(t *testing.T, c Character, put ...libdns.RR) ([]libdns.Record, error) {
		t.Helper()
		z := New(c)
		z.Put(zoneName, put...)
		return full(t, z).GetRecords(t.Context(), zoneName)
	}
	for _, test := range []struct {
		name     func(name, zone string) string
		in, want string
	}{
		{nil, "@", "@"},
		{EmptyApex, "@", ""},
		{AbsoluteNames, "www", "www.example.com"},
		{DottedNames, "@", "example.com."},
		{UpperNames, "www", "WWW"},
		{EscapedNames, "*", `\052`},
		{EscapedNames, "*.sub", `\052.sub`},
		{ApexOnly, "www", "@"},
	} {
		records, err := read(t, Character{ReadName: test.name}, rr(test.in, "A", "192.0.2.1"))
		if err != nil || records[0].RR().Name != test.want {
			t.Errorf("%q reads as %v, %v, want %q", test.in, records, err, test.want)
		}
	}

	bad := rr("odd", "SRV", "not an SRV")
	for name, test := range map[string]struct {
		as    func(libdns.RR) (libdns.Record, error)
		types []string
	}{
		"default":     {nil, []string{"libdns.Address", "libdns.RR"}},
		"AsRR":        {AsRR, []string{"libdns.RR", "libdns.RR"}},
		"AsPointer":   {AsPointer, []string{"*libdns.Address", "*libdns.RR"}},
		"OnlyParsed":  {OnlyParsed, []string{"libdns.Address"}},
		"AllParsed":   {AllParsed, nil},
		"ReadsFail":   {nil, nil},
		"no ReadFail": {nil, []string{"libdns.Address", "libdns.RR"}},
	} {
		records, err := read(t, Character{ReadAs: test.as, ReadsFail: name == "ReadsFail"}, rr("a", "A", "192.0.2.1"), bad)
		if (err == nil) != (test.types != nil) {
			t.Errorf("%s: %v", name, err)
		}
		var types []string
		for _, record := range records {
			types = append(types, reflect.TypeOf(record).String())
		}
		if !slices.Equal(types, test.types) {
			t.Errorf("%s: reads %v, want %v", name, types, test.types)
		}
	}
}

func TestReadsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := New(Character{ReadsLag: 5 * time.Minute, Latency: time.Second}, zoneName)
		p := full(t, z)
		if _, err := p.SetRecords(t.Context(), zoneName, []libdns.Record{address("a", "192.0.2.1")}); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			sleep time.Duration
			want  int
		}{{time.Minute, 0}, {3 * time.Minute, 0}, {time.Minute, 1}} {
			time.Sleep(test.sleep)
			if records, err := p.GetRecords(t.Context(), zoneName); err != nil || len(records) != test.want {
				t.Errorf("%v after %v: %v, want %d", records, test.sleep, err, test.want)
			}
		}
	})
}

func TestRewritesZone(t *testing.T) {
	for _, rewrites := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			z := New(Character{RewritesZone: rewrites, Latency: time.Second}, zoneName)
			p := full(t, z)
			var wg sync.WaitGroup
			for _, name := range []string{"a", "b"} {
				wg.Go(func() {
					if _, err := p.SetRecords(t.Context(), zoneName, []libdns.Record{address(name, "192.0.2.1")}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := len(z.Snapshot(zoneName)); got != 2 && !rewrites || got != 1 && rewrites {
				t.Errorf("%d records are left", got)
			}
			if len(z.Overlaps()) != 1 {
				t.Errorf("overlaps: %v", z.Overlaps())
			}
			if _, err := p.DeleteRecords(t.Context(), zoneName, []libdns.Record{rr("a", "A", "192.0.2.1")}); err != nil {
				t.Fatal(err)
			}
			if len(z.Overlaps()) != 1 {
				t.Errorf("a write alone overlaps: %v", z.Overlaps())
			}
		})
	}
}

func TestFaults(t *testing.T) {
	errTest := errors.New("test")
	records := []libdns.Record{address("a", "192.0.2.1"), address("b", "192.0.2.2"), address("c", "192.0.2.3")}
	for _, test := range []struct {
		name  string
		fault Fault
		left  int
	}{
		{"error", Fault{Err: errTest}, 0},
		{"partial", Fault{Err: errTest, After: 2}, 2},
		{"answer lost", Fault{Err: errTest, After: Everything}, 3},
	} {
		z := New(Character{Fault: OnCall(Set, test.fault, 2), Token: Token}, zoneName, "example.org.")
		p := full(t, z)
		if _, err := p.SetRecords(t.Context(), "example.org.", records); err != nil {
			t.Errorf("%s befell the first call: %v", test.name, err)
		}
		_, err := p.SetRecords(t.Context(), zoneName, records)
		if !errors.Is(err, errTest) || !strings.Contains(err.Error(), Token) {
			t.Errorf("%s: error is %v", test.name, err)
		}
		if got := len(z.Snapshot(zoneName)); got != test.left {
			t.Errorf("%s: %d records took effect, want %d", test.name, got, test.left)
		}
		if _, err := p.SetRecords(t.Context(), zoneName, records); err != nil {
			t.Errorf("%s befell the third call: %v", test.name, err)
		}
		if z.Count(Set, "") != 3 || z.Count("", zoneName) != 2 || !errors.Is(z.Calls()[1].Err, errTest) {
			t.Errorf("%s: calls %+v", test.name, z.Calls())
		}
	}

	z := New(Character{Fault: OnCall(Get, Fault{Do: func() { panic("boom") }}, 1)}, zoneName)
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("no panic")
			}
		}()
		full(t, z).GetRecords(t.Context(), zoneName)
	}()
	if c := z.Calls()[0]; c.Ended.IsZero() {
		t.Error("the call that panicked has not ended")
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		z := New(Character{}, zoneName)
		z.Fail(OnCall(Set, Fault{Do: func() { <-release }}, 1))
		p := full(t, z)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go p.SetRecords(ctx, zoneName, []libdns.Record{address("a", "192.0.2.1")})
		time.Sleep(time.Hour)
		if !z.Calls()[0].Ended.IsZero() {
			t.Error("the call heeds its context")
		}
		close(release)
		synctest.Wait()
		want(t, z, rr("a", "A", "192.0.2.1"))
	})
}

func TestContext(t *testing.T) {
	for _, ignores := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			z := New(Character{Latency: time.Minute, PerRecord: true, IgnoresContext: ignores}, zoneName)
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			_, err := full(t, z).AppendRecords(ctx, zoneName, []libdns.Record{address("a", "192.0.2.1"), address("b", "192.0.2.1")})
			if ignores != (err == nil) || !ignores && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ignores %t: %v", ignores, err)
			}
			if got := len(z.Snapshot(zoneName)); got != 1 && !ignores || got != 2 && ignores {
				t.Errorf("ignores %t: %d records", ignores, got)
			}
		})
	}
}

// Each interface is there or not by the type alone, also through Caddy.
func TestInterfaces(t *testing.T) {
	for bits := range 32 {
		c := Character{NoGet: bits&1 == 0, NoSet: bits&2 == 0, NoAppend: bits&4 == 0, NoDelete: bits&8 == 0, ListsZones: bits&16 != 0}
		z := New(c, zoneName)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		loaded, err := ctx.LoadModuleByID("dns.providers."+z.Register(), []byte(`{"token":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []any{z.Provider(), loaded} {
			_, get := p.(libdns.RecordGetter)
			_, set := p.(libdns.RecordSetter)
			_, add := p.(libdns.RecordAppender)
			_, del := p.(libdns.RecordDeleter)
			_, list := p.(libdns.ZoneLister)
			if get == c.NoGet || set == c.NoSet || add == c.NoAppend || del == c.NoDelete || list != c.ListsZones {
				t.Errorf("%+v: %t %t %t %t %t", c, get, set, add, del, list)
			}
			if list {
				if zones, err := p.(libdns.ZoneLister).ListZones(t.Context()); err != nil || len(zones) != 1 || zones[0].Name != zoneName {
					t.Errorf("lists %v, %v", zones, err)
				}
			}
		}
	}
}

// What Characters says of each can be done through the methods it has, by a
// client that knows the zone.
func TestCharacters(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range Characters() {
		if seen[c.Name] {
			t.Errorf("two characters are called %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := New(c.Character, zoneName)
				z.Put(zoneName, rr("other", "A", "192.0.2.77"), rr("a", "TXT", "x"))
				steps := [][]string{{"192.0.2.1"}, {"192.0.2.2"}, {"192.0.2.3"}}
				if c.Several {
					steps = append(steps, []string{"192.0.2.4", "192.0.2.5"}, []string{"192.0.2.5"}, []string{"192.0.2.6", "192.0.2.7"})
				}
				for _, desired := range steps {
					converge(t, z, desired)
				}
				if got := z.Touched(zoneName); !slices.Equal(got, []Key{{"a", "A"}}) {
					t.Errorf("touched %v", got)
				}
				if emptied := z.Emptied(zoneName); c.KeepsNames && emptied != nil {
					t.Errorf("emptied %v", emptied)
				}
			})
		})
	}
}

// converge is the simplest client: sets, then adds what is missing, then
// deletes what is stale, until it is right.
func converge(t *testing.T, z *Zones, desired []string) {
	t.Helper()
	p := z.Provider()
	try := func(f func()) {
		defer func() { _ = recover() }()
		f()
	}
	have := func() []string { return slices.Compact(z.Values(zoneName, "a", "A")) }
	lacking := func(a, b []string) []libdns.Record {
		return addresses(slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) }))
	}
	for range 10 {
		if s, ok := p.(libdns.RecordSetter); ok {
			try(func() { s.SetRecords(t.Context(), zoneName, addresses(desired)) })
		}
		if a, ok := p.(libdns.RecordAppender); ok {
			if missing := lacking(desired, have()); missing != nil {
				a.AppendRecords(t.Context(), zoneName, missing)
			}
		}
		if d, ok := p.(libdns.RecordDeleter); ok {
			if stale := lacking(have(), desired); stale != nil {
				for i, record := range stale {
					r := record.RR()
					r.TTL = 0
					stale[i] = r
				}
				d.DeleteRecords(t.Context(), zoneName, stale)
			}
		}
		if slices.Equal(have(), desired) {
			return
		}
	}
	t.Fatalf("zone holds %v, want %v", have(), desired)
}
