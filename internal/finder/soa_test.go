package finder

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// serve runs a name server that has these zones, and knows nothing else. It
// answers with the code where that is another one.
func serve(t *testing.T, rcode int, zones ...string) (addr string, asked *atomic.Int32) {
	t.Helper()
	return serveIf(t, rcode, func(int32, string) bool { return true }, zones...)
}

// serveIf is serve, but does not answer a question if heard is false for it.
func serveIf(t *testing.T, rcode int, heard func(n int32, name string) bool, zones ...string) (addr string, asked *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		q := r.Question[0]
		if !heard(asked.Add(1), q.Name) {
			return
		}
		m := new(dns.Msg).SetRcode(r, rcode)
		for _, zone := range zones {
			soa := &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns." + zone, Mbox: "host." + zone, Refresh: 3600}
			if strings.EqualFold(q.Name, zone) && q.Qtype == dns.TypeSOA {
				m.Answer = append(m.Answer, soa)
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return conn.LocalAddr().String(), asked
}

func TestSOA(t *testing.T) {
	addr, _ := serve(t, dns.RcodeSuccess, "example.com.", "Sub.Example.com.", "com.", "lan.", "elsewhere.example.")
	for host, want := range map[string]string{
		"www.example.com":       "example.com.",
		"example.com":           "example.com.",
		"*.example.com":         "example.com.",
		"a.b.sub.example.com":   "sub.example.com.",
		"nas.lan":               "lan.",
		"www.nobody.com":        "name servers know no zone of it below com",
		"www.nobody.test":       "could not find the start of authority",
		"www.elsewhere.example": "elsewhere.example.",
	} {
		got, err := SOA(t.Context(), zap.NewNop(), host, []string{addr})
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
	broken, _ := serve(t, dns.RcodeServerFailure)
	if _, err := SOA(t.Context(), zap.NewNop(), "www.broken.test", []string{broken}); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("got %v", err)
	}
}

// TestSOAUnanswered: a question that is lost makes no zone of one above it, and a
// name server that is away keeps no zone from being found.
func TestSOAUnanswered(t *testing.T) {
	zones := []string{"example.com.", "sub.example.com."}
	lossy, _ := serveIf(t, dns.RcodeSuccess, func(n int32, _ string) bool { return n > 1 }, zones...)
	deaf, _ := serveIf(t, dns.RcodeSuccess, func(_ int32, name string) bool { return name != "sub.example.com." }, zones...)
	silent, _ := serveIf(t, dns.RcodeSuccess, func(int32, string) bool { return false })
	well, _ := serve(t, dns.RcodeSuccess, zones...)
	for _, test := range []struct {
		servers    []string
		host, want string
	}{
		{[]string{lossy}, "sub.example.com", "sub.example.com."},
		{[]string{deaf}, "sub.example.com", "asking for the start of authority of sub.example.com: "},
		{[]string{silent, well}, "a.b.sub.example.com", "sub.example.com."},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), lookTimeout)
		got, err := SOA(ctx, zap.NewNop(), test.host, test.servers)
		cancel()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.host, got, test.want)
		}
	}
}

// TestSOAIsNotRemembered: a zone that is gone is found no more.
func TestSOAIsNotRemembered(t *testing.T) {
	before, _ := serve(t, dns.RcodeSuccess, "example.com.", "gone.example.com.")
	after, _ := serve(t, dns.RcodeSuccess, "example.com.")
	for _, test := range []struct{ server, want string }{{before, "gone.example.com."}, {after, "example.com."}} {
		if got, err := SOA(t.Context(), zap.NewNop(), "www.gone.example.com", []string{test.server}); got != test.want {
			t.Errorf("got %s, %v; want %s", got, err, test.want)
		}
	}
}

// TestSOAEndsInTime: where no name server answers, whoever waits does not wait for
// longer than the context.
func TestSOAEndsInTime(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := SOA(ctx, zap.NewNop(), "www.silent.test", []string{silent.LocalAddr().String()}); err == nil {
		t.Error("a zone was found")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("waited for %s", took)
	}
}

func TestPlausible(t *testing.T) {
	for _, test := range []struct{ host, zone, want string }{
		{"www.example.com", "Example.COM.", "example.com."},
		{"www.example.com", "other.com.", "name servers say that it is in other.com"},
		{"www.example.com", "ample.com.", "name servers say that it is in ample.com"},
		{"www.example.com", ".", "there is no zone below the root"},
		{"www.example.co.uk", "co.uk.", "name servers know no zone of it below co.uk"},
		{"box.duckdns.org", "duckdns.org.", "duckdns.org."},
	} {
		got, err := plausible(test.host, test.zone)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s in %s: got %s, want %s", test.host, test.zone, got, test.want)
		}
	}
}
