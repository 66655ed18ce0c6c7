package delegation

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func records(t *testing.T, texts ...string) (out []dns.RR) {
	t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rr)
	}
	return out
}

const zone = "home.example.com."

func TestCompare(t *testing.T) {
	want := []string{"home.example.com. 300 NS ns1.home.example.com.", "home.example.com. 300 NS ns.example.net.", "ns1.home.example.com. 300 A 203.0.113.7"}
	for _, tc := range []struct {
		name          string
		ns, extra     []string
		write, remove []string
	}{
		{name: "right", ns: []string{"HOME.example.com. 3600 NS NS1.home.example.com.", "home.example.com. 3600 NS ns.example.net."},
			extra: []string{"ns1.home.example.com. 3600 A 203.0.113.7", "ns.example.net. 3600 A 192.0.2.1"}},
		{name: "nothing", ns: []string{"example.com. 3600 SOA a b 1 2 3 4 5"},
			write: []string{"home.example.com. IN NS ns1.home.example.com.", "home.example.com. IN NS ns.example.net.", "ns1.home.example.com. IN A 203.0.113.7"}},
		{name: "old glue", ns: []string{"home.example.com. 3600 NS ns1.home.example.com.", "home.example.com. 3600 NS ns.example.net."},
			extra: []string{"ns1.home.example.com. 3600 A 203.0.113.6"},
			write: []string{"ns1.home.example.com. IN A 203.0.113.7"}, remove: []string{"ns1.home.example.com. IN A 203.0.113.6"}},
		{name: "another server", ns: []string{"home.example.com. 3600 NS ns1.home.example.com.", "home.example.com. 3600 NS ns2.home.example.com."},
			extra: []string{"ns1.home.example.com. 3600 A 203.0.113.7", "ns2.home.example.com. 3600 A 203.0.113.8"},
			write: []string{"home.example.com. IN NS ns.example.net."}, remove: []string{"home.example.com. IN NS ns2.home.example.com.", "ns2.home.example.com. IN A 203.0.113.8"}},
	} {
		m := &dns.Msg{Ns: records(t, tc.ns...), Extra: records(t, tc.extra...)}
		write, remove := Compare(zone, records(t, want...), m)
		if !slices.Equal(write, tc.write) || !slices.Equal(remove, tc.remove) {
			t.Errorf("%s: write %q, delete %q", tc.name, write, remove)
		}
	}
}

func TestCheck(t *testing.T) {
	asked := make(map[string]int)
	f := &Finder{Resolver: "resolver", Port: "53", Ask: func(_ context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
		r := new(dns.Msg).SetReply(m)
		q := m.Question[0]
		asked[server]++
		switch {
		case server == "resolver" && q.Name == "example.com." && q.Qtype == dns.TypeNS:
			r.Answer = records(t, "example.com. 300 NS a.example.com.", "example.com. 300 NS b.example.com.")
		case server == "resolver" && q.Name == "a.example.com." && q.Qtype == dns.TypeA:
			r.Answer = records(t, "a.example.com. 300 A 192.0.2.1")
		case server == "resolver" && q.Name == "b.example.com." && q.Qtype == dns.TypeAAAA:
			r.Answer = records(t, "b.example.com. 300 AAAA 2001:db8::1")
		case server == "192.0.2.1:53":
			r.Ns = records(t, "home.example.com. 3600 NS ns1.home.example.com.")
			r.Extra = records(t, "ns1.home.example.com. 3600 A 203.0.113.7")
		case server == "[2001:db8::1]:53":
			return nil, errors.New("unreachable")
		}
		return r, nil
	}}
	want := records(t, "home.example.com. 300 NS ns1.home.example.com.", "ns1.home.example.com. 300 A 203.0.113.7")
	r, err := f.Check(t.Context(), zone, want)
	if err != nil || !r.Right || r.Parent != "example.com." || !slices.Equal(r.Servers, []string{"192.0.2.1:53"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if asked["[2001:db8::1]:53"] != 1 {
		t.Error("a server was not asked")
	}
	for name, want := range map[string]bool{"example.test.": true, "x.home.arpa.": true, "home.example.com.": false, "mytest.": false} {
		if IsReserved(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
