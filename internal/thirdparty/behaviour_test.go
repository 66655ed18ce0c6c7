package thirdparty

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"
)

const (
	ip1, ip2, ip3 = "93.184.216.1", "93.184.216.2", "93.184.216.3"
	v6            = "2606:2800:220:1::1"
)

func addresses(name string, ips ...string) []libdns.Record {
	var records []libdns.Record
	for _, ip := range ips {
		records = append(records, libdns.Address{Name: name, IP: netip.MustParseAddr(ip), TTL: time.Hour})
	}
	return records
}

// The stand-ins' APIs do for the real code what the real APIs do: what is
// written can be read, and what is deleted is gone.
func TestRoundTrip(t *testing.T) {
	for _, p := range parties {
		t.Run(p.name, func(t *testing.T) {
			name := p.someName()
			a, config := p.start(t)
			prov := load(t, config)
			if _, err := prov.SetRecords(t.Context(), p.zone, addresses(name, ip1)); err != nil {
				t.Fatal(err)
			}
			wantValues(t, a, name, "A", ip1)
			records, err := prov.GetRecords(t.Context(), p.zone)
			if err != nil || len(records) != 1 {
				t.Fatalf("reads %v, %v", records, err)
			}
			if rr := records[0].RR(); rr.Name != name || rr.Type != "A" || rr.Data != ip1 {
				t.Errorf("reads %+v", rr)
			}
			if _, err := prov.AppendRecords(t.Context(), p.zone, addresses(name, v6)); err != nil {
				t.Fatal(err)
			}
			wantValues(t, a, name, "A", ip1)
			wantValues(t, a, name, "AAAA", v6)
			if _, err := prov.DeleteRecords(t.Context(), p.zone, addresses(name, ip1)); err != nil {
				t.Fatal(err)
			}
			wantValues(t, a, name, "A")
		})
	}
}

// How the providers differ from the libdns contract: what they make of a zone
// that holds values when they are told to set, append or delete.
func TestDeviations(t *testing.T) {
	set := func(ips ...string) func(context.Context, provider, string, string) error {
		return func(ctx context.Context, p provider, zone, name string) error {
			_, err := p.SetRecords(ctx, zone, addresses(name, ips...))
			return err
		}
	}
	del := func(ips ...string) func(context.Context, provider, string, string) error {
		return func(ctx context.Context, p provider, zone, name string) error {
			_, err := p.DeleteRecords(ctx, zone, addresses(name, ips...))
			return err
		}
	}
	add := func(ips ...string) func(context.Context, provider, string, string) error {
		return func(ctx context.Context, p provider, zone, name string) error {
			_, err := p.AppendRecords(ctx, zone, addresses(name, ips...))
			return err
		}
	}
	none := []string(nil)
	for _, test := range []struct {
		party, does string
		before      []string
		do          func(context.Context, provider, string, string) error
		after       []string
		fails       bool
	}{
		{"cloudflare", "SetRecords of two sets two", none, set(ip1, ip2), []string{ip1, ip2}, false},
		{"cloudflare", "SetRecords of a name with two values", []string{ip1, ip2}, set(ip3), []string{ip3}, false},
		{"cloudflare", "deletes by value", []string{ip1, ip2}, del(ip1), []string{ip2}, false},

		{"gandi", "SetRecords appends", []string{ip1}, set(ip2), []string{ip1, ip2}, false},
		{"gandi", "SetRecords of two appends two", []string{ip1}, set(ip2, ip3), []string{ip1, ip2, ip3}, false},
		{"gandi", "deletes by value", []string{ip1, ip2}, del(ip1), []string{ip2}, false},
		{"gandi", "to delete what is missing is an error", none, del(ip1), none, true},
		{"gandi", "to delete another value than the only one is an error", []string{ip1}, del(ip2), []string{ip1}, true},

		{"porkbun", "SetRecords overwrites every value", []string{ip1, ip2}, set(ip3), []string{ip3, ip3}, false},
		{"porkbun", "of two values over one the last wins", []string{ip1}, set(ip2, ip3), []string{ip3}, false},
		{"porkbun", "two values of a new name are both kept", none, set(ip1, ip2), []string{ip1, ip2}, false},
		{"porkbun", "SetRecords of what comes first leaves the rest", []string{ip1, ip2}, set(ip1), []string{ip1, ip2}, false},
		{"porkbun", "delete ignores the value", []string{ip1, ip2}, del(ip1), none, false},

		{"namecheap", "SetRecords as in the contract", []string{ip1, ip2}, set(ip2, ip3), []string{ip2, ip3}, false},
		{"namecheap", "deletes by value", []string{ip1, ip2}, del(ip1), []string{ip2}, false},

		{"desec", "SetRecords as in the contract", []string{ip1, ip2}, set(ip2, ip3), []string{ip2, ip3}, false},
		{"desec", "deletes by value", []string{ip1, ip2}, del(ip1), []string{ip2}, false},

		{"hetzner", "SetRecords overwrites the first value", []string{ip1, ip2}, set(ip3), []string{ip2, ip3}, false},
		{"hetzner", "of two values over one the last wins", []string{ip1}, set(ip2, ip3), []string{ip3}, false},
		{"hetzner", "two values of a new name are both kept", none, set(ip1, ip2), []string{ip1, ip2}, false},
		{"hetzner", "SetRecords of a value that comes second is refused", []string{ip1, ip2}, set(ip2), []string{ip1, ip2}, true},
		{"hetzner", "delete takes the first value, whatever it is", []string{ip1, ip2}, del(ip2), []string{ip2}, false},
		{"hetzner", "to delete two fails after the first", []string{ip1, ip2, ip3}, del(ip1, ip2), []string{ip2, ip3}, true},
		{"hetzner", "to delete what is missing is an error", none, del(ip1), none, true},

		{"duckdns", "the last value wins", []string{ip1}, set(ip2, ip3), []string{ip3}, false},
		{"duckdns", "AppendRecords replaces", []string{ip1}, add(ip2), []string{ip2}, false},
		{"duckdns", "delete ignores the value", []string{ip1}, del(ip2), none, false},
	} {
		t.Run(test.party+"/"+test.does, func(t *testing.T) {
			p := named(test.party)
			name := p.someName()
			a, config := p.start(t)
			for _, ip := range test.before {
				a.put(record{name: name, typ: "A", data: ip, ttl: 3600})
			}
			if err := test.do(t.Context(), load(t, config), p.zone, name); (err != nil) != test.fails {
				t.Errorf("error: %v", err)
			}
			wantValues(t, a, name, "A", test.after...)
		})
	}
}

