package dyndns

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/dyndns/internal/ledger"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/plan"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/standin"
)

// TestUpdate: success is said once the provider has shown the update, and
// costs it nothing when it is said again.
func TestUpdate(t *testing.T) {
	bubble(t, standin.Character{Latency: time.Second}, func(b *bench) {
		b.load(b.config(""))
		began := time.Now()
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("confirmed after %s, while a write and a read take longer", took)
		}
		b.expect(origin, "home", "A", addr1)
		calls := len(b.z.Calls())
		b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
		if n := len(b.z.Calls()) - calls; n != 0 {
			t.Errorf("an unchanged update cost %d calls", n)
		}
		b.update("hostname=home.example.com&myip="+addr2+","+addr6, "200 good "+addr2+","+addr6)
		b.update("hostname=home.example.com&myip="+addr2, "200 nochg "+addr2)
		b.expect(origin, "home", "A", addr2)
		b.expect(origin, "home", "AAAA", addr6)
		b.update("hostname=home.example.com&myipv6=", "200 good")
		b.expect(origin, "home", "AAAA")
		b.update("hostname=home.example.com,www.example.net&myip="+addr2, "200 nochg "+addr2+"\ngood "+addr2)
		b.expect("example.net.", "www", "A", addr2)
		b.update("hostname=nas.example.com&ip6lanprefix=2606:2800:220:7::/64", "200 good 2606:2800:220:7:21b:21ff:fe3c:4d5e")
	})
}

// TestRefused: each refusal has its status and word, and changes nothing.
func TestRefused(t *testing.T) {
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	as := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		for _, test := range []struct {
			name   string
			change func(*http.Request)
			target string
			want   string
		}{
			{"no credentials", anonymous, "/?hostname=home.example.com&myip=" + addr1, "401 badauth"},
			{"wrong password", as("home", "wrong"), "/?hostname=home.example.com&myip=" + addr1, "401 badauth"},
			{"unknown user", as("nobody", password), "/?hostname=home.example.com&myip=" + addr1, "401 badauth"},
			{"in the query", anonymous, "/?hostname=home.example.com&myip=" + addr1 + "&user=home&pass=" + password, "401 badauth"},
			{"foreign host", nil, "/?hostname=other.example.com&myip=" + addr1, "404 nohost"},
			{"unknown host", nil, "/?hostname=nobody.example.com&myip=" + addr1, "404 nohost"},
			{"all or nothing", nil, "/?hostname=home.example.com,other.example.com&myip=" + addr1, "404 nohost"},
			{"no full name", nil, "/?hostname=home&myip=" + addr1, "400 notfqdn"},
			{"no host", nil, "/?myip=" + addr1, "400 notfqdn"},
			{"private", nil, "/?hostname=home.example.com&myip=192.168.1.1", "400 dnserr"},
			{"malformed", nil, "/?hostname=home.example.com&myip=" + addr1 + ",", "400 dnserr"},
			{"offline", nil, "/?hostname=home.example.com&offline=YES", "400 dnserr"},
			{"method", func(r *http.Request) { r.Method = http.MethodDelete }, "/?hostname=home.example.com&myip=" + addr1, "405 badagent"},
			{"method of checkip", func(r *http.Request) { r.Method = http.MethodDelete }, "/checkip", "405 badagent"},
			{"below, two labels", as("other", password), "/?hostname=a.b.dyn.example.com&myip=" + addr1, "404 nohost"},
		} {
			if got := b.do(test.change, test.target).String(); got != test.want {
				t.Errorf("%s: answered %q, want %q", test.name, got, test.want)
			}
		}
		time.Sleep(time.Hour)
		if changes := b.z.Changes(); len(changes) > 0 {
			t.Errorf("%v changed", changes)
		}
		if got := b.do(as("other", password), "/?hostname=a.dyn.example.com&myip="+addr1).String(); got != "200 good "+addr1 {
			t.Errorf("one label below: %s", got)
		}
	})
}

// TestClientAddress is taken where the request names none, and by the filter.
func TestClientAddress(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		ask := func(target, from string, proxy bool) string {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.RemoteAddr = "10.0.0.1:1234"
			r.SetBasicAuth("home", password)
			return b.serve(r, from, proxy).String()
		}
		for _, test := range []struct {
			name, target, from string
			proxy              bool
			want               string
		}{
			{"by a proxy", "/?hostname=home.example.com", client, true, "200 good " + client},
			{"a proxy that names none", "/?hostname=home.example.com", "10.0.0.1", true, "400 dnserr"},
			{"which an address makes good", "/?hostname=home.example.com&myip=" + client, "10.0.0.1", true, "200 nochg " + client},
			{"a private client", "/?hostname=home.example.com", "192.168.1.9", false, "400 dnserr"},
			{"mapped", "/?hostname=home.example.com", "::ffff:" + client, false, "200 nochg " + client},
			{"checkip", "/checkip", client, false, "200 " + client},
			{"checkip by a proxy that names none", "/checkip", "10.0.0.1", true, "400 dnserr"},
		} {
			if got := ask(test.target, test.from, test.proxy); got != test.want {
				t.Errorf("%s: answered %q, want %q", test.name, got, test.want)
			}
		}
	})
}

