package nameserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// needs skips a test that a machine cannot run, except in CI.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("needs %s", p)
			}
			t.Skipf("needs %s", p)
		}
	}
}

// startBIND serves a zone with BIND, with the options given for it and global
// statements, and returns where.
func startBIND(t testing.TB, port int, zone, options string, global ...string) (server string) {
	t.Helper()
	needs(t, "named")
	dir := t.TempDir()
	conf := fmt.Sprintf(`options { directory "%[1]s"; pid-file none; session-keyfile "%[1]s/session.key";
	listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no;
	minimal-responses yes; check-names primary ignore; check-integrity no; zero-no-soa-ttl no; rate-limit { exempt-clients { any; }; }; };
controls { };
%[5]s
zone "%[3]s" { %[4]s };
`, dir, port, zone, options, strings.Join(global, "\n"))
	if err := os.WriteFile(dir+"/named.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("named", "-g", "-n", "1", "-c", dir+"/named.conf")
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(dir + "/log")
			_, errors, _ := strings.Cut(string(b), "all zones loaded")
			t.Logf("BIND: %s", errors)
		}
	})
	server = fmt.Sprintf("127.0.0.1:%d", port)
	for range 100 {
		m := new(dns.Msg).SetQuestion(zone+".", dns.TypeSOA)
		if _, _, err := new(dns.Client).Exchange(m, server); err == nil {
			return server
		}
		time.Sleep(50 * time.Millisecond)
	}
	b, _ := os.ReadFile(dir + "/log")
	t.Fatalf("BIND does not answer: %s", b)
	return ""
}

var labels = []string{"a", "b", "c", "mail", "www", "_sip", "_tcp", "*", "xn--bcher-kva", `sp\032ace`, `dot\.ted`, "0"}

func randomName(r *rand.Rand, depth int) string {
	var parts []string
	for range depth {
		parts = append(parts, labels[r.IntN(len(labels))])
	}
	return strings.Join(parts, ".")
}

// randomZone returns records with wildcards, aliases, loops of aliases,
// delegations with and without glue, empty non-terminals and RRsets too large
// for UDP.
func randomZone(r *rand.Rand, origin string) []libdns.Record {
	var out []libdns.Record
	used := make(map[string]string) // name → CNAME, NS or other
	add := func(name, typ, data string) {
		class := "other"
		switch typ {
		case "CNAME":
			class = typ
		case "NS":
			class = typ
			if strings.HasPrefix(name, "*") {
				return
			}
		}
		if was, ok := used[name]; ok && (class == "CNAME" || was == "CNAME" || was != class) {
			return
		}
		used[name] = class
		out = append(out, libdns.RR{Name: name, Type: typ, TTL: time.Duration(60*(1+len(name))) * time.Second, Data: data})
	}
	target := func() string {
		if r.IntN(5) == 0 {
			return "elsewhere.example.net."
		}
		return randomName(r, 1+r.IntN(3)) + "." + origin
	}
	for range 150 {
		name := randomName(r, 1+r.IntN(4))
		switch r.IntN(10) {
		case 0, 1, 2:
			add(name, "A", fmt.Sprintf("192.0.2.%d", r.IntN(256)))
		case 3:
			add(name, "AAAA", fmt.Sprintf("2001:db8::%x", r.IntN(65536)))
		case 4, 5:
			add(name, "CNAME", target())
		case 6:
			add(name, "MX", fmt.Sprintf("%d %s", r.IntN(100), target()))
		case 7:
			add(name, "NS", target())
			add(name, "NS", "ns."+name+"."+origin)
			add("ns."+name, "A", "192.0.2.53")
		case 8:
			add(name, "TXT", `quo"te \ and; semicolon`)
			add(name, "SRV", "1 2 443 "+target())
		case 9:
			add(name, "HTTPS", `1 . alpn=h2,h3 ipv4hint=192.0.2.1`)
			add(name, "CAA", `0 issue "ca.example"`)
		}
	}
	for i := range 60 {
		add("big", "A", fmt.Sprintf("192.0.2.%d", i))
	}
	for i := range 5 {
		add("long", "TXT", strings.Repeat(fmt.Sprint(i), 260))
	}
	for i := range 5 {
		add(fmt.Sprintf("chain%d", i), "CNAME", fmt.Sprintf("chain%d.%s", i+1, origin))
	}
	add("chain5", "A", "192.0.2.5")
	add("loop1", "CNAME", "loop2."+origin)
	add("loop2", "CNAME", "loop1."+origin)
	add("self", "CNAME", "self."+origin)
	add("to-nothing", "CNAME", "nothing.at.all."+origin)
	add("@", "A", "192.0.2.1")
	add("@", "AAAA", "2001:db8::1")
	add("@", "MX", "10 mail."+origin)
	return out
}

