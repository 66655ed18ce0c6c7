package dyndns

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// inRealTime is Caddy with the handlers, for benchmarks.
func inRealTime(b *testing.B, hosts int) *bench {
	b.Helper()
	l := &bench{t: b, z: standin.New(standin.Character{}, origin, "example.net."), storage: b.TempDir()}
	l.module = l.z.Register()
	current = l
	b.Cleanup(l.stop)
	storage := &certmagic.FileStorage{Path: l.storage}
	book := ledger.New("bench")
	for i := range hosts {
		u := &ledger.Update{Host: fmt.Sprintf("h%d.dyn.example.com", i), User: "other", Records: [ipaddr.Families]ledger.Record{
			ipaddr.V4: {State: plan.Set, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{93, 184, byte(i >> 8), byte(i)})}},
			ipaddr.V6: {State: plan.Set, Addrs: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("2606:2800:220:1::%x", i+1))}},
		}}
		if err := book.Store(b.Context(), storage, u, time.Now(), func(*ledger.Entry) {}); err != nil {
			b.Fatal(err)
		}
		// It is in DNS already, so that the stand-in grows no more.
		name := fmt.Sprintf("h%d.dyn", i)
		l.z.Put(origin, record(name, "A", u.Records[ipaddr.V4].Addrs[0].String()), record(name, "AAAA", u.Records[ipaddr.V6].Addrs[0].String()))
	}
	return l
}

// run loads the configuration.
func (b *bench) run(tb *testing.B) {
	tb.Helper()
	if err := caddy.Load([]byte(b.json([]string{b.config("")}, "")), true); err != nil {
		tb.Fatal(err)
	}
	b.loaded = true
}

// BenchmarkUnchanged is an update that changes nothing, from the request to
// the answer, once the credentials are known.
func BenchmarkUnchanged(b *testing.B) {
	l := inRealTime(b, 0)
	l.run(b)
	if got := l.do(nil, "/nic/update?hostname=home.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
		b.Fatal(got)
	}
	h := l.site.handlers[0]
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, "/nic/update?hostname=home.example.com&myip="+addr1, nil)
		r.SetBasicAuth("home", password)
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, prepare(r, w, client, false), nil); err != nil || w.Body.String() != "nochg "+addr1+"\n" {
			b.Fatal(w.Body.String(), err)
		}
	}
}

// BenchmarkMemory is what a host with both families costs at rest.
func BenchmarkMemory(b *testing.B) {
	const hosts = 10_000
	for b.Loop() {
		l := inRealTime(b, hosts)
		before := heap()
		l.run(b)
		for {
			s := l.status()
			if len(s.Zones) > 0 && s.InSync != nil && *s.InSync && len(s.Zones[0].Records) == 2*hosts {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		l.z.Forget()
		b.ReportMetric(float64(heap()-before)/hosts, "B/host")
		l.stop()
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
