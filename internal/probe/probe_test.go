package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/doctor"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/natpmp"
	_ "github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/onethread"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/provider"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

// world is public DNS: by server, name and type, the records of the answer, of
// which those after "authority" and "additional" are of these sections.
type world map[string][]string

func (w world) ask(_ context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	q := m.Question[0]
	lines, ok := w[fmt.Sprintf("%s %s %s", server, q.Name, dns.TypeToString[q.Qtype])]
	r := new(dns.Msg).SetReply(m)
	r.Authoritative = server != "resolver:53"
	r.RecursionAvailable = !r.Authoritative
	if !ok && r.Authoritative {
		r.Rcode = dns.RcodeRefused
		return r, nil
	}
	section := &r.Answer
	for _, line := range lines {
		switch line {
		case "authority":
			section, r.Authoritative = &r.Ns, false
		case "additional":
			section = &r.Extra
		case "silence":
			return nil, errors.New("it does not answer")
		default:
			rr, err := dns.NewRR(line)
			if err != nil {
				return nil, err
			}
			*section = append(*section, rr)
		}
	}
	return r, nil
}

const soa = "example.com. 60 SOA ns1.example.com. h.example.com. 7 1 1 1 1"

func internet() world {
	return world{
		"resolver:53 com. NS":                []string{"com. 60 NS a.gtld.net."},
		"resolver:53 a.gtld.net. A":          []string{"a.gtld.net. 60 A 192.0.2.1"},
		"192.0.2.1:53 example.com. NS":       []string{"authority", "example.com. 60 NS NS1.example.com.", "example.com. 60 NS ns.example.net.", "additional", "ns1.example.com. 60 A 192.0.2.2"},
		"192.0.2.1:53 example.com. DS":       []string{"example.com. 60 DS 1 13 2 ABCD"},
		"resolver:53 ns.example.net. A":      []string{"ns.example.net. 60 A 192.0.2.3"},
		"resolver:53 ns.example.net. AAAA":   []string{"ns.example.net. 60 AAAA 2606:4700::3"},
		"192.0.2.2:53 example.com. SOA":      []string{soa},
		"192.0.2.2:53 example.com. NS":       []string{"example.com. 60 NS ns1.example.com.", "example.com. 60 NS ns.example.net."},
		"192.0.2.2:53 example.com. DNSKEY":   []string{},
		"192.0.2.3:53 example.com. SOA":      []string{"silence"},
		"192.0.2.2:53 www.example.com. A":    []string{"www.example.com. 300 A 93.184.216.34"},
		"resolver:53 www.example.com. A":     []string{"www.example.com. 17 A 93.184.216.35"},
		"192.0.2.2:53 www.example.com. AAAA": []string{"www.example.com. 60 CNAME example.net."},
		"192.0.2.2:53 x.sub.example.com. A":  []string{"authority", "sub.example.com. 60 NS ns.example.net."},
	}
}

func ask(w world) *public {
	return &public{Finder: &delegation.Finder{Ask: w.ask, Resolver: "resolver:53", Port: "53"}, slots: make(chan struct{}, maxQuestions)}
}

func TestPublicDNS(t *testing.T) {
	p := ask(internet())
	z := &doctor.Zone{Name: "example.com", Records: []doctor.Record{
		{FQDN: "www.example.com"}, {FQDN: "www.example.com", Family: ipaddr.V6}, {FQDN: "x.sub.example.com"},
	}}
	z.Public = p.zone(t.Context(), "example.com.")
	d := z.Public
	if d.Parent != "com" || d.Err != "" || !d.Signed || !d.Keyless || len(d.Servers) != 2 {
		t.Fatalf("%+v", d)
	}
	ns1, ns := d.Servers[0], d.Servers[1]
	if ns1.Host != "ns1.example.com" || !ns1.Inside || !ns1.Glue || !ns1.Answers[0].Authoritative || ns1.Answers[0].Serial != 7 ||
		!slices.Equal(ns1.Answers[0].Names, []string{"ns1.example.com", "ns.example.net"}) {
		t.Errorf("%+v", ns1)
	}
	// Without IPv6, nobody is asked over it.
	if ns.Inside || ns.Glue || len(ns.Addrs) != 2 || len(ns.Answers) != 1 || ns.Answers[0].Err != "it does not answer" {
		t.Errorf("%+v", ns)
	}
	p.records(t.Context(), z)
	www, alias, cut := z.Records[0], z.Records[1], z.Records[2]
	if www.Public.Server != "192.0.2.2" || www.Public.Addrs[0].String() != "93.184.216.34" || www.Public.TTL != 5*time.Minute ||
		www.Cached.Server != "resolver" || www.Cached.Addrs[0].String() != "93.184.216.35" || www.Cached.TTL != 17*time.Second {
		t.Errorf("%+v", www)
	}
	if alias.Public.CNAME != "example.net" || cut.Public.Cut != "sub.example.com" {
		t.Errorf("%+v, %+v", alias.Public, cut.Public)
	}
}