// TestProviderFails: the client is told, the update is kept, and is made
// without the client once the provider recovers.
func TestProviderFails(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.failing(errors.New("quota exceeded"), standin.Set)
		b.update("hostname=home.example.com&myip="+addr1, "503 dnserr")
		b.failing(nil)
		time.Sleep(15 * time.Minute)
		b.expect(origin, "home", "A", addr1)
		b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
		if lines := b.logged("warn", "quota exceeded"); len(lines) != 1 {
			t.Errorf("the refusal was logged as %q", lines)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, name := range []string{"update_failed", "recovered"} {
			if !slices.ContainsFunc(b.events, func(e caddy.Event) bool { return e.Name() == name && e.Data["client"] == "home" }) {
				t.Errorf("no event %s that names the client among %v", name, b.events)
			}
		}
	})
}

// TestProviderHangs: nobody waits for longer than 20s, and other zones are
// answered at once.
func TestProviderHangs(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.z.Fail(func(c standin.Call) standin.Fault {
			if c.Zone == origin && c.Method == standin.Set {
				return standin.Fault{Do: func() { time.Sleep(10 * time.Minute) }}
			}
			return standin.Fault{}
		})
		began := time.Now()
		b.update("hostname=home.example.com&myip="+addr1, "503 dnserr")
		if took := time.Since(began); took != patience {
			t.Errorf("answered after %s", took)
		}
		began = time.Now()
		b.update("hostname=www.example.net&myip="+addr1, "200 good "+addr1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("another zone was answered after %s", took)
		}
		b.z.Fail(nil)
		time.Sleep(time.Hour)
		b.expect(origin, "home", "A", addr1)
	})
}

// TestOvertaken: a request that a newer one overtakes is told what is in DNS
// in the end, and nothing that was not confirmed.
func TestOvertaken(t *testing.T) {
	bubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		b.load(b.config(""))
		answers := make(chan string, 3)
		for i, addr := range []string{addr1, addr2, addr2} {
			go func() {
				time.Sleep(time.Duration(i) * time.Second)
				answers <- b.do(nil, "/?hostname=home.example.com&myip="+addr).String()
			}()
		}
		for range 3 {
			if got := <-answers; got != "200 good "+addr2 {
				t.Errorf("answered %q", got)
			}
		}
		b.expect(origin, "home", "A", addr2)
		// Now the newer one fails.
		n := 0
		b.z.Fail(func(c standin.Call) standin.Fault {
			if c.Method == standin.Set {
				n++
				if n > 1 {
					return standin.Fault{Err: errors.New("quota exceeded")}
				}
			}
			return standin.Fault{}
		})
		go func() { answers <- b.do(nil, "/?hostname=home.example.com&myip="+addr1).String() }()
		time.Sleep(time.Second)
		go func() { answers <- b.do(nil, "/?hostname=home.example.com&myip="+addr3).String() }()
		for range 2 {
			if got := <-answers; strings.HasPrefix(got, "200") && got != "200 good "+addr1 {
				t.Errorf("answered %q while DNS has %v", got, b.z.Values(origin, "home", "A"))
			}
		}
		b.z.Fail(nil)
		time.Sleep(time.Hour)
		b.expect(origin, "home", "A", addr3)
	})
}

// TestRestart: what clients have told is known after a restart, and drift is
// repaired without any client.
func TestRestart(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1+","+addr6, "200 good "+addr1+","+addr6)
		b.update("hostname=home.example.com&myipv6=", "200 good")
		b.stop()
		time.Sleep(time.Hour)
		b.z.Drop(origin, "home", "A")
		b.z.Put(origin, record("home", "AAAA", addr6))
		b.load(b.config(""))
		time.Sleep(time.Minute)
		b.expect(origin, "home", "A", addr1)
		b.expect(origin, "home", "AAAA")
		calls := len(b.z.Calls())
		b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
		b.update("hostname=home.example.com&myipv6=", "200 nochg")
		if n := len(b.z.Calls()) - calls; n != 0 {
			t.Errorf("%d calls", n)
		}
		// A user who goes leaves the name in DNS.
		b.load(strings.Replace(b.config(""), "home.example.com", "gone.example.com", 1))
		time.Sleep(2 * time.Hour)
		b.expect(origin, "home", "A", addr1)
	})
}

