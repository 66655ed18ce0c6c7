package provider

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
)

// shelf is a provider that shows some records.
type shelf []libdns.Record

func (s shelf) GetRecords(context.Context, string) ([]libdns.Record, error) { return s, nil }

func (shelf) SetRecords(_ context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, nil
}

// own is a record of a kind that only its provider has.
type own struct{ rr libdns.RR }

func (o own) RR() libdns.RR              { return o.rr }
func (own) Holds() (rrtype, what string) { return "AAAA", "an alias to a load balancer is in the way" }

// TestReadObstacles: whatever form the names of a provider have, what is in the
// way of a managed name is found, and what concerns others is not.
func TestReadObstacles(t *testing.T) {
	const mark = `heritage=external-dns,external-dns/owner=me,external-dns/resource=ingress/x`
	rr := func(name, typ, data string) libdns.Record {
		return libdns.RR{Name: name, Type: typ, Data: data, TTL: time.Minute}
	}
	for name, test := range map[string]struct {
		recs   []libdns.Record
		v4, v6 string
	}{
		"nothing":                       {[]libdns.Record{rr("@", "NS", "ns.example.net."), rr("@", "SOA", "ns. root. 1 2 3 4 5"), rr("www", "TXT", "hello")}, "", ""},
		"CNAME":                         {[]libdns.Record{rr("WWW.home.example.com.", "cname", "x.")}, "a CNAME record to x. is in the way", "a CNAME record to x. is in the way"},
		"delegation above":              {[]libdns.Record{libdns.NS{Name: "home", Target: "ns.example.net."}}, "hidden by the delegation of home.example.com", "hidden by the delegation of home.example.com"},
		"delegation, absolute":          {[]libdns.Record{rr("Home.Example.com.", "NS", "ns")}, "hidden by the delegation of home.example.com", "hidden by the delegation of home.example.com"},
		"glue":                          {[]libdns.Record{rr("home", "NS", "ns.example.net"), rr("home", "NS", "WWW.home.example.com")}, "", ""},
		"glue, relative":                {[]libdns.Record{rr("home", "NS", "www.home")}, "", ""},
		"delegation beside":             {[]libdns.Record{rr("work", "NS", "ns.example.net."), rr("b.www.home", "NS", "ns.example.net.")}, "", ""},
		"DNAME of the zone":             {[]libdns.Record{rr("@", "DNAME", "example.net.")}, "hidden by the DNAME record of example.com", "hidden by the DNAME record of example.com"},
		"ALIAS":                         {[]libdns.Record{rr("www.home", "ALIAS", "lb.example.net")}, "an ALIAS record to lb.example.net is in the way", "an ALIAS record to lb.example.net is in the way"},
		"one of the provider's own":     {[]libdns.Record{own{libdns.RR{Name: "www.home", Type: "ALIAS", Data: "lb"}}}, "", "an alias to a load balancer is in the way"},
		"mark":                          {[]libdns.Record{rr("www.home", "TXT", mark)}, `it belongs to external-dns with the owner ID "me", by the TXT record at www.home.example.com`, `it belongs to external-dns with the owner ID "me", by the TXT record at www.home.example.com`},
		"mark of a type, quoted":        {[]libdns.Record{rr("aaaa-www.home", "TXT", `"`+mark+`"`)}, "", `it belongs to external-dns with the owner ID "me", by the TXT record at aaaa-www.home.example.com`},
		"mark of a CNAME without owner": {[]libdns.Record{rr("cname-www.home", "TXT", "heritage=external-dns")}, "it belongs to external-dns, by the TXT record at cname-www.home.example.com", "it belongs to external-dns, by the TXT record at cname-www.home.example.com"},
		"mark of another name":          {[]libdns.Record{rr("home", "TXT", mark), rr("www.home.a-x", "TXT", mark)}, "", ""},
		"another's mark":                {[]libdns.Record{rr("www.home", "TXT", "heritage=mine")}, "", ""},
		"two marks":                     {[]libdns.Record{rr("www.home", "TXT", mark), rr("a-www.home", "TXT", mark)}, `it belongs to external-dns with the owner ID "me", by the TXT record at a-www.home.example.com`, `it belongs to external-dns with the owner ID "me", by the TXT record at www.home.example.com`},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				p, err := New("shelf", shelf(test.recs), NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
				if err != nil {
					t.Fatal(err)
				}
				managed := func(name string) (string, bool) { return name, name == "www.home" }
				observed, err := p.Read(t.Context(), "example.com.", managed)
				if err != nil {
					t.Fatal(err)
				}
				for f, want := range map[ipaddr.Family]string{ipaddr.V4: test.v4, ipaddr.V6: test.v6} {
					got := observed.At(plan.Key{Name: "www.home", Family: f}).Reason
					if len(got) < len(want) || got[:len(want)] != want || want == "" && got != "" {
						t.Errorf("%s: %q, want %q", f, got, want)
					}
				}
				// The order of a provider's answer means nothing.
				slices.Reverse(test.recs)
			}
		})
	}
}