func TestPublicDNSFails(t *testing.T) {
	for name, test := range map[string]struct {
		zone   string
		change func(world)
		want   func(doctor.Delegation) bool
	}{
		"reserved":          {"example.test.", func(world) {}, func(d doctor.Delegation) bool { return d.Reserved }},
		"not delegated":     {"example.com.", func(w world) { w["192.0.2.1:53 example.com. NS"] = []string{} }, func(d doctor.Delegation) bool { return d.Err == "" && d.Servers == nil }},
		"the parent is off": {"example.com.", func(w world) { w["192.0.2.1:53 example.com. NS"] = []string{"silence"} }, func(d doctor.Delegation) bool { return strings.Contains(d.Err, "no server of com answers") }},
		"no parent":         {"example.com.", func(w world) { delete(w, "resolver:53 com. NS") }, func(d doctor.Delegation) bool { return strings.Contains(d.Err, "cannot be found") }},
		"lame":              {"example.com.", func(w world) { delete(w, "192.0.2.2:53 example.com. SOA") }, func(d doctor.Delegation) bool { return d.Servers[0].Answers[0].Err == "it answers REFUSED" }},
	} {
		w := internet()
		test.change(w)
		if d := ask(w).zone(t.Context(), test.zone); !test.want(d) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	none := &public{slots: make(chan struct{}, 1)}
	if d := none.zone(t.Context(), "example.com."); !strings.Contains(d.Err, "no resolver") {
		t.Errorf("no resolver: %+v", d)
	}
}

type source func(context.Context, ipsources.IPSettings) ([]netip.Addr, error)

func (s source) GetIPs(ctx context.Context, settings ipsources.IPSettings) ([]netip.Addr, error) {
	return s(ctx, settings)
}

// TestSources: all are asked for each family, whatever the others do.
func TestSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := ipaddr.SpecialPurpose
		sources := []Source{
			{source(func(context.Context, ipsources.IPSettings) ([]netip.Addr, error) { panic("oops") }), "panics", refuse},
			{source(func(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
				time.Sleep(time.Hour)
				return nil, nil
			}), "hangs", refuse},
			{source(func(_ context.Context, s ipsources.IPSettings) ([]netip.Addr, error) {
				if s.V6Enabled() {
					return nil, &ipsources.NoFamilyError{Err: errors.New("IPv6: no route")}
				}
				return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}, nil
			}), "interface", refuse},
			{source(func(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
				return nil, errors.Join(fmt.Errorf("one (%w)", natpmp.ErrDoubleNAT), &ipsources.HoldError{Err: errors.New("two")})
			}), "natpmp", refuse},
		}
		began := time.Now()
		answers := askAll(t.Context(), sources, [ipaddr.Families]bool{true, true})
		if took := time.Since(began); took > patience {
			t.Errorf("took %s", took)
		}
		var got []string
		for _, a := range answers {
			got = append(got, fmt.Sprint(a.Source, " ", a.Family, " ", a.Addrs, " ", a.Err, " ", a.Kind == doctor.Router, a.NoFamily, a.DoubleNAT, a.Hold))
		}
		want := []string{
			"panics ipv4 [] it panicked: oops false false false false", "panics ipv6 [] it panicked: oops false false false false",
			"hangs ipv4 [] no answer in time false false false false", "hangs ipv6 [] no answer in time false false false false",
			"interface ipv4 [10.0.0.1]  false false false false", "interface ipv6 [] no route false true false false",
			"natpmp ipv4 [] one (double NAT); two true false true true", "natpmp ipv6 [] one (double NAT); two true false true true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		time.Sleep(time.Hour)
	})
}

