package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

const (
	public4, other4 = "93.184.216.34", "93.184.216.35"
	public6         = "2606:2800:220:1::1"
)

var (
	lan4 = netip.MustParseAddr("192.168.77.2")
	now  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// shown are addresses of an answer, each with why it is refused.
func shown(texts ...string) (out []Addr) {
	for _, addr := range addrs(texts...) {
		out = append(out, Addr{addr, ipaddr.SpecialPurpose(addr)})
	}
	return out
}

// home is a machine behind one router, of which all is well.
func home() *Facts {
	desired := addrs(public4)
	seen := Lookup{Server: "192.0.2.53", Addrs: desired, TTL: time.Minute}
	f := &Facts{
		Now: now, Admin: "localhost:2019", Running: &status.Status{InSync: new(true)},
		Groups: []Group{{
			Name: "default", Families: [ipaddr.Families]bool{ipaddr.V4: true},
			Answers: []Answer{{Source: "simple_http", Kind: Echo, Addrs: shown(public4), ConfirmedBy: []string{"a.example", "b.example"}}},
		}},
		Routers: []Answer{{Source: "natpmp", Kind: Router, Addrs: shown(public4)}},
		Zones: []Zone{{
			Name: "example.com", Provider: "cloudflare", Read: true, Listing: Listing{Able: true, Zones: []string{"example.com"}},
			Records: []Record{{Name: "www", FQDN: "www.example.com", Desired: desired, Observed: desired, Public: seen, Cached: seen}},
			Public: Delegation{Parent: "com", Servers: []Server{{
				Host: "ns.example.net", Addrs: addrs("192.0.2.53"),
				Answers: []Authority{{Addr: netip.MustParseAddr("192.0.2.53"), Authoritative: true, Serial: 7, Names: []string{"ns.example.net"}}},
			}}},
		}},
	}
	f.Paths[ipaddr.V4] = Path{Interface: "eth0", Gateway: netip.MustParseAddr("192.168.77.1"), Local: lan4, Addrs: shown("192.168.77.2")}
	return f
}

func (f *Facts) answer() *Answer { return &f.Groups[0].Answers[0] }
func (f *Facts) zone() *Zone     { return &f.Zones[0] }
func (f *Facts) record() *Record { return &f.Zones[0].Records[0] }
func (f *Facts) server() *Server { return &f.Zones[0].Public.Servers[0] }
func (f *Facts) serve(p Port)    { p.Zones = []string{"example.com"}; f.Ports = append(f.Ports, p) }
func (f *Facts) v6(texts ...string) {
	f.Groups[0].Families[ipaddr.V6] = true
	f.Groups[0].Answers = append(f.Groups[0].Answers, Answer{Source: "simple_http", Kind: Echo, Family: ipaddr.V6, NoFamily: true, Err: "no route"})
	if texts != nil {
		f.Paths[ipaddr.V6] = Path{Interface: "eth0", Local: netip.MustParseAddr(texts[0]), Addrs: shown(texts...)}
	}
}

// TestJudge: each change of a home where all is well is found, and only that.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Facts)
		want   status.Verdict
		// texts are parts of what is said of it: the findings that are not ok,
		// or for VerdictOK of any.
		texts []string
	}{
		{"all is well", func(*Facts) {}, status.VerdictOK, []string{"the router has 93.184.216.34, and services on the web see the same", "forward ports 80 and 443 to 192.168.77.2", "by a.example, b.example", "com delegates the zone", "serial 7", "1 record is as desired, at the provider and in public DNS, with a TTL of 1 min"}},
		{"no Caddy runs", func(f *Facts) { f.Running = nil }, status.VerdictOK, []string{"none answers at localhost:2019, so", "no running Caddy has yet"}},
		{"another Caddy runs", func(f *Facts) { f.Running, f.Silence = nil, "no dynamic_dns" }, status.VerdictOK, []string{"one runs at localhost:2019 that keeps no records, as far as is known (no dynamic_dns)", "caddy reload"}},
		{"it has written", func(f *Facts) {
			f.Running.Zones = []status.ZoneStatus{{Zone: "example.com", Provider: "cloudflare", Records: []status.RecordStatus{{Name: "www", Type: "A", LastChanged: now.Add(-2 * time.Hour)}}}}
		}, status.VerdictOK, []string{"the running Caddy last did, www A, 2 h ago"}},
		{"the running Caddy fails", func(f *Facts) {
			f.Running.InSync, f.Running.Zones = new(false), []status.ZoneStatus{{Zone: "example.com", FailingSince: now.Add(-90 * time.Second), LastFailure: &status.Failure{Error: "refused"}}}
		}, status.VerdictWrong, []string{"failed to keep example.com for 1 min: refused", "caddy dynamic-dns check"}},
		{"the running Caddy may not write", func(f *Facts) {
			f.record().Observed = nil
			f.Running.InSync, f.Running.Zones = new(false), []status.ZoneStatus{{Zone: "example.com", Provider: "cloudflare", FailingSince: now, LastFailure: &status.Failure{Error: "refused"}}}
		}, status.VerdictWrong, []string{"reading works, but the running Caddy fails: refused", "Zone - DNS - Edit", "tries to write that, and fails"}},
		{"it cannot tell", func(f *Facts) { f.Running.InSync, f.Running.Reason = nil, "no address" }, status.VerdictUnknown, []string{"cannot tell whether all records are in sync: no address"}},
		{"a variable is missing here", func(f *Facts) { f.Variable = "TOKEN" }, status.VerdictUnknown, []string{"environment variable TOKEN, which has none here", "pidof -s caddy"}},
		{"it is not loaded", func(f *Facts) { f.Refused = "domains: none" }, status.VerdictWrong, []string{"cannot be loaded: domains: none"}},

		{"no route", func(f *Facts) { f.Paths[ipaddr.V4] = Path{} }, status.VerdictWrong, []string{"not on the internet", "ip route"}},
		{"a container", func(f *Facts) { f.Paths[ipaddr.V4].Local = netip.MustParseAddr("172.17.0.2") }, status.VerdictOK, []string{"to 172.17.0.2 (or if that is a container, to its host"}},
		{"own public address", func(f *Facts) { f.Paths[ipaddr.V4].Local = netip.MustParseAddr(public4) }, status.VerdictOK, []string{"no NAT"}},
		{"carrier-grade NAT", func(f *Facts) { f.Routers[0].Addrs = shown("100.64.1.2") }, status.VerdictWrong, []string{"carrier-grade NAT", "natpmp says 100.64.1.2", "versions ipv6"}},
		{"carrier-grade NAT by PCP", func(f *Facts) {
			f.Routers[0] = Answer{Source: "natpmp", Kind: Router, DoubleNAT: true, Err: "the router 192.168.77.1 is itself behind NAT, with the address 100.64.1.2 (double NAT)"}
		}, status.VerdictWrong, []string{"carrier-grade NAT"}},
		{"double NAT", func(f *Facts) { f.Routers[0].Addrs = shown("10.1.2.3") }, status.VerdictWrong, []string{"double NAT", "10.1.2.3", "bridge"}},
		{"double NAT by PCP", func(f *Facts) {
			f.Routers[0] = Answer{Source: "natpmp", Kind: Router, DoubleNAT: true, Err: "double NAT"}
		}, status.VerdictWrong, []string{"another router"}},
		{"the router has none", func(f *Facts) {
			f.Routers[0] = Answer{Source: "upnp", Kind: Router, NoAddress: true, Err: "it has no public address"}
		}, status.VerdictWrong, []string{"NAT: it has no public address", "carrier-grade NAT"}},
		{"the router knows another", func(f *Facts) { f.Routers[0].Addrs = shown(other4) }, status.VerdictWrong, []string{"VPN or a second NAT", "interface eth0"}},
		{"the router is silent", func(f *Facts) { f.Routers[0] = Answer{Source: "natpmp", Kind: Router, Err: "silent"} }, status.VerdictUnknown, []string{"router does not say", "If it is 93.184.216.34, all is well"}},
		{"a VPN", func(f *Facts) {
			f.Paths[ipaddr.V4].Local, f.Routers = netip.MustParseAddr(other4), nil
		}, status.VerdictUnknown, []string{"VPN or a proxy", "ip_source interface"}},

		{"no source answers", func(f *Facts) { *f.answer() = Answer{Source: "simple_http", Kind: Echo, Err: "no answer"} }, status.VerdictWrong, []string{"simple_http, IPv4: no answer", "no IPv4 address can be published"}},
		{"only a private address", func(f *Facts) { *f.answer() = Answer{Source: "interface", Addrs: shown("192.168.77.2")} }, status.VerdictWrong, []string{"192.168.77.2, which is not published: private", "ip_source simple_http"}},
		{"a second source fails", func(f *Facts) {
			f.Groups[0].Answers = append(f.Groups[0].Answers, Answer{Source: "upnp", Kind: Router, Err: "silent"})
		}, status.VerdictUnknown, []string{"upnp, IPv4: silent"}},
		{"two sources agree together", func(f *Facts) {
			f.answer().Addrs, f.answer().Votes, f.answer().Err = nil, []Vote{{addrs(public4)[0], "a"}}, "one is too few"
			f.Groups[0].Answers = append(f.Groups[0].Answers, Answer{Source: "dns", Kind: Echo, Err: "one is too few", Votes: []Vote{{addrs(public4)[0], "b"}}})
		}, status.VerdictUnknown, []string{"one is too few"}},
		{"no IPv6", func(f *Facts) { f.v6() }, status.VerdictOK, []string{"no route to the internet over IPv6", "Switch IPv6 on in the router"}},
		{"unique-local IPv6", func(f *Facts) { f.v6("fd77::2") }, status.VerdictOK, []string{"fd77::2 is unique-local", "permanent public address"}},
		{"IPv6 that no source knows", func(f *Facts) { f.v6(public6) }, status.VerdictOK, []string{"eth0 has 2606:2800:220:1::1", "`ip_source interface`"}},

		{"the token is refused", func(f *Facts) {
			f.zone().Listing.Err, f.zone().ReadErr = "Authentication error", "Authentication error"
		}, status.VerdictWrong, []string{"cannot be read: Authentication error", "Zone - DNS - Edit"}},
		{"only reading is allowed to fail", func(f *Facts) { f.zone().ReadErr = "Forbidden" }, status.VerdictWrong, []string{"cannot be read: Forbidden"}},
		{"listing is not allowed", func(f *Facts) { f.zone().Listing.Err = "Forbidden" }, status.VerdictOK, []string{"which is not needed: Forbidden"}},
		{"the key is refused", func(f *Facts) {
			f.zone().Provider, f.zone().ReadErr = "rfc2136", "zone transfer: dns: bad authentication: ..."
		}, status.VerdictWrong, []string{"as tsig-keygen printed them"}},
		{"the key may not read", func(f *Facts) {
			f.zone().Provider, f.zone().ReadErr = "rfc2136", "zone transfer: dns: bad xfr rcode: 5"
		}, status.VerdictWrong, []string{"allow-transfer"}},
		{"the provider is away", func(f *Facts) { f.zone().ReadErr = "dial tcp: no such host" }, status.VerdictWrong, []string{"cannot be reached from here"}},
		{"another zone", func(f *Facts) { f.zone().Listing.Zones = []string{"a.org", "b.org"} }, status.VerdictWrong, []string{"does not list the zone, but a.org, b.org"}},
		{"no zones", func(f *Facts) { f.zone().Listing.Zones = nil }, status.VerdictWrong, []string{"lists no zones", "Zone - Zone - Read"}},
		{"a part of a zone", func(f *Facts) {
			f.zone().Name, f.record().FQDN, f.zone().ReadErr = "home.example.com", "www.home.example.com", "no such zone"
		}, status.VerdictWrong, []string{"no zone home.example.com, but example.com", "    example.com www.home"}},
		{"it cannot be read", func(f *Facts) { f.zone().Read, f.zone().Listing = false, Listing{} }, status.VerdictUnknown, []string{"the provider cannot be read"}},

		{"a name without a zone", func(f *Facts) {
			f.Homeless = []Homeless{{Name: "www.example.net", Provider: "cloudflare", Reason: "it is in no zone of the provider"}}
		}, status.VerdictWrong, []string{"www.example.net: it is in no zone of the provider", "Zone - Zone - Read"}},
		{"a name of which the zone is not known yet", func(f *Facts) { f.Homeless = []Homeless{{Name: "www.example.net"}} }, status.VerdictUnknown, []string{"not found in time"}},
		{"not delegated", func(f *Facts) { f.zone().Public.Servers = nil }, status.VerdictWrong, []string{"com does not delegate the zone", "name servers that cloudflare shows"}},
		{"the own server is not delegated", func(f *Facts) {
			f.serve(Port{Listen: "udp/:53", Serves: true})
			f.zone().Public.Servers, f.record().Name = nil, "@"
		}, status.VerdictWrong, []string{"example.com. IN NS ns1.example.com.", "ns1.example.com. IN A 93.184.216.34"}},
		{"glue is missing", func(f *Facts) {
			*f.server() = Server{Host: "ns1.example.com", Inside: true}
			f.serve(Port{Listen: "udp/:53", Serves: true, Parents: map[string][]string{"example.com": {"example.com. IN NS ns1.example.com.", "ns1.example.com. IN A 93.184.216.35"}}})
			f.record().Public = Lookup{}
		}, status.VerdictWrong, []string{"glue is missing: ns1.example.com", "ns1.example.com. IN A 93.184.216.35"}},
		{"glue is old", func(f *Facts) {
			f.server().Host, f.server().Inside, f.server().Glue = "ns1.example.com", true, true
			f.server().Answers[0] = Authority{Err: "it does not answer"}
			f.serve(Port{Listen: "udp/:53", Serves: true})
			f.record().Name = "@"
		}, status.VerdictWrong, []string{"lame delegation", "correct the address", "ns1.example.com. IN A 93.184.216.34"}},
		{"a server without address", func(f *Facts) { f.server().Addrs, f.server().Answers = nil, nil }, status.VerdictWrong, []string{"ns.example.net has no address"}},
		{"a lame server", func(f *Facts) { f.server().Answers[0] = Authority{Err: "it answers REFUSED"} }, status.VerdictWrong, []string{"lame delegation: ns.example.net", "it answers REFUSED", "no name server serves the zone"}},
		{"a server here", func(f *Facts) { f.server().Answers[0] = Authority{Addr: addrs(public4)[0], Err: "it does not answer"} }, status.VerdictUnknown, []string{"this machine as the internet sees it", "dig @192.0.2.53 example.com SOA"}},
		{"questions are caught", func(f *Facts) { f.server().Answers[0] = Authority{Recursive: true} }, status.VerdictUnknown, []string{"catches DNS questions"}},
		{"other names in the zone", func(f *Facts) { f.server().Answers[0].Names = []string{"ns.other.net"} }, status.VerdictWrong, []string{"names other servers than its parent: ns.other.net"}},
		{"a DS record of old", func(f *Facts) { f.zone().Public.Signed, f.zone().Public.Keyless = true, true }, status.VerdictWrong, []string{"Delete the DS record"}},
		{"a reserved name", func(f *Facts) {
			f.zone().Public, f.record().Public, f.record().Cached = Delegation{Reserved: true}, Lookup{}, Lookup{}
		}, status.VerdictOK, []string{"reserved", "public DNS has not been asked"}},
		{"no resolver", func(f *Facts) { f.zone().Public = Delegation{Err: "no resolver"} }, status.VerdictUnknown, []string{"no resolver"}},

		{"an old address", func(f *Facts) { f.record().Observed = addrs(other4) }, status.VerdictWrong, []string{"www.example.com A is 93.184.216.35 at cloudflare, and should be 93.184.216.34", "caddy dynamic-dns check"}},
		{"and nobody who mends it", func(f *Facts) { f.record().Observed, f.Running = nil, nil }, status.VerdictWrong, []string{"is none at cloudflare", "caddy run"}},
		{"never created", func(f *Facts) { f.record().Observed, f.record().UpdateOnly = nil, true }, status.VerdictWrong, []string{"update_only keeps it"}},
		{"something in the way", func(f *Facts) { f.record().Blocked = "a CNAME record is in the way" }, status.VerdictWrong, []string{"www.example.com A: a CNAME record is in the way"}},
		{"a CNAME in public", func(f *Facts) { f.record().Public.CNAME = "example.net" }, status.VerdictWrong, []string{"CNAME record to example.net"}},
		{"a delegation below", func(f *Facts) { f.record().Public = Lookup{Server: "192.0.2.53", Cut: "www.example.com"} }, status.VerdictWrong, []string{"NS records at www.example.com"}},
		{"other servers than the provider's", func(f *Facts) { f.record().Public.Addrs = nil }, status.VerdictWrong, []string{"is none at 192.0.2.53", "name servers that cloudflare shows"}},
		{"a proxy", func(f *Facts) { f.record().Public.Addrs = addrs("104.16.1.2") }, status.VerdictOK, []string{"the record is proxied"}},
		{"no proxy at others", func(f *Facts) { f.record().Public.Addrs, f.zone().Provider = addrs("104.16.1.2"), "route53" }, status.VerdictWrong, []string{"is 104.16.1.2 at 192.0.2.53"}},
		{"a cache", func(f *Facts) { f.record().Cached.Addrs = addrs(other4) }, status.VerdictWrong, []string{"still has 93.184.216.35 in its cache", "within 1 min", "ttl 1m"}},
		{"a cache of nothing", func(f *Facts) { f.record().Cached.Addrs = nil }, status.VerdictWrong, []string{"has kept in mind that there is no such record"}},
		{"split DNS", func(f *Facts) { f.record().Cached.Addrs = addrs("192.168.77.2") }, status.VerdictOK, []string{"as for this network alone"}},
		{"nothing desired", func(f *Facts) { f.record().Desired = nil }, status.VerdictOK, nil},

		{"nobody serves the zone", func(f *Facts) { f.zone().Provider, f.server().Answers = "nameserver", nil }, status.VerdictUnknown, []string{"nobody serves it, unless another Caddy", "zone example.com"}},
		{"another Caddy serves the zone", func(f *Facts) { f.zone().Provider = "nameserver" }, status.VerdictOK, nil},
		{"the port is served", func(f *Facts) { f.serve(Port{Listen: "udp/:53", Busy: true, Serves: true}) }, status.VerdictOK, []string{"it serves example.com"}},
		{"the port is taken", func(f *Facts) { f.serve(Port{Listen: "udp/[::1]:53", Busy: true}) }, status.VerdictWrong, []string{"in use by another program", "sudo ss -lnptu 'sport = :53'", "DNSStubListener=no"}},
		{"the port over UDP and TCP", func(f *Facts) {
			f.serve(Port{Listen: "udp/:53", Busy: true})
			f.serve(Port{Listen: "tcp/:53", Busy: true})
		}, status.VerdictWrong, []string{"in use by another program"}},
		{"the port is forbidden", func(f *Facts) { f.serve(Port{Listen: "udp/:53", Denied: true}) }, status.VerdictWrong, []string{"setcap"}},
		{"the port is not used", func(f *Facts) { f.serve(Port{Listen: "udp/:53"}) }, status.VerdictWrong, []string{"the running Caddy does not serve"}},
		{"the port is free", func(f *Facts) { f.Running = nil; f.serve(Port{Listen: "udp/:53"}) }, status.VerdictOK, []string{"the port is free"}},
		{"there is no such address", func(f *Facts) { f.serve(Port{Listen: "udp/9.9.9.9:53", Err: "cannot assign"}) }, status.VerdictWrong, []string{"cannot assign"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := home()
			test.change(f)
			d := status.NewDiagnosis(now, Judge(f))
			if d.Verdict != test.want {
				t.Errorf("verdict %s, want %s", d.Verdict, test.want)
			}
			var said []string
			for _, finding := range d.Findings {
				if test.want == status.VerdictOK || finding.Verdict != status.VerdictOK {
					said = append(said, append([]string{finding.Text, finding.Do}, finding.Paste...)...)
				}
			}
			for _, text := range test.texts {
				if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, text) }) {
					t.Errorf("no %q in\n%s", text, strings.Join(said, "\n"))
				}
			}
			if t.Failed() {
				t.Log("\n" + d.Text(false))
			}
		})
	}
}