// describe returns what two servers must agree on in their responses.
func describe(m *dns.Msg) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rcode=%s aa=%t tc=%t rd=%t ra=%t ad=%t cd=%t", dns.RcodeToString[m.Rcode],
		m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled)
	if opt := m.IsEdns0(); opt != nil {
		fmt.Fprintf(&b, " edns=%d,%d,%t", opt.Version(), opt.UDPSize(), opt.Do())
	}
	b.WriteByte('\n')
	if m.Truncated {
		return b.String()
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var lines []string
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			rr = dns.Copy(rr)
			rr.Header().Name = strings.ToLower(rr.Header().Name)
			lines = append(lines, fmt.Sprintf("%d %s\n", i, rr))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

func TestAnswersAsBINDDoes(t *testing.T) {
	needs(t, "named")
	const zone, queries = "example.test", 10000
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	ours := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, dir, &App{
		Listen: []string{ours},
		Zones:  map[string]*Zone{zone: {NameServers: []NameServer{{Host: "ns1"}, {Host: "ns.example.net"}}}},
	}))
	if _, err := providerAt(dir).SetRecords(context.Background(), zone, randomZone(r, zone+".")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nameserver", zone+".zone")
	theirs := startBIND(t, freePort(t), zone, fmt.Sprintf(`type primary; file "%s";`, file))

	types := []uint16{
		dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeSRV,
		dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCAA, dns.TypePTR, dns.TypeDS, dns.TypeDNSKEY, dns.TypeANY, dns.TypeHINFO, 65280,
	}
	special := []string{"", "big", "long", "chain0", "loop1", "self", "to-nothing", "ns1", "x.big", "x.to-nothing"}
	rcodes := make(map[int]int)
	truncated, referrals, failures := 0, 0, 0
	conns := [2]*dns.Conn{}
	for i, server := range []string{ours, theirs} {
		c, err := dns.Dial("udp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.UDPSize = dns.MaxMsgSize
		conns[i] = c
	}
	for range queries {
		name := randomName(r, 1+r.IntN(5))
		if r.IntN(6) == 0 {
			name = special[r.IntN(len(special))]
		}
		if name != "" {
			name += "."
		}
		name += zone + "."
		if r.IntN(50) == 0 {
			name = "outside." + []string{"test.", "example.", "notexample.test."}[r.IntN(3)]
		}
		if r.IntN(3) == 0 {
			name = strings.ToUpper(name)
		}
		q := new(dns.Msg).SetQuestion(name, types[r.IntN(len(types))])
		q.RecursionDesired = r.IntN(2) == 0
		q.CheckingDisabled = r.IntN(4) == 0
		if r.IntN(2) == 0 {
			q.SetEdns0([]uint16{512, 1232, 4096, 100}[r.IntN(4)], r.IntN(2) == 0)
			if r.IntN(50) == 0 {
				q.IsEdns0().SetVersion(1)
			}
		}
		tcp := q.Question[0].Qtype == dns.TypeANY || r.IntN(20) == 0
		var got [2]*dns.Msg
		for i, server := range []string{ours, theirs} {
			var err error
			if tcp {
				got[i], _, err = (&dns.Client{Net: "tcp"}).Exchange(q, server)
			} else {
				got[i], _, err = new(dns.Client).ExchangeWithConn(q, conns[i])
			}
			if err != nil {
				t.Fatalf("%v: %v", q, err)
			}
		}
		rcodes[got[1].Rcode]++
		if q.Question[0].Qtype == dns.TypeNS && strings.EqualFold(name, zone+".") {
			// Sometimes BIND adds addresses here, for resolvers that prime.
			got[1].Extra = slices.DeleteFunc(got[1].Extra, func(rr dns.RR) bool { return zonedata.IsAddress(rr.Header().Rrtype) })
		}
		if got[1].Truncated {
			truncated++
		}
		if !got[1].Authoritative && len(got[1].Ns) > 0 {
			referrals++
		}
		if got[0].Question[0].Name != got[1].Question[0].Name {
			t.Errorf("asked for %s, answered for %s", name, got[0].Question[0].Name)
		}
		if ours, theirs := describe(got[0]), describe(got[1]); ours != theirs {
			t.Errorf("%s %s tcp=%t edns=%v\nours:   %s\ntheirs: %s", name, dns.TypeToString[q.Question[0].Qtype], tcp, q.IsEdns0() != nil, ours, theirs)
			if failures++; failures == 20 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d queries: rcodes %v, %d truncated, %d referrals", queries, rcodes, truncated, referrals)
	if truncated == 0 || referrals == 0 || rcodes[dns.RcodeNameError] == 0 || rcodes[dns.RcodeRefused] == 0 {
		t.Error("the queries do not cover what they should")
	}
}

func TestBINDReadsTheZoneFile(t *testing.T) {
	needs(t, "named-checkzone")
	dir := t.TempDir()
	p := providerAt(dir)
	z, key := useZone(p.storage, "example.test.")
	defer zones.Delete(key)
	d, err := new(Zone).declare(newReplacer(), "example.test.", nobody)
	if err != nil {
		t.Fatal(err)
	}
	z.declare(d)
	if _, err := p.SetRecords(context.Background(), "example.test", randomZone(rand.New(rand.NewPCG(1, 2)), "example.test.")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("named-checkzone", "-i", "none", "-k", "ignore", "example.test", filepath.Join(dir, "nameserver/example.test.zone")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "OK") {
		t.Errorf("%v: %s", err, out)
	}
}