// DuckDNS forgets both addresses when one is deleted.
func TestDuckdnsDeletesBoth(t *testing.T) {
	p := named("duckdns")
	a, config := p.start(t)
	a.put(record{name: "@", typ: "A", data: ip1, ttl: 60}, record{name: "@", typ: "AAAA", data: v6, ttl: 60})
	if _, err := load(t, config).DeleteRecords(t.Context(), p.zone, addresses("@", ip1)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, a, "@", "A")
	wantValues(t, a, "@", "AAAA")
}

// Reads of DuckDNS are those of a resolver: they lag, and a name without an
// address is an error.
func TestDuckdnsReads(t *testing.T) {
	p := named("duckdns")
	a, config := p.start(t)
	prov := load(t, config)
	if _, err := prov.GetRecords(t.Context(), p.zone); err == nil {
		t.Error("a name without an address can be read")
	}
	a.put(record{name: "@", typ: "A", data: ip1, ttl: 60})
	a.resolver.hold(true)
	if _, err := prov.SetRecords(t.Context(), p.zone, addresses("@", ip2)); err != nil {
		t.Fatal(err)
	}
	wantRead := func(want string) {
		t.Helper()
		records, err := prov.GetRecords(t.Context(), p.zone)
		if err != nil || len(records) != 1 || records[0].RR().Data != want {
			t.Errorf("reads %v, %v, want %s", records, err, want)
		}
	}
	wantRead(ip1)
	a.resolver.hold(false)
	wantRead(ip2)
}

func TestTTLFloor(t *testing.T) {
	for _, test := range []struct {
		party string
		ttl   time.Duration
		want  int // 0 for an error
	}{
		{"porkbun", time.Minute, 600},
		{"desec", time.Minute, 3600},
		{"gandi", time.Minute, 0},
		{"namecheap", time.Minute, 60},
		{"hetzner", time.Minute, 60},
		// The code counts the seconds in 16 bits.
		{"namecheap", 86400 * time.Second, 86400 - 65536},
	} {
		t.Run(test.party, func(t *testing.T) {
			p := named(test.party)
			a, config := p.start(t)
			record := addresses("www", ip1)[0].RR()
			record.TTL = test.ttl
			_, err := load(t, config).SetRecords(t.Context(), p.zone, []libdns.Record{record})
			if (err != nil) != (test.want == 0) {
				t.Fatal(err)
			}
			if err == nil && a.rrset("www", "A")[0].ttl != test.want {
				t.Errorf("TTL %d, want %d", a.rrset("www", "A")[0].ttl, test.want)
			}
		})
	}
}