// TestUnlisted: where a provider cannot list zones, rights are not the matter.
func TestUnlisted(t *testing.T) {
	f := home()
	f.Homeless = []Homeless{{Name: "nas.example.net", Provider: "rfc2136", Reason: "the provider cannot list its zones, and DNS fails; write the name under its zone in domains"}}
	i := slices.IndexFunc(Judge(f), func(f status.Finding) bool { return strings.Contains(f.Text, "nas.example.net") })
	if i < 0 || Judge(f)[i].Verdict != status.VerdictWrong || Judge(f)[i].Do != "" {
		t.Errorf("%d in %+v", i, Judge(f))
	}
}

// TestFind: the first source with an address that may be published wins.
func TestFind(t *testing.T) {
	votes := func(source, operator string) Answer {
		return Answer{Source: source, Votes: []Vote{{addrs(public4)[0], operator}}}
	}
	for name, test := range map[string]struct {
		answers []Answer
		want    string
		source  string
	}{
		"none":               {nil, "none", ""},
		"the first":          {[]Answer{{Source: "a", Addrs: shown(public4)}, {Source: "b", Addrs: shown(other4)}}, public4, "a"},
		"not a private one":  {[]Answer{{Source: "a", Addrs: shown("10.0.0.1")}, {Source: "b", Addrs: shown(other4)}}, other4, "b"},
		"not past a hold":    {[]Answer{{Source: "a", Hold: true}, {Source: "b", Addrs: shown(other4)}}, "none", ""},
		"two operators":      {[]Answer{votes("a", "x"), votes("b", "y")}, public4, "b"},
		"one operator twice": {[]Answer{votes("a", "x"), votes("b", "x")}, "none", ""},
	} {
		g := Group{Answers: test.answers}
		if got := g.Find(ipaddr.V4); list(got.Addrs) != test.want || got.Source != test.source {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