// TestNothingAnswers: however much hangs, it ends in time.
func TestNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := provider.New("cloudflare", &dnsProvider{hang: true}, provider.NewSlots(), func(s string) string { return s }, deaf{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		hangs := source(func(context.Context, ipsources.IPSettings) ([]netip.Addr, error) {
			time.Sleep(time.Hour)
			return nil, nil
		})
		subject := &Subject{Routers: []Source{{hangs, "upnp", ipaddr.SpecialPurpose}}}
		for range 20 {
			z := Zone{Name: "example.com.", Provider: p}
			for range 100 {
				z.Records = append(z.Records, doctor.Record{Name: "www", FQDN: "www.example.com"})
			}
			subject.Zones = append(subject.Zones, z)
			subject.Groups = append(subject.Groups, Group{Families: [ipaddr.Families]bool{true, true}, Sources: []Source{{hangs, "a", nil}, {hangs, "b", nil}}})
		}
		w := internet()
		slow := func(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
			if m.Question[0].Name == "www.example.com." {
				select {
				case <-ctx.Done():
				case <-time.After(2 * dnsTimeout):
				}
				return nil, errors.New("it does not answer")
			}
			return w.ask(ctx, m, server)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		began := time.Now()
		Look(ctx, subject, &World{Path: func(ipaddr.Family) (p doctor.Path) { return p }, Finder: &delegation.Finder{Ask: slow, Resolver: "resolver:53", Port: "53"}}, new(doctor.Facts))
		if took := time.Since(began); took > 26*time.Second {
			t.Errorf("took %s", took)
		}
		time.Sleep(2 * time.Hour)
	})
}

type dnsProvider struct {
	err  error
	hang bool
}

func (p *dnsProvider) SetRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	panic("the doctor writes")
}

func (p *dnsProvider) GetRecords(context.Context, string) ([]libdns.Record, error) {
	if p.hang {
		time.Sleep(time.Hour)
	}
	return []libdns.Record{
		libdns.RR{Name: "www", Type: "A", Data: "93.184.216.34"}, libdns.RR{Name: "sub", Type: "NS", Data: "ns.example.net."},
	}, p.err
}

func (p *dnsProvider) ListZones(context.Context) ([]libdns.Zone, error) {
	return []libdns.Zone{{Name: "example.com."}, {Name: "a.org"}}, p.err
}

type deaf struct{}

func (deaf) Called(string, string, bool, time.Duration) {}

// TestProvider is asked for its zones and records, and no secret of it is told.
func TestProvider(t *testing.T) {
	module := new(dnsProvider)
	redact := func(s string) string { return strings.ReplaceAll(s, "hunter2", "[redacted]") }
	p, err := provider.New("cloudflare", module, provider.NewSlots(), redact, deaf{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	z := Zone{Name: "example.com.", Provider: p, Records: []doctor.Record{{Name: "www", FQDN: "www.example.com"}, {Name: "x.sub", FQDN: "x.sub.example.com"}}}
	subject := &Subject{Zones: []Zone{z}}
	look := func() doctor.Zone {
		facts := new(doctor.Facts)
		w := &World{Path: func(ipaddr.Family) doctor.Path { return doctor.Path{} }, Finder: &delegation.Finder{Ask: internet().ask, Resolver: "resolver:53", Port: "53"}}
		Look(t.Context(), subject, w, facts)
		return facts.Zones[0]
	}
	got := look()
	if !slices.Equal(got.Listing.Zones, []string{"a.org", "example.com"}) || got.Records[0].Observed[0].String() != "93.184.216.34" ||
		!strings.Contains(got.Records[1].Blocked, "hidden by the delegation of sub.example.com") || got.Records[0].Public.Server == "" {
		t.Errorf("%+v", got)
	}
	module.err = errors.New("bad token hunter2")
	if got := look(); got.ReadErr != "bad token [redacted]" || got.Listing.Err != "bad token [redacted]" {
		t.Errorf("%+v", got)
	}
}

// TestPort: one that is taken is told from one that serves the zones.
func TestPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		if rr, _ := dns.NewRR(soa); m.Question[0].Name == "example.com." {
			r.Authoritative, r.Answer = true, []dns.RR{rr}
		}
		_ = w.WriteMsg(r)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	w := &World{Listen: Listen}
	for zone, serves := range map[string]bool{"example.com": true, "example.org": false} {
		if p := try(t.Context(), doctor.Port{Listen: "tcp/" + ln.Addr().String(), Zones: []string{zone}}, w); !p.Busy || p.Serves != serves {
			t.Errorf("%s: %+v", zone, p)
		}
	}
	if p := try(t.Context(), doctor.Port{Listen: "udp/127.0.0.1:0"}, w); p.Busy || p.Denied || p.Err != "" {
		t.Errorf("a free one: %+v", p)
	}
	if p := try(t.Context(), doctor.Port{Listen: "udp/192.0.2.77:53"}, w); p.Err == "" {
		t.Errorf("one that is not here: %+v", p)
	}
}

func TestResolver(t *testing.T) {
	for address, want := range map[string]string{"9.9.9.9": "9.9.9.9:53", "127.0.0.1:5353": "127.0.0.1:5353", "2620:fe::fe": "[2620:fe::fe]:53", "dns.example": ""} {
		f, err := Resolver(address)
		if err != nil && want != "" || err == nil && f.Resolver != want {
			t.Errorf("%s: %+v, %v", address, f, err)
		}
	}
}
