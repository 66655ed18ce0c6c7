package nameserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/delegation"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

func runningApp(t *testing.T) *App {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("nameserver")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

func TestStatus(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secondary := &dns.Server{PacketConn: pc, MsgAcceptFunc: accept, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Opcode == dns.OpcodeQuery {
			rr, _ := dns.NewRR("example.test. 60 IN SOA a. b. 7 1 1 1 1")
			m.Answer = []dns.RR{rr}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = secondary.ActivateAndServe() }()
	defer func() { _ = secondary.Shutdown() }()

	dir := t.TempDir()
	server := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	load(t, configFor(t, dir, &App{
		Name: "web1", Listen: []string{server},
		TSIGKeys: map[string]*TSIGKey{"transfer": {Secret: transferSecret}},
		Zones: map[string]*Zone{"example.test": {
			Records: []Record{{"www", "A", "192.0.2.1"}}, Notify: []string{pc.LocalAddr().String()}, TransferTo: []string{"key:transfer"},
		}},
	}))
	file := dir + "/nameserver/example.test.zone"
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, missing := os.Stat(file)
		if s := runningApp(t).status(t.Context()); missing == nil && s.Zones[0].Error == "" && s.Zones[0].Records == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", runningApp(t).status(t.Context()))
		}
	}
	ask(t, "udp", server, "www.example.test.", dns.TypeA)
	ask(t, "tcp", server, "nothing.example.test.", dns.TypeA)

	writeSettled(t, file, "broken\n")
	var out bytes.Buffer
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		raw, err := json.Marshal(runningApp(t).status(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), transferSecret) {
			t.Fatal("the status has a secret")
		}
		out.Reset()
		code, err := show(&out, bytes.NewReader(raw), false)
		if err == nil && code == exitUnwell && strings.Contains(out.String(), "example.test.zone.bad") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d, %v: %s", code, err, out.String())
		}
	}
	for _, want := range []string{"Name server web1 on udp/" + server, "example.test.", "3 records", "secondary " + pc.LocalAddr().String(), "serial 7"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{runningApp(t).keepers})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"caddy_nameserver_queries_total noerror udp example.test":  1,
		"caddy_nameserver_queries_total nxdomain tcp example.test": 1,
		"caddy_nameserver_zone_records example.test":               3,
		"caddy_nameserver_zone_healthy example.test":               0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is not %g in %v", name, want, got)
		}
	}
}

// The parent's servers are asked, and what has to be written there is told.
func TestDelegationCheck(t *testing.T) {
	const zone = "home.example.org."
	k := &keeper{zone: newZone(zone), logger: caddy.Log()}
	d, err := (&Zone{NameServers: []NameServer{{Host: "ns1", Addresses: []string{"203.0.113.7"}}}}).declare(newReplacer(), zone, nobody)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.first(zone)
	if err != nil {
		t.Fatal(err)
	}
	k.serve(s)
	glue := "203.0.113.6"
	f := &delegation.Finder{Resolver: "resolver", Port: "53", Ask: func(_ context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
		r := new(dns.Msg).SetReply(m)
		add := func(to *[]dns.RR, text string) {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
			}
			*to = append(*to, rr)
		}
		switch q := m.Question[0]; {
		case server == "192.0.2.1:53":
			add(&r.Ns, "home.example.org. 60 NS ns1.home.example.org.")
			add(&r.Extra, "ns1.home.example.org. 60 A "+glue)
		case q.Qtype == dns.TypeNS:
			add(&r.Answer, "example.org. 60 NS a.example.org.")
		case q.Qtype == dns.TypeA:
			add(&r.Answer, "a.example.org. 60 A 192.0.2.1")
		}
		return r, nil
	}}
	if got := k.checkParent(t.Context(), f); got.Right || fmt.Sprint(got.Write, got.Delete) != "[ns1.home.example.org. IN A 203.0.113.7] [ns1.home.example.org. IN A 203.0.113.6]" {
		t.Errorf("%+v", got.Delegation)
	}
	status := &report.Status{Zones: []report.ZoneStatus{{Name: zone, Served: true, Delegation: k.delegation.Load()}}}
	var out bytes.Buffer
	if err := printStatus(&out, status); err != nil || status.Well() || !strings.Contains(out.String(), "write in example.org.   ns1.home.example.org. IN A 203.0.113.7") {
		t.Errorf("%v: %s", err, out.String())
	}
	glue = "203.0.113.7"
	if got := k.checkParent(t.Context(), f); !got.Right {
		t.Errorf("%+v", got.Delegation)
	}
}
