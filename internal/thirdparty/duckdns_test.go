package thirdparty

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/duckdns"
	"github.com/miekg/dns"
)

// Duckdns is the duckdns provider as a Caddy module.
type Duckdns struct{ *duckdns.Provider }

// CaddyModule returns the Caddy module information.
func (Duckdns) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.tp_duckdns", New: func() caddy.Module { return &Duckdns{new(duckdns.Provider)} }}
}

// serveDuckdns plays https://www.duckdns.org/spec.jsp: one A, one AAAA and one
// TXT; to clear an address clears both.
func serveDuckdns(t *testing.T, a *account) {
	a.serve(t, "www.duckdns.org", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("token") != a.token || q.Get("domains") != a.zone {
			fmt.Fprint(w, "KO")
			return
		}
		clears := q.Get("clear") == "true"
		set := func(typ, data string) {
			a.drop("@", typ)
			if data != "" && !clears {
				a.add(record{name: "@", typ: typ, data: data, ttl: 60})
			}
		}
		switch {
		case q.Has("txt"):
			set("TXT", q.Get("txt"))
		case clears:
			set("A", "")
			set("AAAA", "")
		default:
			for param, typ := range map[string]string{"ip": "A", "ipv6": "AAAA"} {
				if q.Has(param) {
					set(typ, q.Get(param))
				}
			}
		}
		values := func(typ string) string {
			for _, rec := range a.rrset("@", typ) {
				return rec.data
			}
			return ""
		}
		fmt.Fprintf(w, "OK\n%s\n%s\nUPDATED", values("A"), values("AAAA"))
	})
}

// A resolver answers as a public one does: with what it has cached.
type resolver struct {
	account *account
	addr    string
	held    []record
	holding bool
}

// serveResolver starts a resolver on a free port.
func serveResolver(t *testing.T, a *account) *resolver {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resolver{account: a, addr: pc.LocalAddr().String()}
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: pc, Handler: r, NotifyStartedFunc: func() { close(ready) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	<-ready
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return r
}

// hold makes the resolver answer with what there is now, or was, until it is
// let go of.
func (r *resolver) hold(hold bool) {
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	r.held, r.holding = slices.Clone(r.account.records), hold
}

// ServeDNS answers a query. DuckDNS has an empty TXT record where none is set.
func (r *resolver) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	r.account.mu.Lock()
	records := slices.Clone(r.account.records)
	if r.holding {
		records = r.held
	}
	r.account.mu.Unlock()
	reply := new(dns.Msg).SetReply(query)
	q := query.Question[0]
	if !strings.EqualFold(q.Name, dns.Fqdn(r.account.zone)) {
		reply.Rcode = dns.RcodeNameError
	} else {
		typ := dns.TypeToString[q.Qtype]
		for _, rec := range records {
			if rec.typ == typ {
				rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", q.Name, rec.ttl, typ, quoted(typ, rec.data)))
				if err == nil {
					reply.Answer = append(reply.Answer, rr)
				}
			}
		}
		if q.Qtype == dns.TypeTXT && reply.Answer == nil {
			reply.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 60}, Txt: []string{""}}}
		}
	}
	_ = w.WriteMsg(reply)
}