// TestReload: a request that is under way is answered as if nothing had
// happened, by an unchanged configuration and by a new one.
func TestReload(t *testing.T) {
	bubble(t, standin.Character{Latency: 2 * time.Second}, func(b *bench) {
		b.load(b.config(""))
		for i, addr := range []string{addr1, addr2} {
			answered := make(chan string, 1)
			go func() { answered <- b.do(nil, "/?hostname=home.example.com&myip="+addr).String() }()
			time.Sleep(time.Second)
			b.load(b.config(strings.Repeat(`"ttl": 120000000000,`, i)))
			if got := <-answered; got != "200 good "+addr {
				t.Errorf("answered %q", got)
			}
			b.expect(origin, "home", "A", addr)
		}
		time.Sleep(time.Minute)
		calls := len(b.z.Calls())
		for range 5 {
			b.load(b.config(`"ttl": 120000000000,`))
			time.Sleep(time.Minute)
		}
		if n := len(b.z.Calls()) - calls; n > 0 {
			t.Errorf("reloads cost %d calls", n)
		}
		// One that fails late changes nothing.
		if err := b.tryLoad([]string{b.config("")}, `, "fail": true`); err == nil {
			t.Fatal("it was loaded")
		}
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
	})
}

// TestTwoHandlers of one configuration share their zones.
func TestTwoHandlers(t *testing.T) {
	bubble(t, standin.Character{Latency: time.Second}, func(b *bench) {
		b.load(b.config(""), b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		if o := b.z.Overlaps(); len(o) > 0 {
			t.Errorf("writers overlap: %v", o)
		}
	})
}

// TestStorageFails: what cannot be stored does not happen.
func TestStorageFails(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		breakStorage(t, b.storage)
		b.update("hostname=home.example.com&myip="+addr2, "503 911")
		synctest.Wait()
		b.expect(origin, "home", "A", addr1)
		b.update("hostname=home.example.com&myip="+addr1, "200 nochg "+addr1)
	})
}

// TestOthers: what another process on the storage has taken in is in DNS within
// 5s, and is not undone by what this one knew.
func TestOthers(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		time.Sleep(time.Minute)
		storage := &certmagic.FileStorage{Path: b.storage}
		other, ignore := ledger.New("other"), func(*ledger.Entry) {}
		if err := other.Load(b.t.Context(), storage, ignore); err != nil {
			t.Fatal(err)
		}
		u := &ledger.Update{Host: "home.example.com", User: "home"}
		u.Records[ipaddr.V4] = ledger.Record{State: plan.Set, Addrs: []netip.Addr{netip.MustParseAddr(addr2)}}
		// An hour late by its clock, which counts for nothing.
		if err := other.Store(b.t.Context(), storage, u, time.Now().Add(-time.Hour), ignore); err != nil {
			t.Fatal(err)
		}
		if err := other.Follow(b.t.Context(), storage, ignore, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		b.expect(origin, "home", "A", addr2)
		b.update("hostname=home.example.com&myip="+addr2, "200 nochg "+addr2)
	})
}

// TestOthersAtOnce: an old address that comes back is news where another process
// has taken in a newer one a moment ago.
func TestOthersAtOnce(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		b.load(b.config(""))
		b.update("hostname=home.example.com&myip="+addr1, "200 good "+addr1)
		storage := &certmagic.FileStorage{Path: b.storage}
		other, ignore := ledger.New("other"), func(*ledger.Entry) {}
		elsewhere := func(addr string) {
			time.Sleep(time.Minute)
			if err := other.Load(b.t.Context(), storage, ignore); err != nil {
				t.Fatal(err)
			}
			u := &ledger.Update{Host: "home.example.com", User: "home"}
			u.Records[ipaddr.V4] = ledger.Record{State: plan.Set, Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
			if err := other.Store(b.t.Context(), storage, u, time.Now(), ignore); err != nil {
				t.Fatal(err)
			}
			if err := other.Follow(b.t.Context(), storage, ignore, nil); err != nil {
				t.Fatal(err)
			}
		}
		elsewhere(addr2)
		time.Sleep(5 * time.Second)
		b.update("hostname=home.example.com&myip="+addr2, "200 nochg "+addr2)
		elsewhere(addr1)
		b.update("hostname=home.example.com&myip="+addr2, "200 good "+addr2)
		time.Sleep(time.Minute)
		b.expect(origin, "home", "A", addr2)
	})
}

// TestBeforeTheStart: a request that comes before all apps have started waits,
// be it at the first start or at a reload.
func TestBeforeTheStart(t *testing.T) {
	bubble(t, standin.Character{}, func(b *bench) {
		for i, addr := range []string{addr1, addr2} {
			answered := make(chan string, 1)
			b.provisioned = func(h *Handler) {
				go func() {
					w := httptest.NewRecorder()
					r := httptest.NewRequest(http.MethodGet, "/?hostname=home.example.com&myip="+addr, nil)
					r.SetBasicAuth("home", password)
					if err := h.ServeHTTP(w, prepare(r, w, client, false), nil); err != nil {
						t.Error(err)
					}
					answered <- w.Body.String()
				}()
				time.Sleep(time.Second)
			}
			b.load(b.config(strings.Repeat(`"ttl": 120000000000,`, i)))
			b.provisioned = nil
			if got := <-answered; got != "good "+addr+"\n" {
				t.Errorf("answered %q", got)
			}
		}
	})
}