// One record that the code cannot parse: left out, or no read at all.
func TestUnparsable(t *testing.T) {
	for name, fails := range map[string]bool{"gandi": false, "porkbun": false, "namecheap": true, "desec": true, "hetzner": true} {
		p := named(name)
		a, config := p.start(t)
		a.put(record{name: "www", typ: "A", data: ip1, ttl: 3600}, record{name: "odd", typ: "CAA", data: "nonsense here", ttl: 3600})
		if name == "porkbun" {
			a.put(record{name: "text", typ: "SSHFP", data: "1 1 00", ttl: 3600})
			a.drop("odd", "CAA") // On this one the code panics; see below.
		}
		if records, err := load(t, config).GetRecords(t.Context(), p.zone); (err != nil) != fails {
			t.Errorf("%s: reads %v, %v", name, records, err)
		}
	}
}

// Porkbun's code takes for granted that a CAA record has three fields.
func TestPorkbunPanics(t *testing.T) {
	p := named("porkbun")
	a, config := p.start(t)
	a.put(record{name: "odd", typ: "CAA", data: "0 issue", ttl: 600})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = load(t, config).GetRecords(t.Context(), p.zone)
}

// Namecheap's writes replace the whole zone, and its reads are pointers.
func TestNamecheapRewrites(t *testing.T) {
	p := named("namecheap")
	a, config := p.start(t)
	a.put(record{name: "@", typ: "TXT", data: `v=spf1 "x" -all`, ttl: 1800}, record{name: "www", typ: "A", data: ip1, ttl: 1800})
	before := a.others("www")
	prov := load(t, config)
	if _, err := prov.SetRecords(t.Context(), p.zone, addresses("www", ip2)); err != nil {
		t.Fatal(err)
	}
	if after := a.others("www"); !slices.Equal(after, before) {
		t.Errorf("other records have become %v", after)
	}
	if a.records[0].id == 1 {
		t.Error("the zone was not written whole")
	}
	records, err := prov.GetRecords(t.Context(), p.zone)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := records[1].(*libdns.Address); !ok {
		t.Errorf("reads a %T", records[1])
	}
}

func TestDesecLimits(t *testing.T) {
	p := named("desec")
	a, config := p.start(t)
	for i := range 501 {
		a.put(record{name: "n" + strings.Repeat("x", i), typ: "A", data: ip1, ttl: 3600})
	}
	if _, err := load(t, config).GetRecords(t.Context(), p.zone); err == nil {
		t.Error("501 RRsets can be read")
	}

	synctest.Test(t, func(t *testing.T) {
		a, config := p.start(t)
		prov := load(t, config)
		refused := 0
		a.failing(func(*http.Request) (int, time.Duration) {
			if refused++; refused == 1 {
				return http.StatusTooManyRequests, 90 * time.Second
			}
			return 0, 0
		})
		began := time.Now()
		if _, err := prov.SetRecords(t.Context(), p.zone, addresses("www", ip1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("the write took %v", took)
		}
	})
}

// What each makes of a zone that is not there and of a token that is wrong.
func TestErrors(t *testing.T) {
	for _, p := range parties {
		t.Run(p.name, func(t *testing.T) {
			a, config := p.start(t)
			prov := load(t, config)
			if _, err := prov.SetRecords(t.Context(), "blog."+p.zone, addresses("@", ip1)); err == nil && p.name != "duckdns" {
				t.Error("a zone that is not there was written")
			}
			a.token = "another"
			_, err := load(t, config).SetRecords(t.Context(), p.zone, addresses("@", ip1))
			if err == nil {
				t.Fatal("a wrong token was accepted")
			}
			if leaks := strings.Contains(err.Error(), token); leaks != (p.name == "duckdns") {
				t.Errorf("the error shows the token: %v", leaks)
			}
		})
	}
}

func (p party) someName() string {
	if p.names {
		return "www"
	}
	return "@"
}

func named(name string) party {
	return parties[slices.IndexFunc(parties, func(p party) bool { return p.name == name })]
}

func wantValues(t *testing.T, a *account, name, typ string, want ...string) {
	t.Helper()
	if got := a.values(name, typ); !slices.Equal(got, want) {
		t.Errorf("%s %s holds %v, want %v", name, typ, got, want)
	}
}
